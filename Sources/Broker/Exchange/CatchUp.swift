internal import WSTransport

/// Brings the sessions of one reactor that are behind up to date, piece by piece, until they are live.
///
/// A session is behind while its subscriptions begin, and whenever it takes less than it is sent. The store delivers
/// the messages that a rule keeps; the others are held in memory (``SubscriptionSet``). Runs on the reactor's thread.
package final class CatchUp {
    let reactor: Reactor
    let sequencer: Sequencer
    let store: any MessageStore
    let counters: ShardCounters
    private let directory: Directory
    private let fanOut: FanOut
    var recorder: FlightRecorder { fanOut.recorder }
    private let mailbox: Mailbox<ShardEvent>
    /// Delivers events from the mailbox.
    var deliver: ([ShardEvent]) -> Void = { _ in }
    /// Checks the rights of a session, if rights have changed since its last check.
    var review: (any Session) -> Void = { _ in }
    /// Is told of clients that fall behind, and of the messages that they miss; `nil` if nobody is.
    var witness: () -> (any Witness)? = { nil }
    /// The number up to which everything has been handed to the live connections.
    var deliveredUpTo: () -> UInt64 = { 0 }
    /// The limits that hold now.
    var limits: ExchangeSettings.Limits
    /// How much is read and sent for a session in one turn, in bytes; nothing while its connection has unsent bytes.
    var piece = 64 * 1024
    /// The sessions that wait for a turn, in order.
    private var waitingForTurn: ArraySlice<any Session> = []
    /// How much all sessions together may be sent in this turn.
    // Unchecked, because nothing is called while it changes.
    @exclusivity(unchecked) var share = CatchUpShare()
    /// What publications cost because of the sessions that are behind.
    @exclusivity(unchecked) var holding = HoldingCost()
    /// The sessions that wait for the store to commit.
    private var waitingForStore: [any Session] = []
    /// Whether the store is busy, and will be asked again.
    private var isAskingStoreAgain = false

    init(
        reactor: Reactor, sequencer: Sequencer, store: any MessageStore, counters: ShardCounters, directory: Directory,
        fanOut: FanOut, mailbox: Mailbox<ShardEvent>, limits: ExchangeSettings.Limits
    ) {
        self.reactor = reactor
        self.sequencer = sequencer
        self.store = store
        self.counters = counters
        self.directory = directory
        self.fanOut = fanOut
        self.mailbox = mailbox
        self.limits = limits
    }

    /// Forgets the waiting sessions, which hold references to their shard.
    func forget() {
        waitingForTurn = []
        waitingForStore = []
    }

    func isKnown(_ session: any Session) -> Bool { directory.isKnown(session) }

    // MARK: A piece

    /// Sends a session the next piece of what it is owed; called again when its connection has room.
    package func advance(_ session: any Session) {
        let set = session.subscriptions
        review(session)
        guard let ledger = set.ledger, let connection = session.connection, connection.isOpen, !connection.isBroken,
            isKnown(session)
        else {
            return
        }
        guard unsafe share.isLeft(in: reactor.now) else { return waitForTurn(session) }
        let most = min(piece, max(limits.pending / 2, 1))
        var room = most
        let begun = MonotonicTime.now
        defer { unsafe share.take(most - room, nanoseconds: MonotonicTime.now.nanoseconds(since: begun)) }
        do throws(StorageError) {
            guard try open(session, ledger, &room) else { return }
            while let start = set.starts.first {
                guard session.isTaking, session.isDrained else { return }
                // Messages from before the subscription are sent before its snapshot.
                guard try catchUp(session, ledger, to: start.seq, &room) else { return }
                guard set.starts.firstNumber == start.number else { continue }
                if let rewinding = start.rewinding, !rewinding.isReady {
                    guard isOnDisk(upTo: start.seq) else { return waitForStore(session) }
                    try prepare(rewinding)
                    guard rewinding.isReady, room > 0 else { return waitForTurn(session) }
                }
                if var snapshot = start.snapshot {
                    guard room > 0 else { return waitForTurn(session) }
                    if mustWait(snapshot) { return waitForStore(session) }
                    let isDone = try show(&snapshot, nil, start.rewinding, session, &room)
                    guard isKnown(session), set.starts.firstNumber == start.number else { return }
                    guard isDone else {
                        start.snapshot = snapshot
                        return waitForTurn(session)
                    }
                }
                if let rewinding = start.rewinding {
                    start.snapshot = nil
                    let isDone = try rewind(rewinding, start, session, &room)
                    guard isKnown(session), set.starts.firstNumber == start.number else { return }
                    guard isDone else { return waitForTurn(session) }
                }
                set.starts.removeFirst()
                send(set.takeGap(of: start.filter, upTo: start.seq), to: session)
                guard isKnown(session) else { return }
                session.sendLive(start.filter, seq: start.seq)
                guard isKnown(session) else { return }
            }
            guard session.isTaking, session.isDrained else { return }
            _ = try catchUp(session, ledger, to: nil, &room)
        } catch {
            guard error.isBusy else {
                return session.end(.failed("the store cannot be read"))
            }
            waitForBusyStore(session)
        }
    }

    // MARK: Before the messages

    /// Finds out which requested messages the history lacks, and sends retained values in their place.
    ///
    /// - Returns: `false` if that is not finished; the session is advanced again.
    private func open(_ session: any Session, _ ledger: Ledger, _ room: inout Int) throws(StorageError) -> Bool {
        if !ledger.unexamined.isEmpty { try examine(session, ledger) }
        while let resume = ledger.showing.first {
            guard session.isTaking, session.isDrained else { return false }
            guard room > 0, var snapshot = resume.snapshot else {
                waitForTurn(session)
                return false
            }
            if mustWait(snapshot) {
                waitForStore(session)
                return false
            }
            let isDone = try show(&snapshot, resume, nil, session, &room)
            guard isKnown(session) else { return false }
            ledger.showing[0].snapshot = snapshot
            guard isDone else {
                waitForTurn(session)
                return false
            }
            ledger.showing.removeFirst()
        }
        return true
    }

    /// Passes `body` the history and its summary, which includes rules that the store has not applied yet.
    private func readHistory<Result>(
        _ body: (any HistoryView, HistorySummary) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        // Read before the store, so that no rule is missed between the two.
        let waiting = sequencer.waitingRules
        return try store.readHistory { view throws(StorageError) in
            var summary = view.summary
            for (rules, seq) in waiting { summary.adopt(rules, from: seq) }
            return try body(view, summary)
        }
    }

    private func examine(_ session: any Session, _ ledger: Ledger) throws(StorageError) {
        let resumes = ledger.unexamined
        let (mark, found) = try readHistory { view, summary throws(StorageError) in
            let losses = try HistoryReading.losses(
                view, summary,
                resumes.map { HistoryReading.Wanted(filter: $0.filter, after: $0.since, parts: $0.parts) })
            let found = zip(resumes, losses).map { resume, lost in
                let uncovered = HistoryReading.uncovered(
                    summary, resume.filter, after: resume.since, upTo: resume.seq)
                return (uncovered, lost)
            }
            return (summary.lossMark, found)
        }
        ledger.unexamined = []
        for (resume, (uncovered, lost)) in zip(resumes, found) {
            if resume.undoneUpTo > 0 {
                tell(session, resume)
                guard isKnown(session) else { return }
            }
            var gap = uncovered
            if resume.forgotten > resume.since {
                let forgotten = Gap(since: resume.since, seq: resume.forgotten, missed: nil)
                if gap == nil { gap = forgotten } else { gap?.merge(forgotten) }
            }
            if let lost { if gap == nil { gap = lost } else { gap?.merge(lost) } }
            // If nothing is missing, the messages themselves contain every value.
            guard let gap else {
                counters.resumes.add(1)
                // Its values may be ones that are no longer in any log.
                if resume.undoneUpTo > 0, resume.snapshot != nil { ledger.showing.append(resume) }
                continue
            }
            counters.resumesWithGap.add(1)
            session.subscriptions.lose(resume.filter, gap, upTo: lost?.end(from: resume.since) ?? 0, mark: mark)
            if resume.snapshot != nil { ledger.showing.append(resume) }
        }
    }

    private func mustWait(_ snapshot: Snapshot) -> Bool {
        snapshot.waitsForStore && !sequencer.isSettled(upTo: snapshot.seq)
    }

    /// Sends the next piece of a snapshot; `true` if that was the last.
    ///
    /// If it throws, nothing was sent, and `snapshot` must not be used again.
    ///
    /// - Parameters:
    ///   - resume: leaves out the values that its client has, and those that come as messages of the history.
    ///   - rewinding: leaves out the values that it will bring as messages of the history.
    private func show(
        _ snapshot: inout Snapshot, _ resume: Resume?, _ rewinding: Rewinding?, _ session: any Session,
        _ room: inout Int
    ) throws(StorageError) -> Bool {
        var found: [Message] = []
        let progress = try snapshot.read(
            store, visits: 512, bytes: room, now: Lifetime.now
        ) { found.append($0) }
        if let resume {
            // Leave out values that the client has seen, and kept ones, which come later, in their order. Check the
            // messages on their way to the disk first: a message may reach the disk between the two checks.
            if resume.undoneUpTo == 0 { found.removeAll(where: resume.has) }
            let due = found.filter { !resume.has($0) }.map(\.seq)
            let pending = sequencer.pending(of: due)
            found.removeAll { pending.contains($0.seq) }
            let kept = try store.readHistory { view throws(StorageError) in
                var kept: Set<UInt64> = []
                for seq in due where try view.holds(seq) { kept.insert(seq) }
                return kept
            }
            found.removeAll { kept.contains($0.seq) }
            // Leave out held changes of ephemeral values, which come later, too.
            let held = session.subscriptions.held
            if !held.isEmpty, !found.isEmpty {
                let seqs = held.seqs
                found.removeAll { seqs.contains($0.seq) }
            }
        }
        if let rewinding {
            found = try store.readHistory { view throws(StorageError) in
                var values: [Message] = []
                for message in found where try !rewinding.brings(message.seq, view) { values.append(message) }
                return values
            }
        }
        for message in found {
            session.sendSnapshot(message)
            counters.snapshots.add(1)
            counters.sent(message.payloadCount, by: session.client.endpoint)
            room -= message.weight
        }
        return progress == .finished
    }

    // MARK: Messages owed to the session

    /// Sends what is owed up to `limit`; if that is `nil`, sends everything, and the session becomes live.
    ///
    /// - Returns: `false` if that is not finished; the session is advanced again.
    private func catchUp(
        _ session: any Session, _ ledger: Ledger, to limit: UInt64?, _ room: inout Int
    ) throws(StorageError) -> Bool {
        while ledger.isOwed, ledger.cursor < limit ?? .max {
            guard room > 0 else {
                waitForTurn(session)
                return false
            }
            let newest: UInt64?
            let tail: Sequencer.Tail
            if limit == nil {
                // Late messages join the live ones here: the mailbox and the tail are read at the same point.
                let found = sequencer.tail(after: ledger.cursor, emptying: mailbox)
                deliver(found.events)
                guard isKnown(session) else { return false }
                // Answering a publisher may have delivered more than this tail has.
                guard deliveredUpTo() <= found.newest else { continue }
                (newest, tail) = (found.newest, found.tail)
            } else {
                (newest, tail) = (nil, sequencer.tail(after: ledger.cursor))
            }
            let end = min(limit ?? .max, tail.committedUpTo)
            if ledger.cursor < end {
                guard try readDue(session, ledger, upTo: end, &room) else { return false }
            } else {
                guard tail.isWhole, fits(tail, session, ledger) else {
                    waitForStore(session)
                    return false
                }
                for message in tail.messages where message.seq <= limit ?? .max {
                    give(message, to: session, ledger, counters.delivered)
                }
                ledger.cursor = limit ?? newest ?? ledger.cursor
                if limit == nil { ledger.isOwed = false }
            }
        }
        guard let limit else { return join(session) }
        sendHeld(upTo: limit, session)
        sendGaps(upTo: limit, session)
        ledger.cursor = max(ledger.cursor, limit)
        for ending in ledger.takeEndings(upTo: limit) { ending.body() }
        return isKnown(session)
    }

    private func join(_ session: any Session) -> Bool {
        let set = session.subscriptions
        // A few held messages are sent at once; many only after the connection has sent its backlog.
        guard session.isDrained || set.held.bytes < piece else { return false }
        sendHeld(upTo: .max, session)
        sendGaps(upTo: .max, session)
        let endings = set.ledger?.takeEndings(upTo: .max) ?? []
        let figures = set.ledger?.figures ?? []
        if set.isBehind { counters.behind.add(-1) }
        set.setLive()
        recorder.changed(.live, of: session.client, at: deliveredUpTo())
        session.connection?.loseTolerance(of: set)
        if let connection = session.connection { reactor.clearFlags(.held, of: connection.slot) }
        for ending in endings { ending.body() }
        for topic in figures where set.all.contains(where: { $0.filter.matches(topic) }) {
            guard let figure = sequencer.figure(of: topic, after: deliveredUpTo()) else { continue }
            send(figure, to: session)
        }
        return true
    }

    /// Sends a piece of what is owed from the store; `false` if the session is gone, or has enough for now.
    private func readDue(
        _ session: any Session, _ ledger: Ledger, upTo end: UInt64, _ room: inout Int
    ) throws(StorageError) -> Bool {
        let set = session.subscriptions
        let (cursor, bytes, known) = (ledger.cursor, room, ledger.lossMark)
        let index = set.index(ledger)
        let wanted = set.wanted(ledger)
        var found: [Message] = []
        let (losses, mark, reading) = try readHistory { view, summary throws(StorageError) in
            let mark = summary.lossMark
            let losses = mark == known ? [] : try HistoryReading.losses(view, summary, wanted)
            let reading = try HistoryReading.read(
                view, wanted, where: { topic in index.contains(topic) { set.wantsInFull($0, ledger) } },
                after: cursor, upTo: end, bytes: bytes, now: Lifetime.now
            ) { found.append($0) }
            return (losses, mark, reading)
        }
        ledger.lossMark = mark
        if mark != known { set.doubtCounts(mark: mark) }
        for (item, loss) in zip(wanted, losses) {
            if let loss { set.lose(item.filter, loss, upTo: loss.end(from: item.after), mark: mark) }
        }
        for message in found {
            let isGiven = give(message, to: session, ledger, counters.replayed)
            if isGiven { room -= message.weight }
        }
        let reached: UInt64
        if case .stopped(let seq) = reading {
            reached = seq
            // It has looked at many messages, even if few of them are due: that is enough for a turn.
            room = min(room, 0)
        } else {
            reached = end
        }
        sendHeld(upTo: reached, session)
        sendGaps(upTo: reached, session)
        ledger.cursor = reached
        for ending in ledger.takeEndings(upTo: reached) { ending.body() }
        return isKnown(session)
    }

    /// Sends a kept message if it is due, in its place among the held ones.
    @discardableResult
    private func give(
        _ message: Message, to session: any Session, _ ledger: Ledger, _ counter: borrowing Counter
    ) -> Bool {
        guard !message.isExpired(at: Lifetime.now) else { return false }
        // It may also be held, as the newest of its topic before a subscription asked for all messages. Send it once.
        guard sendHeld(upTo: message.seq, session) != message.seq,
            session.subscriptions.takes(message, client: session.client.id, ledger)
        else { return false }
        sendGaps(before: message, session)
        send(message, to: session)
        counter.add(1)
        return true
    }

    /// Whether the messages that are not on disk yet are few enough to be sent at once.
    private func fits(_ tail: Sequencer.Tail, _ session: any Session, _ ledger: Ledger) -> Bool {
        let index = session.subscriptions.index(ledger)
        let bytes = tail.messages.reduce(0) { sum, message in
            index.contains(message.topic) ? sum + message.weight : sum
        }
        return bytes <= max(piece, limits.pending / 4)
    }

    /// Sends the held messages up to a number, and the gaps between them.
    ///
    /// - Returns: the number of the last message that was sent; 0: none.
    @discardableResult
    private func sendHeld(upTo seq: UInt64, _ session: any Session) -> UInt64 {
        let set = session.subscriptions
        var last: UInt64 = 0
        for message in set.held.take(upTo: seq) {
            sendGaps(before: message, session)
            send(message, to: session)
            counters.delivered.add(1)
            last = message.seq
        }
        return last
    }

    /// Sends the gaps up to a number; everything before it must have been sent.
    private func sendGaps(upTo seq: UInt64, _ session: any Session) {
        send(session.subscriptions.takeGaps(upTo: seq), to: session)
    }

    /// Sends the gaps before a message, and runs the actions of subscriptions that end before it.
    ///
    /// No gap reaches past the next message, because a client that loses its connection resumes at the highest number
    /// that it has seen.
    private func sendGaps(before message: Message, _ session: any Session) {
        sendGaps(upTo: message.seq - 1, session)
        for ending in session.subscriptions.ledger?.takeEndings(upTo: message.seq - 1) ?? [] { ending.body() }
        send(session.subscriptions.takeGaps(before: message), to: session)
    }

    private func send(_ gaps: [(subscription: Subscription, gap: Gap)], to session: any Session) {
        for (subscription, gap) in gaps {
            guard isKnown(session) else { return }
            session.sendGap(subscription.filter, gap, isResuming: gap.seq <= subscription.resumedAt)
            counters.gaps.add(1)
            witness()?.missed(gap, of: subscription.filter, session.client)
            recorder.missed(gap, session.client)
        }
    }

    func send(_ message: Message, to session: any Session) {
        // Sending a gap may have closed the session.
        guard isKnown(session) else { return }
        fanOut.send(message, to: session)
    }

    // MARK: Waiting

    /// Advances a session in the next turn, or in a later one if many wait.
    func waitForTurn(_ session: any Session) {
        guard !session.subscriptions.isWaiting else { return }
        session.subscriptions.isWaiting = true
        waitingForTurn.append(session)
        if waitingForTurn.count == 1 { advanceNextTurn() }
    }

    private func advanceNextTurn() { reactor.runSoon { [weak self] in self?.advanceThoseWaiting() } }

    /// Advances the waiting sessions in order; a session that is owed more goes to the end of the queue.
    private func advanceThoseWaiting() {
        var waiting = waitingForTurn[...]
        waitingForTurn = []
        while unsafe share.isLeft(in: reactor.now), let session = waiting.popFirst() {
            session.subscriptions.isWaiting = false
            session.subscriptions.ledger?.hasSettled = false
            advance(session)
        }
        guard !waiting.isEmpty else { return }
        counters.fullTurns.add(1)
        if waitingForTurn.isEmpty { advanceNextTurn() }
        waitingForTurn = waiting + waitingForTurn
    }

    /// Advances a session when the store has committed.
    private func waitForStore(_ session: any Session) {
        guard !session.subscriptions.isWaitingForStore else { return }
        session.subscriptions.isWaitingForStore = true
        waitingForStore.append(session)
    }

    /// Advances a session when the store, which is busy, has committed or may have become free.
    private func waitForBusyStore(_ session: any Session) {
        waitForStore(session)
        guard !isAskingStoreAgain else { return }
        isAskingStoreAgain = true
        reactor.run(afterNanoseconds: Self.busyPause) { [weak self] in
            guard let self else { return }
            isAskingStoreAgain = false
            wakeThoseWaitingForStore()
        }
    }

    /// How long to wait before asking a busy store again, in nanoseconds.
    private static let busyPause: Int64 = 10_000_000

    /// The store has committed: the sessions that waited for it wait for a turn.
    func wakeThoseWaitingForStore() {
        let sessions = waitingForStore
        waitingForStore = []
        for session in sessions {
            session.subscriptions.isWaitingForStore = false
            waitForTurn(session)
        }
    }
}
