/// A part of a value, as presented to the type that encodes itself into it.
struct MessagePackEncoding: Encoder {
    let part: MessagePackPart
    /// Whether the keys are those of an `[Int: …]`.
    var keysAreIntegers = false

    var codingPath: [any CodingKey] { MessagePackPath.keys(part.path) }
    var userInfo: [CodingUserInfoKey: Any] { part.session.userInfo }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        part.begin(.map)
        return KeyedEncodingContainer(MessagePackKeyedEncoding<Key>(part: part, keysAreIntegers: keysAreIntegers))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        part.begin(.array)
        return MessagePackUnkeyedEncoding(part: part)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }
}

/// The value itself.
extension MessagePackEncoding: SingleValueEncodingContainer {
    func encodeNil() throws {
        part.begin(.single)
        part.writeNil()
    }

    func encode<Value: Encodable>(_ value: Value) throws { try part.encode(value) }
}

/// The items of an array.
struct MessagePackUnkeyedEncoding: UnkeyedEncodingContainer {
    fileprivate let part: MessagePackPart

    var codingPath: [any CodingKey] { MessagePackPath.keys(part.path) }
    var count: Int { part.count }

    func encodeNil() throws {
        _ = part.beginItem()
        part.writeNil()
    }

    func encode<Value: Encodable>(_ value: Value) throws { try part.append(value, part.beginItem()) }

    func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        MessagePackEncoding(part: part.appendPart(part.beginItem())).container(keyedBy: type)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        MessagePackEncoding(part: part.appendPart(part.beginItem())).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { MessagePackEncoding(part: part.appendPart(part.beginItem())) }
}

/// The members of a map.
struct MessagePackKeyedEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
    private let part: MessagePackPart
    private let keysAreIntegers: Bool

    fileprivate init(part: MessagePackPart, keysAreIntegers: Bool) {
        self.part = part
        self.keysAreIntegers = keysAreIntegers || Key.self is any RawRepresentable<Int>.Type
    }

    var codingPath: [any CodingKey] { MessagePackPath.keys(part.path) }

    private func beginPart(_ key: any CodingKey) -> MessagePackEncoding {
        part.beginMember(key, isInteger: keysAreIntegers)
        return MessagePackEncoding(part: part.appendPart(key))
    }

    func encodeNil(forKey key: Key) throws {
        part.beginMember(key, isInteger: keysAreIntegers)
        part.writeNil()
    }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        part.beginMember(key, isInteger: keysAreIntegers)
        try part.append(value, key)
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type, forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
        beginPart(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { beginPart(key).unkeyedContainer() }

    func superEncoder() -> any Encoder { beginPart(MessagePackKey.super) }

    func superEncoder(forKey key: Key) -> any Encoder { beginPart(key) }
}
