internal import WSTransport

/// One subscription of a session.
package struct Subscription {
    package let number: UInt32
    /// Of the filter, so that a search need not compare names.
    fileprivate let sketch: UInt32
    package let filter: TopicFilter
    /// Messages after this one are due to it.
    var position: UInt64
    /// Does not get what its own connection published.
    let isDeaf: Bool
    package let slow: SlowPolicy
    /// Whether a rule may keep some of its messages, so that a store brings what it is too slow for.
    let usesHistory: Bool
    /// What was dropped and is not announced yet.
    var gap: Gap?
    /// Losses up to this number have been announced.
    var lostUpTo: UInt64 = 0

    init(
        number: UInt32, filter: TopicFilter, position: UInt64, isDeaf: Bool, slow: SlowPolicy, usesHistory: Bool,
        gap: Gap?
    ) {
        self.number = number
        sketch = filter.sketch
        self.filter = filter
        self.position = position
        self.isDeaf = isDeaf
        self.slow = slow
        self.usesHistory = usesHistory
        self.gap = gap
    }

    /// Whether its session is not closed at once for falling behind.
    fileprivate var isPatient: Bool { slow != .close || usesHistory }

    /// Whether a message is due to it.
    func isDue(_ message: Message, client: UInt64) -> Bool {
        message.seq > position && filter.matches(message.topic) && !(isDeaf && message.origin == client)
    }
}

extension TopicFilter {
    /// A number that two filters seldom share; equal ones always do.
    fileprivate var sketch: UInt32 {
        let name = name.utf8Span.span
        var sketch = UInt32(truncatingIfNeeded: name.count)
        for index in 0..<name.count { sketch = (sketch ^ UInt32(name[index])) &* 0x0100_0193 }
        return sketch
    }
}

/// The subscriptions of one session, and where it stands in the order of messages.
///
/// A session is *live*: everything up to the newest message of its shard has been sent; or it is *behind*: what is due
/// up to its ``cursor`` has been sent. Of what comes then, the store brings what a rule keeps, and the rest is held.
package final class SubscriptionSet {
    package private(set) var all: [Subscription] = []
    /// What is to be shown before the subscriptions are live, oldest first.
    ///
    /// While there is any, the session is behind.
    var beginnings = BeginningQueue()
    var held = HeldMessages()
    /// While it is behind, the number up to which everything due has been sent.
    var cursor: UInt64 = 0
    /// How much limits had removed from the history when losses were last looked for.
    var checkedTrims: UInt64?
    // Those of one byte stand together: every session has these.
    var isBehind = false
    /// Whether messages after the cursor are kept, and so for the store to bring.
    var isOwed = false
    /// Whether the session has asked to be called again.
    var isWaiting = false
    /// Whether it waits for the store to commit.
    var isWaitingForStore = false
    /// Whether something was dropped that is not announced yet.
    private var hasGaps = false
    /// How many subscriptions want the newest messages only.
    private var latestCount: UInt32 = 0
    /// How many do not have the session closed at once.
    private var patientCount: UInt32 = 0

    package init() {}

    package var count: Int { all.count }

    /// Linear, as one client's subscriptions are few; but a step is the comparison of two numbers.
    private func index(of filter: TopicFilter) -> Int? {
        let sketch = filter.sketch
        for index in all.indices where all[index].sketch == sketch && all[index].filter == filter { return index }
        return nil
    }

    package func contains(_ filter: TopicFilter) -> Bool { index(of: filter) != nil }

    package func subscription(at filter: TopicFilter) -> Subscription? { index(of: filter).map { all[$0] } }

    /// Whether some subscription wants the newest messages only.
    var hasLatest: Bool { latestCount > 0 }

    /// Whether the session is not closed at once for falling behind.
    var isPatient: Bool { patientCount > 0 }

    func add(_ subscription: Subscription) {
        all.append(subscription)
        if subscription.slow == .latest { latestCount += 1 }
        if subscription.isPatient { patientCount += 1 }
        if subscription.gap != nil { hasGaps = true }
    }

    func remove(_ filter: TopicFilter) -> Subscription? {
        guard let index = index(of: filter) else { return nil }
        let removed = all.remove(at: index)
        beginnings.remove(of: removed.number)
        if removed.slow == .latest { latestCount -= 1 }
        if removed.isPatient { patientCount -= 1 }
        return removed
    }

    func removeAll() -> [Subscription] {
        defer {
            all = []
            (latestCount, patientCount, hasGaps) = (0, 0, false)
            beginnings = BeginningQueue()
            held.removeAll()
        }
        return all
    }

    func change(_ filter: TopicFilter, _ body: (inout Subscription) -> Void) {
        guard let index = index(of: filter) else { return }
        body(&all[index])
    }

    /// Whether some subscription asks for a message.
    ///
    /// - Parameter client: the session's own.
    func isDue(_ message: Message, client: UInt64) -> Bool {
        all.contains { $0.isDue(message, client: client) }
    }

    /// The same, of those that want all messages.
    func isDueInFull(_ message: Message, client: UInt64) -> Bool {
        all.contains { $0.slow != .latest && $0.isDue(message, client: client) }
    }

    /// Drops held messages that no subscription asks for any more.
    func dropUnwanted(by client: UInt64) {
        held.keep { message in isDue(message, client: client) }
    }

    /// Drops a held message for those that allow it, and remembers that; `false`: some do not.
    func drop(_ message: Message, client: UInt64) -> Bool {
        let due = all.indices.filter { all[$0].isDue(message, client: client) }
        guard due.allSatisfy({ all[$0].slow != .close }) else { return false }
        for index in due {
            let gap = Gap(since: message.seq - 1, seq: message.seq, missed: 1)
            hasGaps = true
            if all[index].gap == nil { all[index].gap = gap } else { all[index].gap?.merge(gap) }
        }
        return true
    }

    /// Takes what was dropped, to be announced.
    func takeGaps() -> [(filter: TopicFilter, gap: Gap)] {
        guard hasGaps else { return [] }
        hasGaps = false
        var gaps: [(TopicFilter, Gap)] = []
        for index in all.indices {
            guard let gap = all[index].gap else { continue }
            gaps.append((all[index].filter, gap))
            all[index].gap = nil
        }
        return gaps
    }

    /// What the store is asked for while the session is behind.
    var wanted: [HistoryReading.Wanted] {
        all.filter { $0.slow != .latest }.map {
            HistoryReading.Wanted(filter: $0.filter, after: max(cursor, max($0.position, $0.lostUpTo)))
        }
    }
}
