/// An error in MessagePack input.
package struct PackedError: Error, Equatable, CustomStringConvertible {
    /// A phrase that says what is wrong.
    package let text: String
    /// The offset of the wrong item, in bytes.
    package let offset: Int

    package var description: String { "\(text) (at byte \(offset))" }
}

/// Converts a command of `broker.v1.msgpack` to the equivalent JSON, so that both have one meaning.
///
/// The command is one map whose keys are strings, with the types of JSON. `data` may also be bytes, which become base64
/// with its `encoding`. Works in one pass, without building a tree; its use of the stack is bounded by the depth.
package struct PackedReader: ~Escapable {
    private let bytes: Span<UInt8>
    private var offset = 0
    private var writer: JSONWriter

    @_lifetime(copy bytes)
    private init(_ bytes: Span<UInt8>, capacity: Int) {
        self.bytes = bytes
        writer = JSONWriter(capacity: capacity)
    }

    /// The JSON of one command, which is all of `bytes`.
    package static func json(of bytes: Span<UInt8>) throws(PackedError) -> [UInt8] {
        var reader = PackedReader(bytes, capacity: bytes.count + bytes.count / 2 + 16)
        guard let first = bytes.isEmpty ? nil : bytes[0], 0x80...0x8F ~= first || first == 0xDE || first == 0xDF else {
            throw PackedError(text: "expected a map", offset: 0)
        }
        try reader.value(depth: 0, isCommand: true)
        guard reader.offset == bytes.count else {
            throw PackedError(text: "expected one map and nothing else", offset: reader.offset)
        }
        return reader.writer.bytes
    }

    /// The `id` of a refused command, as JSON; `nil` if none is found.
    ///
    /// Items that mean nothing here, or are nested too deeply, do not hide it; nothing is found after malformed ones.
    package static func identifier(of bytes: Span<UInt8>) -> [UInt8]? {
        var reader = PackedReader(bytes, capacity: 32)
        return try? reader.identifier()
    }

    /// Reads an item inside `depth` others.
    ///
    /// - Parameter isCommand: whether it is the command, or the farewell in it; then its `data` may be bytes.
    private mutating func value(depth: Int, isCommand: Bool = false) throws(PackedError) {
        let start = offset
        let first = try byte()
        switch first {
        case 0x00...0x7F: writer.integer(first)
        case 0xE0...0xFF: writer.integer(Int8(bitPattern: first))
        case 0xC0: writer.null()
        case 0xC2, 0xC3: writer.bool(first == 0xC3)
        case 0xCC...0xCF: writer.integer(try number(1 << Int(first - 0xCC)))
        case 0xD0...0xD3:
            let width = 1 << Int(first - 0xD0)
            let shift = UInt64(64 - 8 * width)
            writer.integer(Int64(bitPattern: try number(width) << shift) >> Int64(shift))
        case 0xCA: try real(Double(Float(bitPattern: UInt32(truncatingIfNeeded: try number(4)))), start)
        case 0xCB: try real(Double(bitPattern: try number(8)), start)
        case 0xA0...0xBF, 0xD9...0xDB:
            offset = start
            writer.string(utf8: try text())
        case 0x80...0x8F: try map(Int(first & 0x0F), start, depth: depth, isCommand: isCommand)
        case 0xDE, 0xDF: try map(try count(first == 0xDE ? 2 : 4), start, depth: depth, isCommand: isCommand)
        case 0x90...0x9F: try array(Int(first & 0x0F), start, depth: depth)
        case 0xDC, 0xDD: try array(try count(first == 0xDC ? 2 : 4), start, depth: depth)
        case 0xC4...0xC6: throw PackedError(text: "bytes can only be data", offset: start)
        case 0xC1: throw PackedError(text: "the byte c1 begins no item", offset: start)
        default: throw PackedError(text: "an ext has no meaning here", offset: start)
        }
    }

    private mutating func real(_ value: Double, _ start: Int) throws(PackedError) {
        guard value.isFinite else { throw PackedError(text: "a number that is not finite", offset: start) }
        writer.double(value)
    }

    private mutating func map(_ count: Int, _ start: Int, depth: Int, isCommand: Bool) throws(PackedError) {
        try checkDepth(depth, start)
        writer.beginObject()
        for _ in 0..<count {
            let keyStart = offset
            let key = try text()
            let isData = isCommand && key.hasSameBytes(as: "data".utf8Span.span)
            let isFarewell = isCommand && depth == 0 && key.hasSameBytes(as: "farewell".utf8Span.span)
            if isData, offset < bytes.count, 0xC4...0xC6 ~= bytes[offset] {
                writer.member("encoding", "base64")
                writer.name("data")
                writer.base64(try binary())
                continue
            }
            guard let name = try? UTF8Span(validating: key) else {
                throw PackedError(text: "a string that is not UTF-8", offset: keyStart)
            }
            writer.name(escaping: String(copying: name))
            try value(depth: depth + 1, isCommand: isFarewell)
        }
        writer.endObject()
    }

    private mutating func array(_ count: Int, _ start: Int, depth: Int) throws(PackedError) {
        try checkDepth(depth, start)
        writer.beginArray()
        for _ in 0..<count { try value(depth: depth + 1) }
        writer.endArray()
    }

    private func checkDepth(_ depth: Int, _ start: Int) throws(PackedError) {
        guard depth < JSONScanner.maximumDepth else {
            throw PackedError(text: "nested more than \(JSONScanner.maximumDepth) levels deep", offset: start)
        }
    }

    // MARK: Parts

    private mutating func byte() throws(PackedError) -> UInt8 {
        guard offset < bytes.count else { throw PackedError(text: "it ends too early", offset: bytes.count) }
        offset += 1
        return bytes[offset - 1]
    }

    /// Reads a number of `width` bytes, at most eight, big-endian.
    private mutating func number(_ width: Int) throws(PackedError) -> UInt64 {
        guard bytes.count - offset >= width else { throw PackedError(text: "it ends too early", offset: bytes.count) }
        var number: UInt64 = 0
        for _ in 0..<width {
            number = number << 8 | UInt64(bytes[offset])
            offset += 1
        }
        return number
    }

    /// Reads a size of `width` bytes; each counted item takes at least a byte, so a size above what is left is refused
    /// at once.
    private mutating func count(_ width: Int) throws(PackedError) -> Int {
        let count = try number(width)
        guard count <= UInt64(bytes.count - offset) else {
            throw PackedError(text: "it ends too early", offset: bytes.count)
        }
        return Int(count)
    }

    @_lifetime(copy self)
    private mutating func taken(_ count: Int) throws(PackedError) -> Span<UInt8> {
        guard bytes.count - offset >= count else { throw PackedError(text: "it ends too early", offset: bytes.count) }
        offset += count
        return bytes.extracting(offset - count..<offset)
    }

    /// A string's bytes, which are UTF-8.
    @_lifetime(copy self)
    private mutating func text() throws(PackedError) -> Span<UInt8> {
        let start = offset
        let first = try byte()
        let length: Int
        switch first {
        case 0xA0...0xBF: length = Int(first & 0x1F)
        case 0xD9...0xDB: length = try count(1 << Int(first - 0xD9))
        default: throw PackedError(text: "expected a string", offset: start)
        }
        let text = try taken(length)
        guard (try? UTF8Span(validating: text)) != nil else {
            throw PackedError(text: "a string that is not UTF-8", offset: start)
        }
        return text
    }

    @_lifetime(copy self)
    private mutating func binary() throws(PackedError) -> Span<UInt8> {
        let first = try byte()
        return try taken(try count(1 << Int(first &- 0xC4)))
    }

    // MARK: Refused commands

    private mutating func identifier() throws(PackedError) -> [UInt8]? {
        let first = try byte()
        let members: Int
        switch first {
        case 0x80...0x8F: members = Int(first & 0x0F)
        case 0xDE, 0xDF: members = try count(first == 0xDE ? 2 : 4)
        default: return nil
        }
        for _ in 0..<members {
            let isIdentifier: Bool
            if offset < bytes.count, 0xA0...0xBF ~= bytes[offset] {
                isIdentifier = try text().hasSameBytes(as: "id".utf8Span.span)
            } else {
                try skip()
                isIdentifier = false
            }
            guard isIdentifier, offset < bytes.count else {
                try skip()
                continue
            }
            switch bytes[offset] {
            case 0x00...0x7F, 0xE0...0xFF, 0xCA...0xD3, 0xA0...0xBF, 0xD9...0xDB: try value(depth: 1)
            default: return nil
            }
            return writer.bytes
        }
        return nil
    }

    /// Skips an item with everything in it.
    private mutating func skip() throws(PackedError) {
        var left = 1
        while left > 0 {
            left -= 1
            let first = try byte()
            switch first {
            case 0x00...0x7F, 0xE0...0xFF, 0xC0, 0xC2, 0xC3: break
            case 0xCA, 0xCB: _ = try taken(first == 0xCA ? 4 : 8)
            case 0xCC...0xCF: _ = try taken(1 << Int(first - 0xCC))
            case 0xD0...0xD3: _ = try taken(1 << Int(first - 0xD0))
            case 0xA0...0xBF: _ = try taken(Int(first & 0x1F))
            case 0xD9...0xDB: _ = try taken(try count(1 << Int(first - 0xD9)))
            case 0xC4...0xC6: _ = try taken(try count(1 << Int(first - 0xC4)))
            // An ext has a type of one byte.
            case 0xC7...0xC9: _ = try taken(1 + (try count(1 << Int(first - 0xC7))))
            case 0xD4...0xD8: _ = try taken(1 + 1 << Int(first - 0xD4))
            case 0x80...0x8F: left += 2 * Int(first & 0x0F)
            case 0x90...0x9F: left += Int(first & 0x0F)
            case 0xDC, 0xDD: left += try count(first == 0xDC ? 2 : 4)
            case 0xDE, 0xDF: left += 2 * (try count(first == 0xDE ? 2 : 4))
            default: throw PackedError(text: "the byte c1 begins no item", offset: offset - 1)
            }
        }
    }
}
