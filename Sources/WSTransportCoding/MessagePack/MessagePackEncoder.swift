/// Encodes values as MessagePack.
///
/// | | |
/// |---|---|
/// | integers | the smallest form that holds them |
/// | `Float`, `Double` | float32, float64 |
/// | `String` | a str |
/// | `[UInt8]`, `Data` | a bin |
/// | `Date`, ``MessagePackTimestamp`` | a timestamp, the ext of type -1 |
/// | `URL` | a str |
/// | `nil` | nil, or no member if the type omits it |
/// | structures, classes, enumerations with values | a map with text keys, or integer keys if the coding keys are an `enum … : Int` |
/// | `[String: …]`, `[Int: …]` | a map with text keys, a map with integer keys |
/// | ``MessagePackExtension``, ``MessagePackValue`` | the item that they stand for |
///
/// Any thread.
public struct MessagePackEncoder: Sendable {
    /// How deeply arrays and maps may be nested; 0 to allow none.
    ///
    /// The default is what a ``MessagePackDecoder`` accepts by default.
    public var maximumDepth = MessagePackDecoder.defaultMaximumDepth

    /// The `userInfo` of the encoder that types receive.
    public var userInfo: [CodingUserInfoKey: any Sendable] = [:]

    /// Creates an encoder with the default limit.
    public init() {}

    /// Encodes a value.
    ///
    /// Throws `EncodingError` if the value is nested deeper than ``maximumDepth``, or if the format cannot express it:
    /// an integer beyond 64 bits, a duplicate key, or more than 4,294,967,295 bytes or items in one place. Also throws
    /// what the value's own `encode(to:)` throws.
    public func encode(_ value: some Encodable) throws -> [UInt8] {
        let session = MessagePackSession(maximumDepth: maximumDepth, userInfo: userInfo)
        let whole = MessagePackPart(session: session, depth: 0, path: nil)
        try whole.encode(value)
        var writer = MessagePackWriter()
        do throws(MessagePackFault) {
            try whole.write(to: &writer)
        } catch {
            throw error.encodingError(for: value, [])
        }
        return writer.bytes
    }
}

/// State that all parts of a value share while it is encoded.
final class MessagePackSession {
    let maximumDepth: Int
    let userInfo: [CodingUserInfoKey: Any]
    /// The first error that could not be thrown at once, and where it happened.
    private var fault: (fault: MessagePackFault, path: MessagePackPath?)?

    init(maximumDepth: Int, userInfo: [CodingUserInfoKey: Any]) {
        self.maximumDepth = maximumDepth
        self.userInfo = userInfo
    }

    func fail(_ fault: MessagePackFault, at path: MessagePackPath?) {
        if self.fault == nil { self.fault = (fault, path) }
    }

    /// Throws the error that was recorded, if any.
    func check(_ value: Any) throws {
        if let fault { throw fault.fault.encodingError(for: value, MessagePackPath.keys(fault.path)) }
    }
}

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
