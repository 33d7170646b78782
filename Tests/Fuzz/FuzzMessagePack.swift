// fuzz: Sources/WSTransportCoding/MessagePack

// Any bytes are MessagePack, as a second reading of the format says too, or an error; what is read is written in no
// more bytes, and read again as the same; a type is made of them or refuses them by a DecodingError.
//
// The first byte is how many arrays and maps may lie within one another.

import FoundationEssentials

#if canImport(WSTransportCoding)
    @testable import WSTransportCoding
#endif

/// Something of everything.
private struct Everything: Codable {
    var truth: Bool?
    var small: Int8?
    var large: UInt64?
    var wide: Int128?
    var single: Float?
    var double: Double?
    var text: String?
    var bytes: [UInt8]?
    var data: Data?
    var date: Date?
    var moment: MessagePackTimestamp?
    var url: URL?
    var own: MessagePackExtension?
    var numbered: [Int: Int16]?
    var named: [String: MessagePackValue]?
    var list: [Everything]?
    var shape: Shape?
}

private indirect enum Shape: Codable {
    case leaf(Int?)
    case pair(Shape, right: Shape)
    case many([Shape])
}

/// Decoded from an array by hand, with its nil and its elements.
private struct ByHand: Codable {
    var items: [Int?] = []
    var last: [String: [Double]] = [:]

    init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        while container.currentIndex < 3 {
            items.append(try container.decodeNil() ? nil : try container.decode(Int.self))
        }
        var nested = try container.nestedUnkeyedContainer()
        while !nested.isAtEnd { items.append(try nested.decodeIfPresent(Int.self)) }
        last = try [String: [Double]](from: try container.superDecoder())
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        for item in items.prefix(3) { try container.encode(item) }
        var nested = container.nestedUnkeyedContainer()
        for item in items.dropFirst(3) { try nested.encode(item) }
        try last.encode(to: container.superEncoder())
    }
}

/// The format's table, implemented in another way: whether the bytes are one item within the limit.
private func isMessagePack(_ bytes: [UInt8], maximumDepth: Int) -> Bool {
    var rest = bytes[...]
    var open: [UInt64] = [1]
    func number(_ count: Int) -> UInt64? {
        guard rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count).reduce(0) { $0 * 256 + UInt64($1) }
    }
    while let left = open.last {
        guard left > 0 else {
            open.removeLast()
            continue
        }
        open[open.count - 1] -= 1
        guard let first = rest.popFirst() else { return false }
        var length: UInt64? = 0
        var items: UInt64?
        switch first {
        case 0...0x7F, 0xC0, 0xC2, 0xC3, 0xE0...: break
        case 0x80...0x8F: items = UInt64(first % 16) * 2
        case 0x90...0x9F: items = UInt64(first % 16)
        case 0xA0...0xBF, 0xD9, 0xDA, 0xDB:
            length = first < 0xC0 ? UInt64(first % 32) : number(first == 0xD9 ? 1 : first == 0xDA ? 2 : 4)
            guard let count = length, count <= rest.count else { return false }
            guard String(validating: rest.prefix(Int(count)), as: UTF8.self) != nil else { return false }
        case 0xC4, 0xC5, 0xC6: length = number(first == 0xC4 ? 1 : first == 0xC5 ? 2 : 4)
        case 0xC7, 0xC8, 0xC9: length = number(first == 0xC7 ? 1 : first == 0xC8 ? 2 : 4).map { $0 + 1 }
        case 0xCC, 0xD0: length = 1
        case 0xCD, 0xD1: length = 2
        case 0xCA, 0xCE, 0xD2: length = 4
        case 0xCB, 0xCF, 0xD3: length = 8
        case 0xD4: length = 2
        case 0xD5: length = 3
        case 0xD6: length = 5
        case 0xD7: length = 9
        case 0xD8: length = 17
        case 0xDC, 0xDD:
            guard let count = number(first == 0xDC ? 2 : 4) else { return false }
            items = count
        case 0xDE, 0xDF:
            guard let count = number(first == 0xDE ? 2 : 4) else { return false }
            items = count * 2
        default: return false
        }
        guard let length, length <= rest.count else { return false }
        rest = rest.dropFirst(Int(length))
        if let items {
            guard open.count <= maximumDepth else { return false }
            open.append(items)
        }
    }
    return rest.isEmpty
}

private struct Bench {
    var decoder = MessagePackDecoder()
    var encoder = MessagePackEncoder()

    /// A decoded value is encoded and decoded again to the same value.
    func look<Value: Codable>(_ type: Value.Type, _ bytes: [UInt8]) -> [UInt8]? {
        let value: Value
        do {
            value = try decoder.decode(type, from: bytes)
        } catch {
            precondition(error is DecodingError, "another error: \(error)")
            return nil
        }
        do {
            let written = try encoder.encode(value)
            let again = try encoder.encode(try decoder.decode(type, from: written))
            // The order of a dictionary is arbitrary.
            precondition(again.count == written.count, "not what was written")
            return written
        } catch { preconditionFailure("an error of our own: \(error)") }
    }
}

func fuzzMessagePack(_ input: [UInt8]) {
    guard let limit = input.first.map(Int.init) else { return }
    let bytes = Array(input.dropFirst())
    var bench = Bench()
    bench.decoder.maximumDepth = limit
    let written = bench.look(MessagePackValue.self, bytes)
    precondition((written != nil) == isMessagePack(bytes, maximumDepth: limit), "two opinions")
    if let written {
        precondition(written.count <= bytes.count, "longer than it came")
        precondition(bench.look(MessagePackValue.self, written) == written, "not what was written")
        precondition(
            bench.look(MessagePackValue.self, Array(written.dropLast())) == nil, "a part is taken for the whole")
    }
    // A value of a type may be deeper than its source: a missing member may become an empty map.
    bench.encoder.maximumDepth = 4 * limit + 8
    bench.decoder.maximumDepth = bench.encoder.maximumDepth
    _ = bench.look(Everything.self, bytes)
    _ = bench.look(Shape.self, bytes)
    _ = bench.look([Shape?].self, bytes)
    _ = bench.look([Int: [String]].self, bytes)
    _ = bench.look(ByHand.self, bytes)
}
