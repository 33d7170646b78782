/// Decodes values from MessagePack.
///
/// | | |
/// |---|---|
/// | integers | from any width, if the value fits; never from a float |
/// | `Double`, `Float` | from floats, and from integers that they represent exactly; a `Float` rounds a float64 |
/// | `String` | from a str that is UTF-8 |
/// | `[UInt8]`, `Data` | from a bin, or from an array of integers |
/// | `Date`, ``MessagePackTimestamp`` | from a timestamp |
/// | structures, dictionaries | from a map whose keys are text or integers, without duplicates |
/// | ``MessagePackExtension``, ``MessagePackValue`` | from any ext; from anything |
///
/// The decoder is safe for untrusted input: it checks all of it before it decodes anything, and every error names the
/// byte and the coding path. No length in the input makes it allocate memory. Any thread.
public struct MessagePackDecoder: Sendable {
    /// How deeply arrays and maps may be nested; 0 to allow none.
    ///
    /// Recursive types are decoded by recursion, which needs stack space for each level.
    public var maximumDepth = Self.defaultMaximumDepth

    /// The `userInfo` of the decoder that types receive.
    public var userInfo: [CodingUserInfoKey: any Sendable] = [:]

    /// The default of ``maximumDepth``: 512, as in Foundation's JSON decoder.
    public static let defaultMaximumDepth = 512

    /// Creates a decoder with the default limit.
    public init() {}

    /// Decodes the one value in `bytes`.
    ///
    /// Throws `DecodingError` if the bytes are not exactly one MessagePack value, if it is nested deeper than
    /// ``maximumDepth``, or if it does not fit the type. Also throws what the type's own `init(from:)` throws.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self, from bytes: [UInt8]) throws -> Value {
        let document = try MessagePackDocument(bytes, maximumDepth: maximumDepth, userInfo: userInfo)
        return try document.decode(type, at: .start, nil)
    }
}

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

/// What is wrong with an item or a value, before its place in the whole value is known.
struct MessagePackFault: Error {
    enum Kind {
        /// An item of another kind than the type expects.
        case mismatch
        /// `nil` where a value is required.
        case absent
        /// Not MessagePack, or a value that the type does not have.
        case corrupted
    }

    let kind: Kind
    /// A sentence, which begins with the place in the input if there is one.
    let text: String
    /// The text in place of a value that cannot be shown; `nil` for the value itself.
    var shown: (any Sendable)?

    init(_ text: String, _ kind: Kind = .corrupted) {
        self.kind = kind
        self.text = text
    }

    /// For the item that begins at that byte.
    init(at offset: Int, _ text: String, _ kind: Kind = .corrupted) {
        self.init("At byte \(offset): \(text).", kind)
    }

    func decodingError(for type: any Any.Type, _ path: [any CodingKey]) -> DecodingError {
        let context = DecodingError.Context(codingPath: path, debugDescription: text)
        switch kind {
        case .mismatch: return .typeMismatch(type, context)
        case .absent: return .valueNotFound(type, context)
        case .corrupted: return .dataCorrupted(context)
        }
    }

    func encodingError(for value: Any, _ path: [any CodingKey]) -> EncodingError {
        .invalidValue((shown as Any?) ?? value, EncodingError.Context(codingPath: path, debugDescription: text))
    }
}

/// The path from the whole value to a part of it, as a list whose beginning is shared.
final class MessagePackPath {
    private let parent: MessagePackPath?
    private let key: any CodingKey

    init(_ parent: MessagePackPath?, _ key: any CodingKey) {
        self.parent = parent
        self.key = key
    }

    /// The keys, outermost first; `nil` is the whole value.
    static func keys(_ path: MessagePackPath?) -> [any CodingKey] {
        var keys: [any CodingKey] = []
        var next = path
        while let step = next {
            keys.append(step.key)
            next = step.parent
        }
        return keys.reversed()
    }
}

/// The key of a map, or the index in an array.
struct MessagePackKey: CodingKey, CustomStringConvertible {
    let stringValue: String
    let intValue: Int?

    /// The key under which a class stores what its superclass encodes.
    static let `super` = MessagePackKey(stringValue: "super")

    init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    init(intValue: Int) {
        stringValue = String(intValue)
        self.intValue = intValue
    }

    init(index: Int) {
        stringValue = "Index \(index)"
        intValue = index
    }

    var description: String { stringValue }
}
