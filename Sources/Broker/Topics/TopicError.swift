/// Why a name is not a valid topic or filter.
///
/// The rules are those of MQTT 5.0 §4.7. Offsets are in bytes from the name's beginning, levels are counted from 1.
package enum TopicError: Error, Equatable, Sendable {
    case empty
    case tooLong(bytes: Int, maximum: Int)
    case tooManyLevels(Int, maximum: Int)
    /// A filter has too many `+`.
    case tooManyWildcards(Int, maximum: Int)
    /// A topic contains `+` or `#`.
    case wildcard(Unicode.Scalar, offset: Int)
    /// In a filter, a `+` that does not fill its level, or a `#` that is not the whole last level.
    case misplacedWildcard(Unicode.Scalar, level: Int)
    /// One of U+0000 to U+001F and U+007F to U+009F.
    case controlCharacter(Unicode.Scalar, offset: Int)
    case notUTF8
    /// A filter of a shared subscription, which is not supported: it would match nothing.
    case shared
}

extension TopicError: CustomStringConvertible {
    /// A sentence for the user that says what is wrong and where.
    package var description: String {
        switch self {
        case .empty:
            "A topic or filter must not be empty."
        case .tooLong(let bytes, let maximum):
            "The topic or filter has \(bytes) bytes; at most \(maximum) are allowed."
        case .tooManyLevels(let levels, let maximum):
            "The topic or filter has \(levels) levels; at most \(maximum) are allowed."
        case .tooManyWildcards(let count, let maximum):
            "The filter has \(count) wildcards '+'; at most \(maximum) are allowed."
        case .wildcard(let wildcard, let offset):
            "A topic must not contain the wildcard '\(wildcard)' (at byte \(offset))."
        case .misplacedWildcard("#", let level):
            "The wildcard '#' in level \(level) must stand alone, and in the last level of the filter."
        case .misplacedWildcard(let wildcard, let level):
            "The wildcard '\(wildcard)' in level \(level) must fill the whole level."
        case .controlCharacter(let scalar, let offset):
            "A topic or filter must not contain a control character (\(Self.name(of: scalar)) at byte \(offset))."
        case .notUTF8:
            "A topic or filter must be valid UTF-8."
        case .shared:
            "Shared subscriptions ($share/…) are not available in this version."
        }
    }

    private static func name(of scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
