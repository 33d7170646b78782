/// Decodes values from MessagePack.
///
/// | | |
/// |---|---|
/// | integers | from any width, if the value fits; never from a float |
/// | `Double`, `Float` | from floats and from integers that they represent exactly; a `Float` rounds a float64 |
/// | `String` | from a str that is UTF-8 |
/// | `[UInt8]`, `Data` | from a bin, or from an array of integers |
/// | `Date`, ``MessagePackTimestamp`` | from a timestamp |
/// | structures, dictionaries | from a map whose keys are text or integers, without duplicates |
/// | ``MessagePackExtension``, ``MessagePackValue`` | from any ext; from anything |
///
/// Made for untrusted input: all of it is checked before anything is decoded, and every error names the byte and the
/// coding path. No length in the input makes the decoder allocate memory. Any thread.
public struct MessagePackDecoder: Sendable {
    /// How deeply arrays and maps may be nested; 0: none at all.
    ///
    /// Recursive types are decoded by recursion, which needs stack space for each level.
    public var maximumDepth = Self.defaultMaximumDepth

    /// What types find in their decoder's `userInfo`.
    public var userInfo: [CodingUserInfoKey: any Sendable] = [:]

    /// 512, the same as Foundation's JSON.
    public static let defaultMaximumDepth = 512

    /// A decoder with the default limit.
    public init() {}

    /// Decodes the one value in `bytes`.
    ///
    /// Throws `DecodingError` if they are not MessagePack, hold more or less than one value, are nested deeper than
    /// ``maximumDepth``, or do not fit the type; and what the type's own `init(from:)` throws.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self, from bytes: [UInt8]) throws -> Value {
        let document = try MessagePackDocument(bytes, maximumDepth: maximumDepth, userInfo: userInfo)
        return try document.decode(type, at: .start, nil)
    }
}
