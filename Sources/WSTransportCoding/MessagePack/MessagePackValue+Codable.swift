/// For coders of other formats. MessagePack's own read and write the value as it is.
extension MessagePackValue: Codable {
    /// Decodes a value from any format.
    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: MessagePackKey.self) {
            self = .map(
                try container.allKeys.map { key in
                    Member(
                        key: .text(key.stringValue),
                        value: try container.decode(MessagePackValue.self, forKey: key))
                })
        } else if var container = try? decoder.unkeyedContainer() {
            var items: [MessagePackValue] = []
            while !container.isAtEnd { items.append(try container.decode(MessagePackValue.self)) }
            self = .array(items)
        } else {
            self = try Self.single(try decoder.singleValueContainer())
        }
    }

    private static func single(_ container: any SingleValueDecodingContainer) throws -> MessagePackValue {
        if container.decodeNil() { return .null }
        if let value = try? container.decode(Bool.self) { return .bool(value) }
        if let value = try? container.decode(Int64.self) { return .integer(value) }
        if let value = try? container.decode(UInt64.self) { return .unsigned(value) }
        if let value = try? container.decode(Double.self) { return .double(value) }
        return .text(try container.decode(String.self))
    }

    /// Encodes the value in any format.
    ///
    /// Throws `EncodingError` if a key of a map is neither text nor an integer.
    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .array(let items):
            var container = encoder.unkeyedContainer()
            for item in items { try container.encode(item) }
        case .map(let members):
            var container = encoder.container(keyedBy: MessagePackKey.self)
            for member in members {
                try container.encode(member.value, forKey: try member.codingKey(encoder.codingPath))
            }
        default: try encodeSingle(encoder.singleValueContainer())
        }
    }

    private func encodeSingle(_ container: any SingleValueEncodingContainer) throws {
        var container = container
        switch self {
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .unsigned(let value): try container.encode(value)
        case .float(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .binary(let value): try container.encode(value)
        case .extended(let value): try container.encode(value)
        case .null, .array, .map: try container.encodeNil()
        }
    }
}

extension MessagePackValue.Member {
    fileprivate func codingKey(_ path: [any CodingKey]) throws -> MessagePackKey {
        switch key {
        case .text(let text): return MessagePackKey(stringValue: text)
        case .integer(let number): return MessagePackKey(intValue: Int(number))
        default:
            let context = EncodingError.Context(
                codingPath: path, debugDescription: "A key that is neither text nor an integer: \(key).")
            throw EncodingError.invalidValue(key, context)
        }
    }
}
