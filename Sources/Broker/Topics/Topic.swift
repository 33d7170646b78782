/// The name of a topic, to which messages are published.
///
/// MQTT 5.0 §4.7: UTF-8 without wildcards and control characters, levels separated by `/`, empty levels allowed.
/// Two topics are equal if their bytes are: MQTT-4.7.3-4 forbids normalisation.
package struct Topic: Sendable {
    /// The whole name.
    package let name: String

    /// Makes a topic from `name`; throws the first violation.
    package init(_ name: String, limits: TopicLimits = TopicLimits()) throws(TopicError) {
        var name = name
        // A string from elsewhere may not be contiguous; later comparisons need it to be.
        name.makeContiguousUTF8()
        try TopicGrammar.checkTopic(name.utf8Span.span, limits: limits)
        self.name = name
    }

    /// Makes a topic from bytes, which need not be UTF-8.
    package init(bytes: Span<UInt8>, limits: TopicLimits = TopicLimits()) throws(TopicError) {
        try self.init(TopicGrammar.decode(bytes, limits: limits), limits: limits)
    }

    /// Makes a topic from the name of a filter without wildcards.
    init(unchecked name: String) {
        self.name = name
    }

    /// Whether the name begins with `$`: filters that begin with a wildcard do not match it.
    package var isReserved: Bool { name.firstByte == TopicGrammar.dollar }

    /// Whether it is `$SYS` or below it, which only the broker publishes to.
    package var isSystem: Bool {
        // Checked for every publication, and hardly any topic is reserved.
        isReserved && name.utf8.starts(with: "$SYS".utf8)
            && (name.utf8.count == 4 || name.utf8.dropFirst(4).first == TopicGrammar.slash)
    }

    /// Whether it is `$cluster` or below it, which only the brokers of a cluster publish to and read.
    package var isPrivate: Bool { isReserved && Self.isPrivate(name.utf8Span.span) }

    /// Whether a name that has a first level of its own is `$cluster` or below it.
    static func isPrivate(_ name: Span<UInt8>) -> Bool {
        name.count >= 8 && name[0] == TopicGrammar.dollar
            && name.extracting(0..<8).hasSameBytes(as: "$cluster".utf8Span.span)
            && (name.count == 8 || name[8] == TopicGrammar.slash)
    }

    /// The levels in order, at least one, any of which may be empty.
    package var levels: [Substring] { TopicGrammar.levels(of: name) }
}

extension Topic: Hashable, CustomStringConvertible {
    /// Whether both names are the same bytes.
    package static func == (left: Topic, right: Topic) -> Bool {
        left.name.isSame(as: right.name) || left.name.utf8Span.span.hasSameBytes(as: right.name.utf8Span.span)
    }

    /// Feeds the name's bytes.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(bytes: name.utf8Span.span)
    }

    /// The name.
    package var description: String { name }
}

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

/// Limits of topics and filters.
package struct TopicLimits: Sendable, Equatable {
    /// The maximum length of a name, in bytes of UTF-8.
    package var maximumBytes = 1024
    /// The maximum number of levels, one more than the number of slashes.
    package var maximumLevels = 32
    /// The maximum number of `+` in a filter.
    package var maximumWildcards = 8

    /// Whether a filter may have `$share` as its first level, which is reserved for shared subscriptions (MQTT 5.0 §4.8.2).
    var allowsShared = false

    /// No limits, for names that have been accepted before.
    package static let none: TopicLimits = {
        var limits = TopicLimits(maximumBytes: .max, maximumLevels: .max, maximumWildcards: .max)
        limits.allowsShared = true
        return limits
    }()

    /// Makes limits; without arguments, the defaults of the configuration.
    package init(maximumBytes: Int = 1024, maximumLevels: Int = 32, maximumWildcards: Int = 8) {
        self.maximumWildcards = maximumWildcards
        self.maximumBytes = maximumBytes
        self.maximumLevels = maximumLevels
    }
}
