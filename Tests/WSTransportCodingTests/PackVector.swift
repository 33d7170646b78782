import Foundation
import Testing
import WSTransportCoding

/// A case of `Vectors/messagepack.json`.
struct PackVector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    /// Digits; `2a*256` is a byte repeated.
    private let digits: String
    let value: Content
    /// Whether a smaller form holds the value.
    let isWider: Bool

    var bytes: [UInt8] { Self.bytes(digits) }
    var testDescription: String { name }

    static let all: [PackVector] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors/messagepack.json")
        return (try? JSONDecoder().decode([PackVector].self, from: Data(contentsOf: file))) ?? []
    }()

    private enum CodingKeys: String, CodingKey {
        case name
        case digits = "bytes"
        case value
        case isWider = "wider"
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        digits = try container.decode(String.self, forKey: .digits)
        value = try container.decode(Content.self, forKey: .value)
        isWider = try container.decodeIfPresent(Bool.self, forKey: .isWider) ?? false
    }

    static func bytes(_ words: String) -> [UInt8] {
        words.split(separator: " ").flatMap { word in
            let parts = word.split(separator: "*")
            let digits = Array(parts[0].utf8)
            let once = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
                UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
            }
            return Array(repeatElement(once, count: parts.count == 2 ? Int(parts[1]) ?? 0 : 1).joined())
        }
    }

    /// A value in the words of the file.
    struct Content: Decodable, Sendable {
        let value: MessagePackValue

        private enum CodingKeys: CodingKey {
            case null, bool, integer, unsigned, float, double, text, binary, array, map, extended, timestamp, times
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            let kind = container.allKeys.first { $0 != .times } ?? .null
            let times = try container.decodeIfPresent(Int.self, forKey: .times)
            func repeated<Item>(_ items: [Item]) -> [Item] {
                Array(repeatElement(items, count: times ?? 1).joined())
            }
            switch kind {
            case .null, .times: value = .null
            case .bool: value = .bool(try container.decode(Bool.self, forKey: kind))
            case .integer: value = .integer(try container.decode(Int64.self, forKey: kind))
            case .unsigned: value = .unsigned(try container.decode(UInt64.self, forKey: kind))
            case .float: value = .float(Float(try Self.number(container, kind)))
            case .double: value = .double(try Self.number(container, kind))
            case .text:
                let bytes = PackVector.bytes(try container.decode(String.self, forKey: kind))
                value = .text(String(decoding: bytes, as: UTF8.self))
            case .binary: value = .binary(PackVector.bytes(try container.decode(String.self, forKey: kind)))
            case .array: value = .array(repeated(try container.decode([Content].self, forKey: kind).map(\.value)))
            case .map:
                value = .map(
                    repeated(
                        try container.decode([[Content]].self, forKey: kind).map {
                            MessagePackValue.Member(key: $0[0].value, value: $0[1].value)
                        }))
            case .extended:
                var parts = try container.nestedUnkeyedContainer(forKey: kind)
                let type = try parts.decode(Int8.self)
                value = .extended(
                    MessagePackExtension(type: type, bytes: PackVector.bytes(try parts.decode(String.self))))
            case .timestamp:
                var parts = try container.nestedUnkeyedContainer(forKey: kind)
                let seconds = try parts.decode(Int64.self)
                let timestamp = MessagePackTimestamp(seconds: seconds, nanoseconds: try parts.decode(UInt32.self))
                value = .extended(timestamp.asExtension)
            }
        }

        private static func number(
            _ container: KeyedDecodingContainer<CodingKeys>, _ key: CodingKeys
        ) throws -> Double {
            if let number = try? container.decode(Double.self, forKey: key) { return number }
            return Double(try container.decode(String.self, forKey: key)) ?? .zero
        }
    }
}

/// Gives the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
