/// The rights of one principal: what its rules allow, minus what any of them denies.
///
/// A lone `#` matches every topic outside `$SYS`; every other filter matches as a subscription does (MQTT 5.0 §4.7).
/// Immutable.
package struct Grant: Sendable, Equatable {
    /// The rights that a filter gives or takes away.
    package struct Entry: Sendable {
        let filter: TopicFilter
        let rights: Rights
    }

    /// Whether a filter may be subscribed to.
    package enum Verdict: Equatable, Sendable {
        case allowed
        /// No filter allows all of it.
        case notAllowed
        /// It overlaps this filter, which denies it.
        case denied(TopicFilter)
    }

    /// The rights that a lone `#` gives.
    private let wholly: Rights
    private let trie: RightsTrie
    /// Whether the grant is the administrator's, which includes `$SYS`.
    package let isEverything: Bool
    /// Grants that must allow it as well: a token has no more rights than its user.
    private var ceilings: [Grant]
    /// The limits that rules set for the user; `nil` if the general limits apply.
    package let limits: RuleLimits?

    init(_ entries: [Entry], ceilings: [Grant] = [], limits: RuleLimits? = nil) {
        var wholly: Rights = []
        var others: [(filter: TopicFilter, rights: Rights)] = []
        for entry in entries {
            if entry.filter.name == "#" {
                wholly.formUnion(entry.rights)
            } else {
                others.append((entry.filter, entry.rights))
            }
        }
        self.wholly = wholly
        trie = RightsTrie(others)
        isEverything = false
        self.ceilings = ceilings.filter { !$0.isEverything }
        self.limits = limits
    }

    private init(isEverything: Bool) {
        wholly = []
        trie = RightsTrie([])
        self.isEverything = isEverything
        ceilings = []
        limits = nil
    }

    /// The administrator's rights: everything, including `$SYS`.
    package static let everything = Grant(isEverything: true)

    /// No rights.
    package static let nothing = Grant(isEverything: false)

    /// Whether nothing at all is allowed.
    package var isNothing: Bool {
        let allowing: Rights = [.publish, .subscribe, .retain]
        return !isEverything && wholly.isDisjoint(with: allowing) && trie.all.isDisjoint(with: allowing)
    }

    /// Whether publishing and retaining are allowed for every topic outside `$SYS`, so that no topic needs a check.
    package var publishesAnywhere: Bool {
        isEverything
            || ceilings.isEmpty && wholly.isSuperset(of: [.publish, .retain]) && trie.isEmptyOf(.noPublish)
                && !wholly.contains(.noPublish)
    }

    /// Whether a message may be published to `topic`; the caller checks that the topic is not in `$SYS`.
    package func mayPublish(to topic: Topic) -> Bool { publishing(to: topic).contains(.publish) }

    /// The allowed ones of `publish` and `retain` for a topic, found in one search.
    func publishing(to topic: Topic) -> Rights {
        let both: Rights = [.publish, .retain]
        if isEverything { return both }
        var found = trie.rights(of: topic)
        if !wholly.isEmpty, !topic.isSystem { found.formUnion(wholly) }
        if found.contains(.noPublish) { return [] }
        found.formIntersection(both)
        for ceiling in ceilings { found.formIntersection(ceiling.publishing(to: topic)) }
        return found
    }

    /// Whether a topic may be published to, or its retained value be set, and which filter denies it.
    ///
    /// - Parameters:
    ///   - topic: the topic as a literal filter.
    ///   - right: `publish` or `retain`.
    func verdict(onTopic topic: TopicFilter, _ right: Rights) -> Verdict {
        if isEverything { return .allowed }
        let isOutside = !wholly.isEmpty && !topic.isSystem
        if isOutside, wholly.contains(.noPublish) { return .denied(TopicFilter(unchecked: "#", isLiteral: false)) }
        if let deny = trie.overlapping(topic, .noPublish) { return .denied(deny) }
        guard isOutside && wholly.contains(right) || trie.covers(topic, right) else { return .notAllowed }
        for ceiling in ceilings {
            let verdict = ceiling.verdict(onTopic: topic, right)
            guard verdict == .allowed else { return verdict }
        }
        return .allowed
    }

    /// The grant without the limits of a token.
    var withoutCeilings: Grant {
        var grant = self
        grant.ceilings = []
        return grant
    }

    /// Whether everything that `filter` can match may be read.
    package func verdict(on filter: TopicFilter) -> Verdict {
        if isEverything { return .allowed }
        let isOutside = !wholly.isEmpty && !filter.isSystem
        guard isOutside && wholly.contains(.subscribe) || trie.covers(filter, .subscribe) else { return .notAllowed }
        if isOutside, wholly.contains(.noSubscribe) {
            return .denied(TopicFilter(unchecked: "#", isLiteral: false))
        }
        if let deny = trie.overlapping(filter, .noSubscribe) { return .denied(deny) }
        for ceiling in ceilings {
            let verdict = ceiling.verdict(on: filter)
            guard verdict == .allowed else { return verdict }
        }
        return .allowed
    }
}

extension RightsTrie {
    /// Whether no filter has the right.
    fileprivate func isEmptyOf(_ right: Rights) -> Bool { !all.contains(right) }
}
