/// Messages after `low` and up to `high` that may be missing although a rule keeps their topics.
package struct HistoryHole: Equatable, Sendable {
    package var low: UInt64
    package var high: UInt64

    package init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }
}

/// From which number on a rule's messages are kept.
package struct HistoryCoverage: Equatable, Sendable {
    package let filter: TopicFilter
    /// The first number that was kept under the rule; ``never`` if the rule no longer exists.
    package let since: UInt64
    /// The newest message removed from topics that have none left; 0 if there is none.
    package var forgottenUpTo: UInt64 = 0

    /// The rule no longer exists: its messages are being removed, and clients that have not read them get a gap.
    static let never = UInt64.max

    package init(filter: TopicFilter, since: UInt64, forgottenUpTo: UInt64 = 0) {
        self.filter = filter
        self.since = since
        self.forgottenUpTo = forgottenUpTo
    }
}

/// A summary of a store's history at one moment.
package struct HistorySummary: Equatable, Sendable {
    /// The number of kept messages.
    package var messages = 0
    /// The size of their payloads, in bytes.
    package var payloadBytes = 0
    /// Up to this number, all missing messages are in ``holes``.
    package var completeUpTo: UInt64 = 0
    /// The newest message that a limit has removed, of any topic; 0 if there is none.
    package var trimmedUpTo: UInt64 = 0
    /// How many messages limits have removed.
    package var trims: UInt64 = 0
    /// Oldest first.
    package private(set) var holes: [HistoryHole] = []
    /// One for each rule, in the order of the rules, then those of former rules.
    package var coverages: [HistoryCoverage] = []

    /// The maximum number of holes; beyond it the oldest are merged.
    static let maximumHoles = 64
    /// The maximum number of former rules; beyond it the oldest are merged into one for all topics.
    static let maximumFormer = 16

    /// Changes with every loss.
    var lossMark: UInt64 { trims &+ (holes.last?.high ?? 0) }

    package init() {}

    /// Adds a hole, which must not be before the others.
    package mutating func add(_ hole: HistoryHole) {
        guard hole.high > hole.low else { return }
        if let last = holes.last, hole.low <= last.high {
            holes[holes.count - 1].high = max(last.high, hole.high)
        } else {
            holes.append(hole)
        }
        if holes.count > Self.maximumHoles {
            holes[1].low = holes[0].low
            holes.removeFirst()
        }
    }

    /// Applies the rules to messages from `seq` on; rules that existed before continue.
    package mutating func adopt(_ rules: HistoryRules, from seq: UInt64) {
        let old = coverages
        coverages = rules.rules.map { rule in
            let known = old.first { $0.filter == rule.filter }
            if let known, known.since != HistoryCoverage.never { return known }
            return HistoryCoverage(filter: rule.filter, since: seq, forgottenUpTo: known?.forgottenUpTo ?? 0)
        }
        var former = old.filter { one in !coverages.contains { $0.filter == one.filter } }.map {
            HistoryCoverage(filter: $0.filter, since: HistoryCoverage.never, forgottenUpTo: $0.forgottenUpTo)
        }
        while former.count > Self.maximumFormer {
            let forgotten = max(former[0].forgottenUpTo, former[1].forgottenUpTo)
            former[1] = HistoryCoverage(
                filter: TopicFilter(unchecked: "#", isLiteral: false), since: HistoryCoverage.never,
                forgottenUpTo: forgotten)
            former.removeFirst()
        }
        coverages += former
        if completeUpTo == 0, seq > 0 { completeUpTo = seq - 1 }
    }

    /// Removes rules that no longer exist.
    mutating func forgetFormerRules() { coverages.removeAll { $0.since == HistoryCoverage.never } }

    /// The first number from which on rules keep all messages that a filter matches; `nil` if they do not.
    func keptSince(_ filter: TopicFilter) -> UInt64? {
        Set(coverages.map(\.since)).subtracting([HistoryCoverage.never]).sorted().first { since in
            filter.isCovered(by: coverages.filter { $0.since <= since }.map(\.filter))
        }
    }

    /// Records that a topic has no messages left.
    mutating func forget(_ topic: Topic, upTo seq: UInt64) {
        guard let index = coverages.firstIndex(where: { $0.filter.matches(topic) }) else { return }
        coverages[index].forgottenUpTo = max(coverages[index].forgottenUpTo, seq)
    }
}

/// The messages that limits have removed from a topic that still has some.
package struct HistoryTrim: Equatable, Sendable {
    /// The number of the topic's first message, as far as it is remembered.
    package var first: UInt64
    /// The newest removed message; 0 if there is none.
    package var upTo: UInt64
    /// How many were removed.
    package var count: Int

    package init(first: UInt64, upTo: UInt64, count: Int) {
        self.first = first
        self.upTo = upTo
        self.count = count
    }

    /// How many of the removed messages came after `seq`; `nil` if that is not known.
    func missed(after seq: UInt64) -> Int? { upTo <= seq ? 0 : seq < first ? count : nil }
}
