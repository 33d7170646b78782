/// The members of a map, by key.
///
/// A key is text or an integer. An integer is also found by its digits, so that a dictionary with keys of either kind
/// can be decoded from either.
struct MessagePackKeyedDecoding<Key: CodingKey>: KeyedDecodingContainerProtocol {
    private let document: MessagePackDocument
    private let path: MessagePackPath?
    private let keys: [MessagePackKey]
    private let members: [String: MessagePackCursor]

    /// Throws if the item is not a map, has other keys, or has a duplicate.
    init(_ decoding: MessagePackDecoding) throws {
        document = decoding.document
        path = decoding.path
        var keys: [MessagePackKey] = []
        var members: [String: MessagePackCursor] = [:]
        try decoding.withItem(for: [String: Any].self) { (item) throws(MessagePackFault) in
            guard case .map = item.header.kind else { throw item.mismatch("a map") }
            guard item.header.hasItems else { return }
            var cursor = item.document.first(in: item)
            for _ in 0..<item.header.count {
                let name = try item.document.item(at: cursor)
                guard let key = name.header.key(in: item.document.bytes) else {
                    throw name.mismatch("a str or an integer as the key")
                }
                let member = item.document.next(after: name)
                guard members.updateValue(member, forKey: key.stringValue) == nil else {
                    throw MessagePackFault(at: cursor.offset, "the key \"\(key.stringValue)\" stands there twice")
                }
                keys.append(key)
                cursor = item.document.next(after: try item.document.item(at: member))
            }
        }
        self.keys = keys
        self.members = members
    }

    var codingPath: [any CodingKey] { MessagePackPath.keys(path) }

    var allKeys: [Key] {
        keys.compactMap { key in key.intValue.flatMap(Key.init(intValue:)) ?? Key(stringValue: key.stringValue) }
    }

    func contains(_ key: Key) -> Bool { cursor(of: key) != nil }

    private func cursor(of key: any CodingKey) -> MessagePackCursor? {
        members[key.stringValue] ?? key.intValue.flatMap { members[String($0)] }
    }

    private func decoding(of key: any CodingKey) throws -> MessagePackDecoding {
        guard let cursor = cursor(of: key) else {
            let context = DecodingError.Context(
                codingPath: codingPath, debugDescription: "The map has no key \"\(key.stringValue)\".")
            throw DecodingError.keyNotFound(key, context)
        }
        return MessagePackDecoding(document: document, cursor: cursor, path: MessagePackPath(path, key))
    }

    func decodeNil(forKey key: Key) throws -> Bool { try decoding(of: key).decodeNil() }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try decoding(of: key).decode(type)
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try decoding(of: key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try decoding(of: key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { try decoding(of: MessagePackKey.super) }

    func superDecoder(forKey key: Key) throws -> any Decoder { try decoding(of: key) }
}

/// The items of an array, one after the other.
struct MessagePackUnkeyedDecoding: UnkeyedDecodingContainer {
    private let document: MessagePackDocument
    private let path: MessagePackPath?
    private let length: Int
    private var cursor: MessagePackCursor
    private(set) var currentIndex = 0

    /// Throws if the item is not an array.
    init(_ decoding: MessagePackDecoding) throws {
        document = decoding.document
        path = decoding.path
        (length, cursor) = try decoding.withItem(for: [Any].self) { (item) throws(MessagePackFault) in
            guard case .array = item.header.kind else { throw item.mismatch("an array") }
            return (item.header.count, item.document.first(in: item))
        }
    }

    var codingPath: [any CodingKey] { MessagePackPath.keys(path) }
    var count: Int? { length }
    var isAtEnd: Bool { currentIndex >= length }

    /// Passes the next item to `body` and moves past it; after an error it stays where it was.
    private mutating func take<Value>(
        for type: any Any.Type, _ body: (MessagePackDecoding) throws -> Value
    ) throws -> Value {
        let decoding = MessagePackDecoding(
            document: document, cursor: cursor, path: MessagePackPath(path, MessagePackKey(index: currentIndex)))
        guard !isAtEnd else {
            throw MessagePackFault("The array ends after \(length) items.", .absent)
                .decodingError(for: type, decoding.codingPath)
        }
        let next = try decoding.withItem(for: type) { $0.document.next(after: $0) }
        let value = try body(decoding)
        cursor = next
        currentIndex += 1
        return value
    }

    mutating func decodeNil() throws -> Bool {
        guard isAtEnd || document.isNil(at: cursor) else { return false }
        return try take(for: Never?.self) { _ in true }
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try take(for: type) { try $0.decode(type) }
    }

    mutating func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        try take(for: type) { try $0.container(keyedBy: type) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try take(for: [Any].self) { try $0.unkeyedContainer() }
    }

    mutating func superDecoder() throws -> any Decoder { try take(for: (any Decoder).self) { $0 } }
}
