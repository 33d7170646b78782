/// What one principal may do: the union of the rules that apply, less what any of them denies.
///
/// A lone `#` stands for every topic outside `$SYS`; every other filter is what it is to a subscriber (MQTT 5.0 §4.7).
/// Immutable.
package struct Grant: Sendable, Equatable {
    /// What a filter gives or takes away.
    package struct Entry: Sendable {
        let filter: TopicFilter
        let rights: Rights
    }

    /// Whether a filter may be subscribed to.
    package enum Verdict: Equatable, Sendable {
        case allowed
        /// No filter covers it.
        case notAllowed
        /// It matches some topic that this filter denies.
        case denied(TopicFilter)
    }

    /// The rights that a lone `#` gives.
    private let wholly: Rights
    private let trie: RightsTrie
    /// Whether it is the administrator's, with `$SYS`.
    package let isEverything: Bool
    /// Each of these has to allow it, too: a token carries no more than its user.
    private let ceilings: [Grant]
    /// What its user may use up, where rules say so; `nil`: what any user may.
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

    /// The administrator's: everything, `$SYS` included.
    package static let everything = Grant(isEverything: true)

    /// Nothing.
    package static let nothing = Grant(isEverything: false)

    /// Whether nothing at all is allowed.
    package var isNothing: Bool {
        let allowing: Rights = [.publish, .subscribe, .retain]
        return !isEverything && wholly.isDisjoint(with: allowing) && trie.all.isDisjoint(with: allowing)
    }

    /// Whether every topic outside `$SYS` may be published to and its retained value set, so that no topic need be looked at.
    package var publishesAnywhere: Bool {
        isEverything
            || ceilings.isEmpty && wholly.isSuperset(of: [.publish, .retain]) && trie.isEmptyOf(.noPublish)
                && !wholly.contains(.noPublish)
    }

    /// Whether a message may be published to `topic`; below `$SYS` nobody may, which is not this type's to say.
    package func mayPublish(to topic: Topic) -> Bool { publishing(to: topic).contains(.publish) }

    /// Whether the retained value of `topic` may be set or deleted.
    package func mayRetain(_ topic: Topic) -> Bool { publishing(to: topic).contains(.retain) }

    /// Which of `publish` and `retain` hold for a topic, in one look.
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
    /// Whether no filter has that right.
    fileprivate func isEmptyOf(_ right: Rights) -> Bool { !all.contains(right) }
}
