/// The first bytes of an item: what it is, and where its content lies.
///
/// Content that is read directly lies within the input; the items of an array or a map are not checked here.
struct MessagePackHeader {
    enum Kind {
        case null
        case bool(Bool)
        case unsigned(UInt64)
        /// Below 0.
        case negative(Int64)
        case float(Float)
        case double(Double)
        case text
        case binary
        case array
        case map
        /// Of that type; types below 0 are defined by the format.
        case extended(Int8)
    }

    let kind: Kind
    /// Where the item begins.
    let start: Int
    /// Where its content begins, after the header.
    let content: Int
    /// Bytes of text, a bin or an ext; items of an array; pairs of a map; 0 for all others.
    let count: Int

    /// Whether it contains items.
    var hasItems: Bool { itemCount > 0 }

    /// Whether it is an array or a map.
    var isContainer: Bool {
        switch kind {
        case .array, .map: true
        default: false
        }
    }

    /// The number of items directly in it, keys included; 0 if it is not a container.
    var itemCount: Int {
        switch kind {
        case .array: count
        case .map: 2 * count
        default: 0
        }
    }

    /// Where the item ends, if it contains no items.
    var end: Int { isContainer ? content : content + count }

    /// Reads the item that begins at `start`.
    static func read(_ bytes: [UInt8], at start: Int) throws(MessagePackFault) -> MessagePackHeader {
        guard start < bytes.count else { throw MessagePackFault(at: start, "the input ends where an item must begin") }
        let first = bytes[start]
        switch first {
        case 0x00...0x7F: return scalar(.unsigned(UInt64(first)), start, 1)
        case 0x80...0x8F: return try MessagePackHeader(.map, start, 1, Int(first & 0x0F), bytes)
        case 0x90...0x9F: return try MessagePackHeader(.array, start, 1, Int(first & 0x0F), bytes)
        case 0xA0...0xBF: return try MessagePackHeader(.text, start, 1, Int(first & 0x1F), bytes)
        case 0xC0: return scalar(.null, start, 1)
        case 0xC1: throw MessagePackFault(at: start, "the byte c1 begins no item")
        case 0xC2, 0xC3: return scalar(.bool(first == 0xC3), start, 1)
        case 0xC4...0xC6: return try counted(.binary, bytes, start, width: 1 << (first - 0xC4))
        case 0xC7...0xC9: return try extended(bytes, start, width: 1 << (first - 0xC7))
        case 0xCA: return scalar(.float(Float(bitPattern: UInt32(try number(bytes, start, width: 4)))), start, 5)
        case 0xCB: return scalar(.double(Double(bitPattern: try number(bytes, start, width: 8))), start, 9)
        case 0xCC...0xCF:
            let width = 1 << Int(first - 0xCC)
            return scalar(.unsigned(try number(bytes, start, width: width)), start, 1 + width)
        case 0xD0...0xD3:
            let width = 1 << Int(first - 0xD0)
            let shift = 64 - 8 * width
            let value = Int64(bitPattern: try number(bytes, start, width: width) << shift) >> shift
            return scalar(value < 0 ? .negative(value) : .unsigned(UInt64(value)), start, 1 + width)
        case 0xD4...0xD8: return try extended(bytes, start, count: 1 << (first - 0xD4))
        case 0xD9...0xDB: return try counted(.text, bytes, start, width: 1 << (first - 0xD9))
        case 0xDC, 0xDD: return try counted(.array, bytes, start, width: first == 0xDC ? 2 : 4)
        case 0xDE, 0xDF: return try counted(.map, bytes, start, width: first == 0xDE ? 2 : 4)
        default: return scalar(.negative(Int64(Int8(bitPattern: first))), start, 1)
        }
    }

    private static func scalar(_ kind: Kind, _ start: Int, _ length: Int) -> MessagePackHeader {
        MessagePackHeader(kind: kind, start: start, content: start + length, count: 0)
    }

    private static func counted(
        _ kind: Kind, _ bytes: [UInt8], _ start: Int, width: Int
    ) throws(MessagePackFault) -> MessagePackHeader {
        // At most 4 bytes wide, so it fits.
        try MessagePackHeader(kind, start, 1 + width, Int(try number(bytes, start, width: width)), bytes)
    }

    /// An ext whose size is in its first bytes, or implied by its first byte; its type follows.
    private static func extended(
        _ bytes: [UInt8], _ start: Int, width: Int = 0, count: Int = 0
    ) throws(MessagePackFault) -> MessagePackHeader {
        let count = width == 0 ? count : Int(try number(bytes, start, width: width))
        let place = start + 1 + width
        guard place < bytes.count else { throw truncated(start, 2 + width, bytes) }
        return try MessagePackHeader(.extended(Int8(bitPattern: bytes[place])), start, 2 + width, count, bytes)
    }

    private init(
        _ kind: Kind, _ start: Int, _ length: Int, _ count: Int, _ bytes: [UInt8]
    ) throws(MessagePackFault) {
        self.init(kind: kind, start: start, content: start + length, count: count)
        // An item takes at least a byte, so a count that the input cannot hold is rejected.
        let left = bytes.count - content
        guard (isContainer ? itemCount : count) <= left else {
            throw MessagePackFault(at: start, "the input ends within \(self): \(left) bytes are left")
        }
    }

    private init(kind: Kind, start: Int, content: Int, count: Int) {
        self.kind = kind
        self.start = start
        self.content = content
        self.count = count
    }

    /// The number after the first byte, big-endian.
    private static func number(_ bytes: [UInt8], _ start: Int, width: Int) throws(MessagePackFault) -> UInt64 {
        guard bytes.count - start > width else { throw truncated(start, 1 + width, bytes) }
        var number: UInt64 = 0
        for index in start + 1...start + width { number = number << 8 | UInt64(bytes[index]) }
        return number
    }

    private static func truncated(_ start: Int, _ length: Int, _ bytes: [UInt8]) -> MessagePackFault {
        let there = bytes.count - start
        return MessagePackFault(at: start, "the input ends within the \(length) bytes of a header: \(there) are there")
    }
}

extension MessagePackHeader: CustomStringConvertible {
    /// Its name in errors.
    var description: String {
        switch kind {
        case .null: "nil"
        case .bool(let value): "\(value)"
        case .unsigned(let value): "the integer \(value)"
        case .negative(let value): "the integer \(value)"
        case .float(let value): "the float32 \(value)"
        case .double(let value): "the float64 \(value)"
        case .text: "a str of \(count) bytes"
        case .binary: "a bin of \(count) bytes"
        case .array: "an array of \(count)"
        case .map: "a map of \(count)"
        case .extended(let type): "an ext of type \(type) and \(count) bytes"
        }
    }
}
