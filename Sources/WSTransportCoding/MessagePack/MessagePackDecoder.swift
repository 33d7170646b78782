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
