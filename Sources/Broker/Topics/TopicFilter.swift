/// A subscriber's filter: a topic in which `+` stands for one level, and a `#` at the end for the rest.
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

    /// Matches every topic; no subscriber can write such a filter.
    static let everything = TopicFilter(unchecked: "#", isLiteral: false, includesReserved: true)

    /// Makes a filter from `name`; throws the first violation.
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

    /// Makes a filter from a name that has been checked before.
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
            // Both offsets are at the beginning of a level, which may be empty and at the end.
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

    /// Whether it matches only `$SYS` and topics below it.
    var isSystem: Bool {
        let name = name.utf8Span.span
        guard name.count >= 4, name[0] == TopicGrammar.dollar else { return false }
        return name.extracting(0..<4).hasSameBytes(as: "$SYS".utf8Span.span)
            && (name.count == 4 || name[4] == TopicGrammar.slash)
    }

    /// Whether it matches only `$cluster` and topics below it.
    var isPrivate: Bool { Topic.isPrivate(name.utf8Span.span) }

    /// Whether this filter matches every topic that `other` matches.
    ///
    /// Exact, also for the rule about `$`: `#` covers `+/a` but not `$SYS/a`; `+/#` covers `#`.
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

// Whether several filters together match all topics that one filter matches is decided level by level. The rests of the
// other filters after a level are compared once for each name that one of them has at that level, and once for a name
// that none has, which only wildcards match: `a/#` is covered by `a` and `a/+/#`, but not by `a` and `a/b/#`.

extension TopicFilter {
    /// Whether at least one of `others` matches each topic that this filter matches.
    ///
    /// Exact, except for filters that take too long to compare: then `false`.
    package func isCovered(by others: [TopicFilter]) -> Bool {
        if others.contains(where: { $0.covers(self) }) { return true }
        var search = CoverageSearch()
        return search.covers(Pattern(self), others.map(Pattern.init), isFirst: true)
    }
}

/// The rest of a filter after its first levels.
private struct Pattern {
    private var levels: ArraySlice<[UInt8]>

    init(_ filter: TopicFilter) { levels = filter.comparableLevels.map { Array($0.utf8) }[...] }

    var first: [UInt8]? { levels.first }
    var isEmpty: Bool { levels.isEmpty }
    var beginsWithPlus: Bool { levels.first == [TopicGrammar.plus] }
    var beginsWithHash: Bool { levels.first == [TopicGrammar.hash] }

    /// The rest after one more level, whatever its name; the rest of `#` is `#`.
    var rest: Pattern {
        var rest = self
        if !beginsWithHash { rest.levels.removeFirst() }
        return rest
    }

    /// The rest after a level with this name; `nil` if it does not match.
    func after(_ name: [UInt8], isFirst: Bool) -> Pattern? {
        // MQTT-4.7.2-1.
        if beginsWithPlus { return isFirst && name.first == TopicGrammar.dollar ? nil : rest }
        return first == name ? rest : nil
    }
}

private struct CoverageSearch {
    /// The remaining steps.
    private var budget = 10_000

    mutating func covers(_ wanted: Pattern, _ others: [Pattern], isFirst: Bool) -> Bool {
        budget -= 1
        guard budget > 0, !others.isEmpty else { return false }
        if others.contains(where: \.beginsWithHash) { return true }
        guard let level = wanted.first else { return others.contains(where: \.isEmpty) }
        guard wanted.beginsWithPlus || wanted.beginsWithHash else {
            return covers(wanted.rest, others.compactMap { $0.after(level, isFirst: isFirst) }, isFirst: false)
        }
        // `a/#` matches `a`, too.
        if wanted.beginsWithHash, !others.contains(where: \.isEmpty) { return false }
        for name in Set(others.filter { !$0.beginsWithPlus }.compactMap(\.first)) {
            if isFirst, name.first == TopicGrammar.dollar { continue }
            let left = others.compactMap { $0.after(name, isFirst: isFirst) }
            guard covers(wanted.rest, left, isFirst: false) else { return false }
        }
        return covers(wanted.rest, others.filter(\.beginsWithPlus).map(\.rest), isFirst: false)
    }
}

extension TopicFilter {
    /// Whether there is a topic that both filters match.
    package func overlaps(_ other: TopicFilter) -> Bool {
        let mine = levels
        let theirs = other.levels
        // MQTT-4.7.2-1.
        if beginsWithWildcard, !other.beginsWithWildcard, other.name.utf8.first == TopicGrammar.dollar { return false }
        if other.beginsWithWildcard, !beginsWithWildcard, name.utf8.first == TopicGrammar.dollar { return false }
        var index = 0
        while index < mine.count, index < theirs.count {
            let (left, right) = (mine[index].utf8, theirs[index].utf8)
            if left.first == TopicGrammar.hash || right.first == TopicGrammar.hash { return true }
            if left.first != TopicGrammar.plus, right.first != TopicGrammar.plus, !left.elementsEqual(right) {
                return false
            }
            index += 1
        }
        if mine.count == theirs.count { return true }
        // `a/#` matches `a`, too.
        let longer = mine.count > theirs.count ? mine : theirs
        return longer.count == index + 1 && longer[index].utf8.first == TopicGrammar.hash
    }
}
