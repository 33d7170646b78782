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
