/// Any MessagePack value, for input whose type is not known beforehand.
///
/// ``MessagePackEncoder`` and ``MessagePackDecoder`` keep it exactly as it is; other coders do so as far as their
/// format has such values. Any thread.
public enum MessagePackValue: Hashable, Sendable {
    /// `nil`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// An integer, in any of the format's widths.
    case integer(Int64)
    /// An integer above `Int64.max`; a decoded one is never smaller.
    case unsigned(UInt64)
    /// A float32.
    case float(Float)
    /// A float64.
    case double(Double)
    /// A str.
    case text(String)
    /// A bin.
    case binary([UInt8])
    /// An array.
    case array([MessagePackValue])
    /// A map, in the order of its members; any value may be a key, and keys may repeat.
    case map([Member])
    /// An ext, such as a timestamp.
    case extended(MessagePackExtension)

    /// A member of a map: a key and its value.
    public struct Member: Hashable, Sendable {
        /// The key.
        public var key: MessagePackValue
        /// The value.
        public var value: MessagePackValue

        /// Creates a member.
        public init(key: MessagePackValue, value: MessagePackValue) {
            self.key = key
            self.value = value
        }
    }

    /// The value of a text key; `nil` if there is none, or if this is not a map.
    public subscript(key: String) -> MessagePackValue? {
        guard case .map(let members) = self else { return nil }
        return members.first { $0.key == .text(key) }?.value
    }

    /// The value as a timestamp; `nil` if it is not one.
    public var timestamp: MessagePackTimestamp? {
        guard case .extended(let extended) = self else { return nil }
        return MessagePackTimestamp(extended)
    }
}

extension MessagePackValue: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault) {
        switch self {
        case .null: writer.writeNil()
        case .bool(let value): writer.write(value)
        case .integer(let value): writer.write(value)
        case .unsigned(let value): writer.write(value)
        case .float(let value): writer.write(value)
        case .double(let value): writer.write(value)
        case .text(let value): try writer.write(value)
        case .binary(let value): try writer.write(binary: value)
        case .array(let items):
            guard levels > 0 else { throw .tooDeep }
            try writer.writeArray(count: items.count)
            for item in items { try item.write(to: &writer, levels: levels - 1) }
        case .map(let members):
            guard levels > 0 else { throw .tooDeep }
            try writer.writeMap(count: members.count)
            for member in members {
                try member.key.write(to: &writer, levels: levels - 1)
                try member.value.write(to: &writer, levels: levels - 1)
            }
        case .extended(let value): try value.write(to: &writer, levels: levels)
        }
    }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> MessagePackValue? {
        var offset = item.header.start
        return try read(item.document.bytes, &offset)
    }

    /// Reads the item at `offset` and everything in it, no deeper than the document allows.
    private static func read(_ bytes: [UInt8], _ offset: inout Int) throws(MessagePackFault) -> MessagePackValue {
        let header = try MessagePackHeader.read(bytes, at: offset)
        let content = bytes[header.content..<header.end]
        offset = header.end
        switch header.kind {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .unsigned(let value): return Int64(exactly: value).map(Self.integer) ?? .unsigned(value)
        case .negative(let value): return .integer(value)
        case .float(let value): return .float(value)
        case .double(let value): return .double(value)
        case .text: return .text(String(decoding: content, as: UTF8.self))
        case .binary: return .binary(Array(content))
        case .array:
            var items: [MessagePackValue] = []
            for _ in 0..<header.count { items.append(try read(bytes, &offset)) }
            return .array(items)
        case .map:
            var members: [Member] = []
            for _ in 0..<header.count {
                let key = try read(bytes, &offset)
                members.append(Member(key: key, value: try read(bytes, &offset)))
            }
            return .map(members)
        case .extended(let type): return .extended(MessagePackExtension(type: type, bytes: Array(content)))
        }
    }
}

extension MessagePackFault {
    /// For values; an input says where.
    static var tooDeep: MessagePackFault {
        MessagePackFault("There are more arrays and maps within one another than the encoder's maximumDepth.")
    }
}
