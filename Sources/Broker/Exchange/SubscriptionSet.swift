internal import WSTransport

/// The subscriptions of one session, and where it stands in the order of messages.
///
/// A session is *live*: everything up to the newest message of its shard has been sent; or it is *behind*: what is due
/// up to a cursor has been sent (``Ledger``). Of what comes then, the store brings what a rule keeps, and the rest is held.
package final class SubscriptionSet {
    package var all: [Subscription] { current }
    private var current: [Subscription] = []
    /// What is to be shown before the subscriptions are live, oldest first.
    ///
    /// While there is any, the session is behind.
    var starts = CatchUpStarts()
    var held = HeldMessages()
    /// What is due to the session; `nil`: it is live.
    private(set) var ledger: Ledger?
    // Those of one byte stand together: every session has these.
    /// Whether the session has asked to be called again.
    var isWaiting = false
    /// Whether it waits for the store to commit.
    var isWaitingForStore = false
    /// The number of its session in the ``Directory``; `.max`: it has not joined.
    var owner = UInt32.max
    /// How many subscriptions want the newest messages only.
    private var latestCount: UInt32 = 0
    /// How many do not have the session closed at once.
    private var lagTolerantCount: UInt32 = 0

    package init() {}

    package var count: Int { current.count }

    /// Linear, as one client's subscriptions are few; but a step is the comparison of two numbers.
    private func index(of filter: TopicFilter) -> Int? {
        let sketch = filter.sketch
        return current.firstIndex { $0.has(filter, sketch) }
    }

    package func contains(_ filter: TopicFilter) -> Bool { index(of: filter) != nil }

    package func subscription(at filter: TopicFilter) -> Subscription? { index(of: filter).map { current[$0] } }

    /// Whether some subscription wants the newest messages only.
    var hasLatest: Bool { latestCount > 0 }

    /// Whether the session is not closed at once for falling behind.
    var toleratesLag: Bool { lagTolerantCount > 0 || ledger?.ended.isEmpty == false }

    func add(_ subscription: Subscription) {
        current.append(subscription)
        if subscription.slow == .latest { latestCount += 1 }
        if subscription.toleratesLag { lagTolerantCount += 1 }
        guard let ledger else { return }
        ledger.index = nil
        if let gap = subscription.gaps.first { ledger.nextGap = min(ledger.nextGap, gap.seq) }
    }

    func remove(_ filter: TopicFilter) -> Subscription? {
        guard let index = index(of: filter) else { return nil }
        let removed = current.remove(at: index)
        starts.remove(of: removed.number)
        if removed.slow == .latest { latestCount -= 1 }
        if removed.toleratesLag { lagTolerantCount -= 1 }
        ledger?.index = nil
        return removed
    }

    func removeAll() -> [Subscription] {
        defer {
            current = []
            (latestCount, lagTolerantCount) = (0, 0)
            starts = CatchUpStarts()
            held.removeAll()
            ledger?.ended = []
            ledger?.index = nil
            ledger?.endings = []
            ledger?.unexamined = []
            ledger?.showing = []
        }
        return current
    }

    // MARK: Behind or live

    var isBehind: Bool { ledger != nil }

    /// From now on what is due after `seq` is waited for.
    func setBehind(at seq: UInt64) -> Ledger {
        if let ledger { return ledger }
        let new = Ledger(cursor: seq)
        ledger = new
        return new
    }

    /// Everything has been sent, or is just about to be.
    func setLive() {
        guard let old = ledger else { return }
        ledger = nil
        for place in current.indices {
            // What the one in its place has brought is not brought again.
            for ended in old.ended
            where ended.over == 0 && ended.filter == current[place].filter && ended.skipsOwn == current[place].skipsOwn
                && ended.end >= current[place].position
            {
                current[place].position = min(current[place].position, ended.position)
            }
            current[place].settle()
        }
    }

    /// Reads once more from `seq` on, for the sake of a subscription that is about to be added.
    func goBack(to seq: UInt64) {
        guard let ledger, seq < ledger.cursor else { return }
        for place in current.indices { current[place].brought = max(current[place].brought, ledger.cursor) }
        for place in ledger.ended.indices {
            ledger.ended[place].brought = max(ledger.ended[place].brought, ledger.cursor)
        }
        ledger.cursor = seq
    }

    // MARK: What is due

    /// Whether some subscription asks for a message.
    ///
    /// - Parameter client: the session's own.
    func isDue(_ message: Message, client: UInt64) -> Bool {
        current.contains { $0.isDue(message, client: client) }
            || ledger?.ended.contains { $0.isDue(message, client: client) } ?? false
    }

    /// The numbers of the subscriptions that ask for a message.
    func due(_ message: Message, client: UInt64) -> [UInt32] {
        current.filter { $0.isDue(message, client: client) }.map(\.number)
    }

    /// The same, of those that want all messages.
    func isDueInFull(_ message: Message, client: UInt64) -> Bool {
        current.contains { $0.slow != .latest && $0.isDue(message, client: client) }
    }

    private func subscription(at place: Int, _ ledger: Ledger) -> Subscription {
        place < current.count ? current[place] : ledger.ended[place - current.count]
    }

    /// The filters of all subscriptions that something may be due to; their places are those that ``wantsInFull(_:)`` takes.
    func index(_ ledger: Ledger) -> FilterIndex {
        if let index = ledger.index { return index }
        let index = FilterIndex((current + ledger.ended).map(\.filter))
        ledger.index = index
        return index
    }

    /// Whether the store is to bring what a subscription's filter matches.
    func wantsInFull(_ place: Int, _ ledger: Ledger) -> Bool {
        let subscription = subscription(at: place, ledger)
        return subscription.slow != .latest && subscription.end > ledger.cursor
    }

    /// Whether a message after the cursor, which is kept, is to be sent.
    func takes(_ message: Message, client: UInt64, _ ledger: Ledger) -> Bool {
        var wantedAt: UInt64?
        var broughtUntil: UInt64 = 0
        index(ledger).forEach(matching: message.topic) { place in
            let subscription = subscription(at: place, ledger)
            guard subscription.hears(message, client: client) else { return }
            if message.seq <= subscription.brought {
                // A filter that asks after another one has ended is not told that it has had it from that one.
                broughtUntil = max(broughtUntil, subscription.over > 0 ? subscription.over : .max)
            } else if subscription.slow != .latest {
                wantedAt = max(wantedAt ?? 0, subscription.asked)
            }
        }
        guard let wantedAt else { return false }
        return wantedAt > broughtUntil || broughtUntil == 0
    }

    /// What the store is asked for while the session is behind.
    func wanted(_ ledger: Ledger) -> [HistoryReading.Wanted] {
        func wanted(_ subscription: Subscription) -> HistoryReading.Wanted {
            let known = max(subscription.brought, subscription.lostUpTo)
            return HistoryReading.Wanted(
                filter: subscription.filter, after: max(ledger.cursor, max(subscription.position, known)))
        }
        var list = current.filter { $0.slow != .latest }.map(wanted)
        for ended in ledger.ended where ended.slow != .latest && ended.end > ledger.cursor {
            let item = wanted(ended)
            if let place = list.firstIndex(where: { $0.filter == item.filter }) {
                list[place].after = min(list[place].after, item.after)
            } else {
                list.append(item)
            }
        }
        return list
    }

    // MARK: What is missing

    private func note(_ gap: Gap, floor: UInt64, _ subscription: inout Subscription) {
        guard gap.since < gap.seq else { return }
        subscription.add(gap, floor: floor)
        guard let ledger else { return }
        ledger.nextGap = min(ledger.nextGap, gap.seq)
    }

    private func note(_ message: Message, floor: UInt64, _ subscription: inout Subscription) {
        note(Gap(since: message.seq - 1, seq: message.seq, missed: 1), floor: floor, &subscription)
    }

    /// Takes note that some of what a filter matches is not there any more, so that it is announced in its place.
    ///
    /// - Parameter seq: losses up to this number are known by now.
    func lose(_ filter: TopicFilter, _ gap: Gap, upTo seq: UInt64) {
        guard let ledger else { return }
        let active = index(of: filter)
        if let active {
            current[active].lostUpTo = max(current[active].lostUpTo, seq)
            note(gap, floor: gap.since, &current[active])
        }
        for place in ledger.ended.indices where ledger.ended[place].filter == filter {
            let old = ledger.ended[place]
            // One that is due more than was looked at is looked at again.
            if max(ledger.cursor, max(old.position, max(old.brought, old.lostUpTo))) >= gap.since {
                ledger.ended[place].lostUpTo = max(old.lostUpTo, seq)
            }
            guard active == nil else { continue }
            let (since, end) = (max(gap.since, ledger.ended[place].position), ledger.ended[place].end)
            let part =
                gap.seq <= end && since == gap.since ? gap : Gap(since: since, seq: min(gap.seq, end), missed: nil)
            note(part, floor: part.since, &ledger.ended[place])
        }
        for place in current.indices { loseForLatest(filter, gap, &current[place]) }
        for place in ledger.ended.indices { loseForLatest(filter, gap, &ledger.ended[place]) }
    }

    /// What another subscription wanted in full the store was to bring to one of the latest, too.
    private func loseForLatest(_ filter: TopicFilter, _ gap: Gap, _ subscription: inout Subscription) {
        guard subscription.slow == .latest, subscription.position < gap.seq, gap.since < subscription.end,
            subscription.filter != filter, subscription.filter.overlaps(filter)
        else { return }
        let part = Gap(
            since: max(gap.since, subscription.position), seq: min(gap.seq, subscription.end), missed: nil)
        note(part, floor: part.since, &subscription)
    }

    /// Drops a held message for those that allow it, and remembers that; `false`: some do not.
    ///
    /// - Parameter floor: nothing that is held comes after this number and before the message.
    func drop(_ message: Message, floor: UInt64, client: UInt64) -> Bool {
        let due = current.indices.filter { current[$0].isDue(message, client: client) }
        guard due.allSatisfy({ current[$0].slow != .close }) else { return false }
        // Where the store brings others, they may lie between.
        let floor = ledger?.isOwed ?? false ? message.seq - 1 : floor
        for place in due { note(message, floor: floor, &current[place]) }
        guard let ledger else { return true }
        for place in ledger.ended.indices
        where ledger.ended[place].isDue(message, client: client)
            && !due.contains(where: { current[$0].filter == ledger.ended[place].filter })
        {
            note(message, floor: floor, &ledger.ended[place])
        }
        return true
    }

    /// Takes the gaps that end with `seq` or before, to be announced.
    func takeGaps(upTo seq: UInt64) -> [(subscription: Subscription, gap: Gap)] {
        guard let ledger, ledger.nextGap <= seq else { return [] }
        ledger.nextGap = .max
        var gaps: [(Subscription, Gap)] = []
        func take(_ subscription: inout Subscription) {
            gaps += subscription.takeGaps(upTo: seq).map { (subscription, $0) }
            if let next = subscription.gaps.first { ledger.nextGap = min(ledger.nextGap, next.seq) }
        }
        for place in current.indices { take(&current[place]) }
        for place in ledger.ended.indices { take(&ledger.ended[place]) }
        return gaps
    }

    /// Takes, of the gaps of a filter, what lies before its end marker.
    func takeGap(of filter: TopicFilter, upTo seq: UInt64) -> [(subscription: Subscription, gap: Gap)] {
        guard let ledger, ledger.nextGap != .max, let place = index(of: filter),
            let gap = current[place].takeGap(upTo: seq, leaving: seq)
        else { return [] }
        return [(current[place], gap)]
    }

    /// Takes, of the gaps of those whose filters match a message, what lies before it.
    func takeGaps(before message: Message) -> [(subscription: Subscription, gap: Gap)] {
        guard let ledger, ledger.nextGap != .max else { return [] }
        var gaps: [(Subscription, Gap)] = []
        func take(_ subscription: inout Subscription) {
            guard let gap = subscription.takeGap(upTo: message.seq - 1, leaving: message.seq) else { return }
            gaps.append((subscription, gap))
        }
        index(ledger).forEach(matching: message.topic) { place in
            if place < current.count { take(&current[place]) } else { take(&ledger.ended[place - current.count]) }
        }
        return gaps
    }

    // MARK: Replacing and ending

    /// Removes those that were replaced by others of the same filter and are still due something.
    func removeReplaced(of filter: TopicFilter) -> [Subscription] {
        guard let ledger, !ledger.ended.isEmpty else { return [] }
        let replaced = ledger.ended.filter { $0.filter == filter && $0.over == 0 }
        ledger.ended.removeAll { $0.filter == filter && $0.over == 0 }
        ledger.index = nil
        return replaced
    }

    /// Keeps a subscription that is not among the others any more until it has had what is due to it up to `seq`.
    ///
    /// - Parameters:
    ///   - isOver: the client does not want it any more, rather than having replaced it.
    ///   - maximum: so many are kept.
    /// - Returns: `false`: there are too many.
    func retire(_ old: Subscription, at seq: UInt64, isOver: Bool, maximum: Int) -> Bool {
        guard let ledger else { return true }
        if starts.isEmpty { ledger.ended.removeAll { $0.end <= ledger.cursor && $0.gaps.isEmpty } }
        guard ledger.ended.count < maximum else { return false }
        var ended = old
        ended.finish(with: min(seq, old.end), over: isOver ? ledger.step() : 0)
        ended.brought = max(ended.brought, ledger.cursor)
        ledger.ended.append(ended)
        ledger.index = nil
        return true
    }

    /// What subscriptions that are not among the others any more will not get of what is due to them up to `seq`.
    ///
    /// - Parameter isKept: whether a rule may keep some of it.
    func writeOff(_ parts: [Subscription], upTo seq: UInt64, isKept: Bool, client: UInt64) -> Gap? {
        guard let ledger else { return nil }
        var gap: Gap?
        func add(_ more: Gap) { if gap == nil { gap = more } else { gap?.merge(more) } }
        for old in parts {
            for part in old.gaps { add(part) }
            let known = max(ledger.cursor, max(old.position, max(old.brought, old.lostUpTo)))
            let end = min(seq, old.end)
            guard ledger.isOwed, isKept, known < end else { continue }
            add(Gap(since: known, seq: end, missed: nil))
        }
        held.keep { message in
            if isDue(message, client: client) { return true }
            add(Gap(since: message.seq - 1, seq: message.seq, missed: 1))
            return false
        }
        // What these wanted in full the store was to bring to those that want the latest, too.
        for old in parts {
            guard let gap else { break }
            for place in current.indices { loseForLatest(old.filter, gap, &current[place]) }
            for place in ledger.ended.indices { loseForLatest(old.filter, gap, &ledger.ended[place]) }
        }
        return gap
    }

    /// Forgets what is due to a filter that the client may not have any more.
    ///
    /// What the store was to bring in full for its sake is announced to subscriptions that want the latest and that share
    /// messages with it: those were not held.
    ///
    /// - Parameters:
    ///   - revoked: its subscription, unless it had ended.
    ///   - seq: messages up to this one have been handed out.
    func withdraw(_ filter: TopicFilter, _ revoked: Subscription?, upTo seq: UInt64, client: UInt64) {
        guard let ledger else { return }
        var parts = ledger.ended.filter { $0.filter == filter }
        if let revoked { parts.append(revoked) }
        ledger.ended.removeAll { $0.filter == filter }
        ledger.index = nil
        ledger.removeValues(of: filter)
        _ = ledger.removeResumes(of: filter)
        for part in parts where part.slow != .latest && ledger.isOwed {
            let known = max(ledger.cursor, max(part.position, max(part.brought, part.lostUpTo)))
            let gap = Gap(since: known, seq: min(seq, part.end), missed: nil)
            guard gap.since < gap.seq else { continue }
            for place in current.indices { loseForLatest(filter, gap, &current[place]) }
            for place in ledger.ended.indices { loseForLatest(filter, gap, &ledger.ended[place]) }
        }
        // What it has brought is not brought again for the sake of a filter that had asked before.
        for var part in parts where part.brought > ledger.cursor {
            part.withdraw(at: part.over > 0 ? part.over : ledger.step())
            ledger.ended.append(part)
        }
        held.keep { isDue($0, client: client) }
    }

    func change(_ filter: TopicFilter, _ body: (inout Subscription) -> Void) {
        guard let index = index(of: filter) else { return }
        body(&current[index])
    }
}
