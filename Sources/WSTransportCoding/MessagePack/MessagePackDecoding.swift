/// An item, as presented to the type that is decoded from it.
struct MessagePackDecoding: Decoder {
    let document: MessagePackDocument
    let cursor: MessagePackCursor
    let path: MessagePackPath?

    var codingPath: [any CodingKey] { MessagePackPath.keys(path) }
    var userInfo: [CodingUserInfoKey: Any] { document.userInfo }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(try MessagePackKeyedDecoding<Key>(self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try MessagePackUnkeyedDecoding(self) }

    func singleValueContainer() -> any SingleValueDecodingContainer { self }

    /// Calls `body` with the item; an error in it becomes an error in decoding `type`.
    func withItem<Value>(
        for type: any Any.Type, _ body: (MessagePackItem) throws(MessagePackFault) -> Value
    ) throws -> Value {
        do throws(MessagePackFault) {
            return try body(try document.item(at: cursor))
        } catch {
            throw error.decodingError(for: type, codingPath)
        }
    }
}

/// The item itself.
extension MessagePackDecoding: SingleValueDecodingContainer {
    func decodeNil() -> Bool { document.isNil(at: cursor) }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try document.decode(type, at: cursor, path) }
}
