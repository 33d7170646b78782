internal import WSTransport

/// The subscriptions of one session, and its position in the order of messages.
///
/// A session is *live* when it has been sent everything up to its shard's newest message. It is *behind* when it has
/// only been sent what it is owed up to a cursor (``Ledger``): the store delivers those of the later messages that a
/// rule keeps, and the others are held in memory.
package final class SubscriptionSet {
    package var all: [Subscription] { current }
    // Unchecked, because nothing is called while it changes.
    @exclusivity(unchecked) private var list: [Subscription] = []
    var current: [Subscription] {
        _read { yield unsafe list }
        _modify { yield unsafe &list }
    }
    /// The retained values and markers to send before the subscriptions become live, oldest first.
    ///
    /// While there are any, the session is behind.
    var starts = CatchUpStarts()
    var held = HeldMessages()
    /// The messages that the session is owed; `nil` if it is live.
    private(set) var ledger: Ledger? {
        get { unsafe due }
        set { unsafe due = newValue }
    }
    // Unchecked like the list, because the replaced ledger is still referenced.
    @exclusivity(unchecked) private var due: Ledger?
    // The one-byte properties are together to save padding in every session.
    /// Whether it waits for a turn.
    var isWaiting = false
    /// Whether it waits for the store to commit.
    var isWaitingForStore = false
    /// Whether the session ends after its snapshot and missed messages, so that no later message is held for it.
    package var isPoll: Bool {
        get { isAsked }
        set { isAsked = newValue }
    }
    private var isAsked = false
    /// The number of its session in the ``Directory``; `.max` if it has not joined.
    var owner = UInt32.max
    /// How many subscriptions want only the newest messages.
    private var latestCount: UInt32 = 0
    /// How many subscriptions let the session fall behind.
    private var lagTolerantCount: UInt32 = 0

    package init() {}

    package var count: Int { current.count }

    /// A linear search, because a client has few subscriptions; each step compares two numbers.
    func index(of filter: TopicFilter) -> Int? {
        let sketch = filter.sketch
        return current.firstIndex { $0.has(filter, sketch) }
    }

    package func contains(_ filter: TopicFilter) -> Bool { index(of: filter) != nil }

    package func subscription(at filter: TopicFilter) -> Subscription? { index(of: filter).map { current[$0] } }

    /// Whether some subscription wants only the newest messages.
    var hasLatest: Bool { latestCount > 0 }

    /// Whether the session may fall behind without being closed.
    var toleratesLag: Bool { lagTolerantCount > 0 || ledger?.ended.isEmpty == false }

    /// Whether messages are probably held in memory while the session is behind; only its oldest subscription decides.
    var probablyHolds: Bool { current.first.map { $0.slow == .latest || !$0.usesHistory } ?? false }

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

    package var isBehind: Bool { ledger != nil }

    /// Sets the session behind: messages after `seq` wait in the ledger.
    func setBehind(at seq: UInt64) -> Ledger {
        if let ledger { return ledger }
        let new = Ledger(cursor: seq)
        ledger = new
        return new
    }

    /// Sets the session live: everything has been sent, or is about to be.
    func setLive() {
        guard let old = ledger else { return }
        ledger = nil
        for place in current.indices {
            // The newest first: each continues the one before it.
            for ended in old.ended.reversed() { current[place].follow(ended) }
            current[place].settle()
        }
    }

    /// Moves the cursor back to `seq`, because a subscription that is about to be added asks for older messages.
    func goBack(to seq: UInt64) {
        guard let ledger, seq < ledger.cursor else { return }
        for place in current.indices { current[place].bring(upTo: ledger.cursor) }
        for place in ledger.ended.indices { ledger.ended[place].bring(upTo: ledger.cursor) }
        ledger.cursor = seq
    }

    // MARK: Messages owed

    /// Whether some subscription is owed a message.
    ///
    /// - Parameter client: the number of the session's client.
    func isDue(_ message: Message, client: UInt64) -> Bool {
        if let ledger, let index = indexOfMany(ledger) {
            return index.contains(message.topic) { subscription(at: $0, ledger).hears(message, client: client) }
        }
        return current.contains { $0.isDue(message, client: client) }
            || ledger?.ended.contains { $0.isDue(message, client: client) } ?? false
    }

    /// The indices of all subscriptions that are owed a message; those of ended ones follow the others.
    private func placesDue(_ message: Message, client: UInt64) -> [Int] {
        var places: [Int] = []
        guard let ledger, let index = indexOfMany(ledger) else {
            for place in current.indices where current[place].isDue(message, client: client) { places.append(place) }
            for place in ledger?.ended.indices ?? 0..<0
            where ledger?.ended[place].isDue(message, client: client) ?? false {
                places.append(current.count + place)
            }
            return places
        }
        index.forEach(matching: message.topic) { place in
            // Read in place, because a copy would count references.
            let hears =
                place < current.count
                ? current[place].hears(message, client: client)
                : ledger.ended[place - current.count].hears(message, client: client)
            if hears { places.append(place) }
        }
        return places
    }

    /// Up to this many filters are always searched one by one.
    private static var fewFilters: Int { 4 }
    /// How often more filters are searched one by one before an index is made, which costs as much as some searches.
    private static var fewSearches: Int { 4 }

    /// An index of the filters of all subscriptions, if there are many and they are searched often; otherwise `nil`.
    private func indexOfMany(_ ledger: Ledger) -> FilterIndex? {
        if let index = ledger.index { return index }
        guard current.count + ledger.ended.count > Self.fewFilters else { return nil }
        ledger.searches += 1
        return ledger.searches > Self.fewSearches ? index(ledger) : nil
    }

    /// Whether a message of the history must be sent for a new subscription, because no other one has delivered it.
    ///
    /// - Parameter number: the number of the subscription.
    func wants(_ message: Message, for number: UInt32, client: UInt64) -> Bool {
        for subscription in current {
            guard subscription.number == number else {
                if subscription.isDue(message, client: client) { return false }
                continue
            }
            if subscription.skipsOwn, message.origin == client { return false }
        }
        return true
    }

    /// The numbers of the subscriptions that are owed a message.
    func due(_ message: Message, client: UInt64) -> [UInt32] {
        current.filter { $0.isDue(message, client: client) }.map(\.number)
    }

    /// Whether some subscription that wants all messages is owed this one.
    func isDueInFull(_ message: Message, client: UInt64) -> Bool {
        guard latestCount < current.count else { return false }
        if let ledger, let index = indexOfMany(ledger) {
            return index.contains(message.topic) { place in
                place < current.count && current[place].slow != .latest
                    && current[place].hears(message, client: client)
            }
        }
        return current.contains { $0.slow != .latest && $0.isDue(message, client: client) }
    }

    private func subscription(at place: Int, _ ledger: Ledger) -> Subscription {
        place < current.count ? current[place] : ledger.ended[place - current.count]
    }

    /// An index of the filters of all subscriptions that may still be owed messages.
    ///
    /// Its indices are arguments of ``wantsInFull(_:_:)``.
    func index(_ ledger: Ledger) -> FilterIndex {
        if let index = ledger.index { return index }
        let index = FilterIndex((current + ledger.ended).map(\.filter))
        ledger.index = index
        return index
    }

    /// Whether the store delivers the messages that a subscription's filter matches.
    func wantsInFull(_ place: Int, _ ledger: Ledger) -> Bool {
        let subscription = subscription(at: place, ledger)
        return subscription.slow != .latest && subscription.end > ledger.cursor
    }

    /// Whether to send a kept message with a number after the cursor.
    func takes(_ message: Message, client: UInt64, _ ledger: Ledger) -> Bool {
        var wantedAt: UInt64?
        var broughtUntil: UInt64 = 0
        index(ledger).forEach(matching: message.topic) { place in
            let subscription = subscription(at: place, ledger)
            guard subscription.hears(message, client: client) else { return }
            if message.seq <= subscription.brought {
                if subscription.hasDropped(message) { return }
                // A subscription that began after another one ended still gets the messages that one delivered.
                broughtUntil = max(broughtUntil, subscription.over > 0 ? subscription.over : .max)
            } else if subscription.slow != .latest {
                wantedAt = max(wantedAt ?? 0, subscription.asked)
            }
        }
        guard let wantedAt else { return false }
        return wantedAt > broughtUntil || broughtUntil == 0
    }

    /// The queries to the store while the session is behind.
    func wanted(_ ledger: Ledger) -> [HistoryReading.Wanted] {
        func wanted(_ subscription: Subscription) -> HistoryReading.Wanted {
            let known = max(subscription.brought, subscription.lostUpTo)
            return HistoryReading.Wanted(
                filter: subscription.filter, after: max(ledger.cursor, max(subscription.position, known)),
                parts: subscription.parts)
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

    // MARK: Gaps

    private func note(_ gap: Gap, floor: UInt64, _ subscription: inout Subscription) {
        guard gap.since < gap.seq else { return }
        add(gap, floor: floor, &subscription)
        guard let ledger else { return }
        ledger.nextGap = min(ledger.nextGap, gap.seq)
    }

    private func add(_ gap: Gap, floor: UInt64, _ subscription: inout Subscription) {
        subscription.add(gap, floor: floor)
        if subscription.hasWideGap { ledger?.hasWideGaps = true }
    }

    /// Records that messages matching a filter are lost, so that the gap is announced at its place in the order.
    ///
    /// - Parameters:
    ///   - seq: losses up to this number are now known.
    ///   - mark: ``HistorySummary/lossMark`` when they were found.
    func lose(_ filter: TopicFilter, _ gap: Gap, upTo seq: UInt64, mark: UInt64) {
        guard let ledger else { return }
        let active = index(of: filter)
        if let active {
            current[active].knowLosses(upTo: seq, mark: mark)
            note(gap, floor: gap.since, &current[active])
        }
        for place in ledger.ended.indices where ledger.ended[place].filter == filter {
            let old = ledger.ended[place]
            // An ended subscription that is owed older messages than were searched is searched again later.
            if max(ledger.cursor, max(old.position, max(old.brought, old.lostUpTo))) >= gap.since {
                ledger.ended[place].knowLosses(upTo: seq, mark: mark)
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

    /// Forgets the counts of missing messages if the history may have lost more of them since they were counted.
    ///
    /// - Parameter mark: ``HistorySummary/lossMark`` now.
    func doubtCounts(mark: UInt64) {
        guard let ledger, ledger.nextGap != .max else { return }
        for place in current.indices {
            let known = max(ledger.cursor, max(current[place].position, current[place].brought))
            current[place].doubtCounts(after: known, mark: mark)
        }
        for place in ledger.ended.indices {
            let known = max(ledger.cursor, max(ledger.ended[place].position, ledger.ended[place].brought))
            ledger.ended[place].doubtCounts(after: known, mark: mark)
        }
    }

    /// Records the loss for a `latest` subscription that relied on another one's messages from the store.
    private func loseForLatest(_ filter: TopicFilter, _ gap: Gap, _ subscription: inout Subscription) {
        guard subscription.slow == .latest, subscription.position < gap.seq, gap.since < subscription.end,
            subscription.filter != filter, subscription.filter.overlaps(filter)
        else { return }
        let part = Gap(
            since: max(gap.since, subscription.position), seq: min(gap.seq, subscription.end), missed: nil)
        note(part, floor: part.since, &subscription)
    }

    /// Drops a held message and records the gap; `false` if a subscription does not allow that, and nothing was
    /// dropped.
    ///
    /// - Parameter floor: there is no held message between this number and the message.
    func drop(_ message: Message, floor: UInt64, client: UInt64) -> Bool {
        let due = placesDue(message, client: client)
        guard due.allSatisfy({ $0 >= current.count || current[$0].slow != .close }) else { return false }
        // There may be messages from the store between them.
        let floor = ledger?.isOwed ?? false ? message.seq - 1 : floor
        let gap = Gap(since: message.seq - 1, seq: message.seq, missed: 1)
        var isDueToEnded = false
        for place in due {
            if place < current.count { add(gap, floor: floor, &current[place]) } else { isDueToEnded = true }
        }
        guard !due.isEmpty, let ledger else { return true }
        ledger.nextGap = min(ledger.nextGap, gap.seq)
        guard isDueToEnded else { return true }
        let told = Set(due.lazy.filter { $0 < self.current.count }.map { self.current[$0].filter })
        for place in due where place >= current.count {
            let ended = place - current.count
            if !told.contains(ledger.ended[ended].filter) { add(gap, floor: floor, &ledger.ended[ended]) }
        }
        return true
    }

    // MARK: Replacing and ending

    /// Removes subscriptions that are still owed messages and were replaced by others with the same filter.
    func removeReplaced(of filter: TopicFilter) -> [Subscription] {
        guard let ledger, !ledger.ended.isEmpty else { return [] }
        let replaced = ledger.ended.filter { $0.filter == filter && $0.over == 0 }
        ledger.ended.removeAll { $0.filter == filter && $0.over == 0 }
        ledger.index = nil
        return replaced
    }

    /// Keeps a removed subscription until it has been sent the messages up to `seq` that it is owed.
    ///
    /// - Parameters:
    ///   - isOver: whether the client has ended it; `false` if the client has replaced it.
    ///   - maximum: the maximum number of subscriptions to keep.
    /// - Returns: `false` if there are too many already.
    func retire(_ old: Subscription, at seq: UInt64, isOver: Bool, maximum: Int) -> Bool {
        guard let ledger else { return true }
        ledger.index = nil
        var ended = old
        if starts.isEmpty { removeFinished(ledger, before: &ended) }
        guard ledger.ended.count < maximum else { return false }
        ended.finish(with: min(seq, old.end), over: isOver ? ledger.step() : 0)
        ended.brought = max(ended.brought, ledger.cursor)
        ledger.ended.append(ended)
        return true
    }

    /// Removes subscriptions that have ended and been sent everything; what has replaced them knows of their messages.
    ///
    /// - Parameter next: the one that is about to be kept.
    private func removeFinished(_ ledger: Ledger, before next: inout Subscription) {
        let finished = ledger.ended.filter { $0.isFinished(at: ledger.cursor) }
        ledger.ended.removeAll { $0.isFinished(at: ledger.cursor) }
        for subscription in finished.reversed() {
            next.follow(subscription)
            for place in ledger.ended.indices { ledger.ended[place].follow(subscription) }
            for place in current.indices { current[place].follow(subscription) }
        }
    }

    /// Gives up the messages up to `seq` that removed subscriptions are owed; returns the resulting gap.
    ///
    /// - Parameter isKept: whether a rule may keep some of the messages.
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
        // `latest` subscriptions relied on the messages that the store would have delivered for these.
        for old in parts {
            guard let gap else { break }
            for place in current.indices { loseForLatest(old.filter, gap, &current[place]) }
            for place in ledger.ended.indices { loseForLatest(old.filter, gap, &ledger.ended[place]) }
        }
        return gap
    }

    /// Removes what is owed to a filter that the client has lost the right to.
    ///
    /// `latest` subscriptions that share messages with it are told of a gap: those messages were not held, because the
    /// store was to deliver them for this filter.
    ///
    /// - Parameters:
    ///   - revoked: the subscription, unless it had ended.
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
        // Messages that it has delivered are not delivered again to a subscription that began earlier.
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
