/// What a subscriber asks for: a topic in which `+` stands for one level and a last `#` for the rest.
///
/// MQTT 5.0 §4.7.1. `a/#` matches `a` too. A filter that begins with a wildcard matches no topic that begins with `$`
/// (§4.7.2). Two filters are equal if their bytes are.
package struct TopicFilter: Sendable {
    /// The whole filter as it was written.
    package let name: String
    /// Whether it has no wildcard, and so matches exactly one topic.
    package let isLiteral: Bool
    /// Whether a leading wildcard also matches names that begin with `$`; never set for filters of clients.
    let includesReserved: Bool

    /// Matches every topic, which no filter of a subscriber can.
    static let everything = TopicFilter(unchecked: "#", isLiteral: false, includesReserved: true)

    /// Makes a filter from `name`; throws what is wrong with it.
    package init(_ name: String, limits: TopicLimits = TopicLimits()) throws(TopicError) {
        var name = name
        name.makeContiguousUTF8()
        isLiteral = try TopicGrammar.checkFilter(name.utf8Span.span, limits: limits)
        includesReserved = false
        self.name = name
    }

    /// Makes a filter from bytes, which need not be UTF-8.
    package init(bytes: Span<UInt8>, limits: TopicLimits = TopicLimits()) throws(TopicError) {
        try self.init(TopicGrammar.decode(bytes, limits: limits), limits: limits)
    }

    /// Makes the filter that matches `topic` and nothing else.
    package init(_ topic: Topic) {
        name = topic.name
        isLiteral = true
        includesReserved = false
    }

    /// Makes a filter from a name that was valid before.
    init(unchecked name: String, isLiteral: Bool, includesReserved: Bool = false) {
        self.name = name
        self.isLiteral = isLiteral
        self.includesReserved = includesReserved
    }

    /// The one topic that it matches; `nil` if it has a wildcard.
    package var literalTopic: Topic? { isLiteral ? Topic(unchecked: name) : nil }

    /// The levels in order, at least one, any of which may be empty.
    package var levels: [Substring] { TopicGrammar.levels(of: name) }

    /// Whether the first level is `+` or `#`.
    package var beginsWithWildcard: Bool {
        let first = name.utf8.first
        return first == TopicGrammar.plus || first == TopicGrammar.hash
    }
}

extension TopicFilter: Hashable, CustomStringConvertible {
    /// Whether both names are the same bytes.
    package static func == (left: TopicFilter, right: TopicFilter) -> Bool {
        left.name.utf8Span.span.hasSameBytes(as: right.name.utf8Span.span)
    }

    /// Feeds the name's bytes.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(bytes: name.utf8Span.span)
    }

    /// The filter as it was written.
    package var description: String { name }
}

extension TopicFilter {
    /// Whether this filter matches `topic`.
    package func matches(_ topic: Topic) -> Bool {
        let filter = name.utf8Span.span
        let topicBytes = topic.name.utf8Span.span
        if isLiteral { return filter.hasSameBytes(as: topicBytes) }
        // MQTT-4.7.2-1.
        if beginsWithWildcard, topic.isReserved, !includesReserved { return false }
        var filterOffset = 0
        var topicOffset = 0
        while true {
            // Both offsets are at the beginning of a level, which may be empty and at the very end.
            let wildcard = filterOffset < filter.count ? filter[filterOffset] : TopicGrammar.slash
            if wildcard == TopicGrammar.hash { return true }
            if wildcard == TopicGrammar.plus {
                filterOffset += 1
                while topicOffset < topicBytes.count, topicBytes[topicOffset] != TopicGrammar.slash { topicOffset += 1 }
            } else {
                while filterOffset < filter.count, filter[filterOffset] != TopicGrammar.slash {
                    guard topicOffset < topicBytes.count, topicBytes[topicOffset] == filter[filterOffset] else {
                        return false
                    }
                    filterOffset += 1
                    topicOffset += 1
                }
            }
            if topicOffset == topicBytes.count {
                let rest = filter.count - filterOffset
                // `a/#` includes its parent, `a`.
                return rest == 0 || (rest == 2 && filter[filterOffset + 1] == TopicGrammar.hash)
            }
            guard filterOffset < filter.count, topicBytes[topicOffset] == TopicGrammar.slash else { return false }
            filterOffset += 1
            topicOffset += 1
        }
    }

    /// Whether it matches nothing but `$SYS` and what is below it.
    var isSystem: Bool {
        let name = name.utf8Span.span
        guard name.count >= 4, name[0] == TopicGrammar.dollar else { return false }
        return name.extracting(0..<4).hasSameBytes(as: "$SYS".utf8Span.span)
            && (name.count == 4 || name[4] == TopicGrammar.slash)
    }

    /// Whether this filter matches every topic that `other` matches.
    ///
    /// Exact, the rule about `$` included: `#` covers `+/a` but not `$SYS/a`; `+/#` covers `#`.
    package func covers(_ other: TopicFilter) -> Bool {
        let mine = comparableLevels
        let theirs = other.comparableLevels
        if beginsWithWildcard, theirs[0].utf8.first == TopicGrammar.dollar { return false }
        var index = 0
        while true {
            guard index < mine.count else { return index == theirs.count }
            if mine[index].utf8.first == TopicGrammar.hash { return true }
            // `other` ends here, or matches any number of levels, and this filter requires at least one more.
            guard index < theirs.count, theirs[index].utf8.first != TopicGrammar.hash else { return false }
            if mine[index].utf8.first != TopicGrammar.plus {
                guard mine[index].utf8.elementsEqual(theirs[index].utf8) else { return false }
            }
            index += 1
        }
    }

    /// The levels, with `#` written as `+/#` and `/#` as `/+/#`, which are equivalent: no topic is empty.
    var comparableLevels: [Substring] {
        if name.utf8.first == TopicGrammar.hash { return ["+", "#"] }
        return name.utf8.elementsEqual("/#".utf8) ? ["", "+", "#"] : levels
    }
}
