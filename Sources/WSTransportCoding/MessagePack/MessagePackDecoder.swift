/// Makes values of MessagePack.
///
/// | | |
/// |---|---|
/// | integers | of any width, where the value fits; never of a float |
/// | `Double`, `Float` | of floats and of integers that they hold exactly; a `Float` rounds a float64 |
/// | `String` | of a str that is UTF-8 |
/// | `[UInt8]`, `Data` | of a bin, or of an array of integers |
/// | `Date`, ``MessagePackTimestamp`` | of a timestamp |
/// | structures, dictionaries | of a map whose keys are text or integers, none of them twice |
/// | ``MessagePackExtension``, ``MessagePackValue`` | of any ext; of anything |
///
/// Made for input that cannot be trusted: all of it is looked at before anything is decoded, and every error names the
/// byte and the coding path. Memory is never taken on the word of a length. Any thread.
public struct MessagePackDecoder: Sendable {
    /// How many arrays and maps there may be within one another; 0: none at all.
    ///
    /// Types that hold themselves are decoded by recursion, which takes stack for each.
    public var maximumDepth = Self.defaultMaximumDepth

    /// What types find in their decoder's `userInfo`.
    public var userInfo: [CodingUserInfoKey: any Sendable] = [:]

    /// 512, as Foundation's JSON has it.
    public static let defaultMaximumDepth = 512

    /// A decoder with the default limit.
    public init() {}

    /// Decodes the one value that `bytes` are.
    ///
    /// Throws `DecodingError` where they are no MessagePack, more or less than one value, deeper than ``maximumDepth``,
    /// or not what the type wants; and what the type's own `init(from:)` throws.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self, from bytes: [UInt8]) throws -> Value {
        let document = try MessagePackDocument(bytes, maximumDepth: maximumDepth, userInfo: userInfo)
        return try document.decode(type, at: .start, nil)
    }
}
