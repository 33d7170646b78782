/// One subscription of a session.
package struct Subscription {
    package let number: UInt32
    /// The filter's sketch, so that a search rarely compares names.
    private let sketch: UInt32
    package let filter: TopicFilter
    /// It is owed messages after this one.
    var position: UInt64
    /// Whether it skips its own client's publications.
    let skipsOwn: Bool
    package let slow: SlowPolicy
    /// Whether a history rule may keep some of its messages, so that the store can deliver them later.
    let usesHistory: Bool
    /// The state that few subscriptions need; `nil` if this one does not.
    private var arrears: Arrears?

    /// The state of a subscription that is, or was, behind.
    private final class Arrears {
        var gaps: [Gap] = []
        var hasMerged = false
        var lostUpTo: UInt64 = 0
        var lostAt: UInt64 = 0
        var brought: UInt64 = 0
        var dropped: [Gap] = []
        var resumedAt: UInt64 = 0
        var asked: UInt64 = 0
        var end: UInt64 = .max { didSet { bound = parts == nil ? end : 0 } }
        var over: UInt64 = 0
        var parts: ResumeParts? { didSet { bound = parts == nil ? end : 0 } }
        /// The number up to which it is owed every message; 0 if its parts say which.
        private(set) var bound: UInt64 = .max

        /// Merges a gap with the last one, if nothing after `low` remains to be sent between them.
        ///
        /// - Returns: `false` if the case is not that simple; nothing has changed.
        func extendLast(by gap: Gap, low: UInt64) -> Bool {
            Self.extendLast(of: &gaps, by: gap, low: low, resumedAt: resumedAt)
        }

        // Takes the list once, because each access needs an exclusivity check.
        @inline(__always)
        private static func extendLast(of gaps: inout [Gap], by gap: Gap, low: UInt64, resumedAt: UInt64) -> Bool {
            let last = gaps.count - 1
            guard last >= 0, gaps[last].since <= gap.seq, gaps[last].seq >= low,
                last == 0 || gaps[last - 1].seq < low, gaps[last].seq > resumedAt || gap.seq <= resumedAt
            else { return false }
            gaps[last].merge(gap)
            return true
        }
    }

    init(
        number: UInt32, filter: TopicFilter, position: UInt64, skipsOwn: Bool, slow: SlowPolicy, usesHistory: Bool
    ) {
        self.number = number
        sketch = filter.sketch
        self.filter = filter
        self.position = position
        self.skipsOwn = skipsOwn
        self.slow = slow
        self.usesHistory = usesHistory
    }

    /// Takes over the position of `other`, and what it is owed.
    mutating func takeOver(_ other: Subscription) {
        position = other.position
        arrears = other.arrears
    }

    /// Takes the position of an earlier subscription that a client has replaced, if the messages of both are all that
    /// there were since then: what it has delivered must not be delivered again.
    mutating func follow(_ earlier: Subscription) {
        guard earlier.over == 0, earlier.filter == filter, earlier.skipsOwn == skipsOwn, earlier.end >= position else {
            return
        }
        position = min(position, earlier.position)
    }

    /// Whether it has ended, and nothing is owed to it any more when everything up to `seq` has been sent.
    func isFinished(at seq: UInt64) -> Bool { end <= seq && gaps.isEmpty }

    /// The gaps that have not been announced yet, in order and without overlaps.
    var gaps: [Gap] { arrears?.gaps ?? [] }

    /// How many gaps are kept apart; beyond that the oldest two are merged.
    private static let maximumGaps = 64

    /// Records a gap.
    ///
    /// - Parameter floor: nothing between this number and the gap remains to be sent.
    mutating func add(_ gap: Gap, floor: UInt64) {
        let low = min(floor, gap.since)
        // Most of many dropped messages continue the gap of the one before.
        if let arrears, arrears.extendLast(by: gap, low: low) { return }
        change { arrears in
            var merged = gap
            var place = arrears.gaps.count
            while place > 0, arrears.gaps[place - 1].since > gap.seq { place -= 1 }
            while place > 0, arrears.gaps[place - 1].seq >= low {
                // Gaps before the end marker are announced before it.
                if arrears.gaps[place - 1].seq <= arrears.resumedAt, gap.seq > arrears.resumedAt { break }
                place -= 1
                merged.merge(arrears.gaps.remove(at: place))
            }
            arrears.gaps.insert(merged, at: place)
            guard arrears.gaps.count > Self.maximumGaps else { return }
            let oldest = arrears.gaps.removeFirst()
            arrears.gaps[0].merge(oldest)
            arrears.hasMerged = true
        }
    }

    /// Whether a gap may reach past messages that are still sent, because the oldest two were merged.
    var hasWideGap: Bool { arrears.map { $0.hasMerged && !$0.gaps.isEmpty } ?? false }

    /// Takes the gaps that end with `seq` or before, to be announced.
    mutating func takeGaps(upTo seq: UInt64) -> [Gap] {
        guard let arrears, arrears.gaps.first.map({ $0.seq <= seq }) ?? false else { return [] }
        let taken = Array(arrears.gaps.prefix { $0.seq <= seq })
        arrears.gaps.removeFirst(taken.count)
        // The missing messages must not count as delivered if a later subscription asks for them.
        position = max(position, taken.last?.seq ?? 0)
        return taken
    }

    /// Takes the part of a gap up to `end`, to be announced; leaves the part after `next`.
    mutating func takeGap(upTo end: UInt64, leaving next: UInt64) -> Gap? {
        guard let arrears, let first = arrears.gaps.first, first.since < next, end < first.seq else { return nil }
        if next < first.seq {
            arrears.gaps[0] = Gap(since: next, seq: first.seq, missed: nil)
        } else {
            arrears.gaps.removeFirst()
        }
        guard first.since < end else { return nil }
        position = max(position, end)
        return Gap(since: first.since, seq: end, missed: nil)
    }

    /// Losses up to this number have been announced, or are in ``gaps``.
    var lostUpTo: UInt64 { arrears?.lostUpTo ?? 0 }

    /// Records that losses up to `seq` are known.
    ///
    /// - Parameter mark: ``HistorySummary/lossMark`` when they were found.
    mutating func knowLosses(upTo seq: UInt64, mark: UInt64) {
        change { arrears in
            arrears.lostUpTo = max(arrears.lostUpTo, seq)
            arrears.lostAt = mark
        }
    }

    /// Forgets the counts of missing messages if the history may have lost more of them since they were counted.
    ///
    /// A filter with wildcards matches topics of which the first look found everything that has been lost by now.
    ///
    /// - Parameters:
    ///   - seq: everything up to this number has been read.
    ///   - mark: ``HistorySummary/lossMark`` now.
    mutating func doubtCounts(after seq: UInt64, mark: UInt64) {
        guard let arrears, arrears.lostUpTo > seq, arrears.lostAt != mark, !filter.isLiteral else { return }
        arrears.lostAt = mark
        for place in arrears.gaps.indices where arrears.gaps[place].since < arrears.lostUpTo {
            arrears.gaps[place].missed = nil
        }
    }

    /// Everything owed up to this number has been delivered, although its session now reads older messages for another
    /// one.
    var brought: UInt64 {
        get { arrears?.brought ?? 0 }
        set { change { $0.brought = newValue } }
    }

    /// Records that everything owed up to `seq` has been delivered, except what lies in gaps that are to be announced.
    mutating func bring(upTo seq: UInt64) {
        change { arrears in
            arrears.brought = max(arrears.brought, seq)
            // Gaps may be cut and merged before they are announced.
            arrears.dropped = (arrears.dropped + arrears.gaps.filter { $0.since < seq }).suffix(Self.maximumGaps)
        }
    }

    /// Whether a message up to ``brought`` may have been dropped instead of delivered.
    func hasDropped(_ message: Message) -> Bool {
        arrears?.dropped.contains { $0.since < message.seq && message.seq <= $0.seq } ?? false
    }

    /// The position at which it resumed; 0: it did not resume.
    var resumedAt: UInt64 {
        get { arrears?.resumedAt ?? 0 }
        set { change { $0.resumedAt = newValue } }
    }

    /// The ledger's step at which it resumed; 0: it did not resume.
    var asked: UInt64 {
        get { arrears?.asked ?? 0 }
        set { change { $0.asked = newValue } }
    }

    /// What its client has of the messages after ``position``; `nil`: nothing.
    var parts: ResumeParts? {
        get { arrears?.parts }
        set { if newValue != nil || arrears?.parts != nil { change { $0.parts = newValue } } }
    }

    private var bound: UInt64 { arrears?.bound ?? .max }

    /// Whether its parts and its end say that it is owed a message.
    private func isDueByParts(_ message: Message) -> Bool { message.seq <= end && !(parts?.has(message) ?? true) }

    /// The last message that it is owed; `.max` if it has not ended.
    private(set) var end: UInt64 {
        get { arrears?.end ?? .max }
        set { change { $0.end = newValue } }
    }

    /// The ledger's step at which the client ended it; 0 if the client has not, or has replaced it.
    var over: UInt64 { arrears?.over ?? 0 }

    /// Ends it with the message `seq`.
    ///
    /// - Parameter step: ``over``.
    mutating func finish(with seq: UInt64, over step: UInt64) {
        end = seq
        change { $0.over = step }
    }

    /// Ends it at the last delivered message, because the client has lost the right to it.
    ///
    /// - Parameter step: ``over``.
    mutating func withdraw(at step: UInt64) {
        finish(with: min(end, brought), over: step)
        change { $0.gaps = [] }
    }

    /// Removes the state that only a session that is behind needs.
    mutating func settle() { arrears = nil }

    private mutating func change(_ body: (Arrears) -> Void) {
        let arrears = arrears ?? Arrears()
        body(arrears)
        self.arrears = arrears
    }

    /// Whether its session may fall behind without being closed.
    var toleratesLag: Bool { slow != .close || usesHistory }

    /// Whether it has this filter, whose sketch the caller has computed.
    func has(_ filter: TopicFilter, _ sketch: UInt32) -> Bool { self.sketch == sketch && self.filter == filter }

    /// Whether it is owed a message.
    func isDue(_ message: Message, client: UInt64) -> Bool {
        hears(message, client: client) && filter.matches(message.topic)
    }

    /// The same for a message that its filter matches.
    func hears(_ message: Message, client: UInt64) -> Bool {
        // A figure below `$SYS` has no number of its own, but that of the message before it.
        (message.seq > position || message.topic.isSystem) && (message.seq <= bound || isDueByParts(message))
            && !(skipsOwn && message.origin == client)
    }
}

extension TopicFilter {
    /// A hash of the name: equal filters have the same, different ones seldom.
    var sketch: UInt32 {
        let name = name.utf8Span.span
        var sketch = UInt32(truncatingIfNeeded: name.count)
        for index in 0..<name.count { sketch = (sketch ^ UInt32(name[index])) &* 0x0100_0193 }
        return sketch
    }
}
