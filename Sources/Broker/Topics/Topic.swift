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
