internal import Synchronization
package import WSTransport

/// One reactor's part of the broker: its clients, their subscriptions, and what a turn publishes.
///
/// Runs on the reactor's thread.
package final class Shard {
    package let reactor: Reactor
    package let sequencer: Sequencer
    package let counters: ShardCounters
    package let store: any MessageStore
    /// Replaced as a whole by a reload.
    package var settings: ExchangeSettings {
        get { current }
        set {
            current = newValue
            for session in everybody { session.takeOverLimits() }
        }
    }
    private var current: ExchangeSettings
    var rules: HistoryRules { current.rules }
    package var isDraining: Bool {
        get { isEnding }
        set {
            isEnding = newValue
            if newValue { handOver() }
        }
    }
    private var isEnding = false
    /// Whether the door is about to be closed: who asks for readiness is told so, all others are served.
    package var isLeaving = false
    /// Those that count what is published just now, by their numbers.
    package var meters: [Int: TopicMeter] = [:]
    /// Told what clients are refused; `nil`: nothing is.
    package weak var witness: (any Witness)?
    /// What ends accepting, one for each listener.
    package var stopActions: [() -> Void] = []

    /// What the clients may do.
    let grants: GrantTable
    /// Those whose subscriptions are still to be looked at, since the rules have changed.
    var unreviewed: [any Session] = []
    /// How many subscriptions are looked at in one turn.
    var reviewedAtOnce = 32 * 1024
    let directory: Directory
    let fanOut: FanOut
    private var drafts: [Draft] = []
    /// Memory for the next turn's drafts, where this turn's took no more than ``keptDrafts``.
    private var emptied: [Draft] = []
    private static let keptDrafts = 64
    private var waiting: [UInt64: (Result<Receipt, Refusal>) -> Void] = [:]
    private var nextClient: UInt64
    let mailbox: Mailbox<Letter>
    private let inbox: Inbox
    private var unreadSources: [StreamConnection] = []
    var knownView = Sequencer.KnownView()
    let index: Int
    /// Everything up to this number has been handed to the connections that are not behind.
    private(set) var deliveredUpTo: UInt64 = 0
    private var share = TurnShare()
    /// What is read for those who are behind is sent in pieces of about this many bytes a turn, and none while something is
    /// unsent.
    var piece = 64 * 1024
    /// Those that are behind and wait for a turn, in order.
    var waitingForTurn: ArraySlice<any Session> = []
    /// What those that are behind may be sent in this turn, all together.
    var catchUpShare = CatchUpShare()
    /// Those that wait for the store to commit.
    var waitingForStore: [any Session] = []
    /// Whether the store is busy, and will be asked again.
    var isAskingStoreAgain = false

    package init(
        reactor: Reactor, sequencer: Sequencer, store: any MessageStore, settings: ExchangeSettings,
        access: AccessRules, counters: ShardCounters
    ) {
        self.reactor = reactor
        self.sequencer = sequencer
        self.store = store
        current = settings
        grants = GrantTable(access)
        self.counters = counters
        directory = Directory(counters: counters)
        fanOut = FanOut(reactor: reactor, directory: directory, counters: counters)
        index = reactor.index
        // Names that do not repeat after a restart, as far as a log reader is concerned.
        nextClient = UInt64(truncatingIfNeeded: WallClock.unixMilliseconds) << 20 | UInt64(reactor.index & 0xFF)
        mailbox = Mailbox(wakeup: { [remote = reactor.remote] in remote.wake() })
        inbox = sequencer.join(mailbox, shard: index)
        deliveredUpTo = sequencer.newest
        reactor[Shard.self] = self
        reactor.endOfTurn.append { [unowned self] in endTurn() }
        fanOut.hold = { [unowned self] in hold($0, $1) }
        fanOut.review = { [unowned self] in unreviewed.isEmpty ? $0 : reviewed($0) }
    }

    /// Gives a wire form its lane on this reactor.
    package func register(_ form: any WireForm) -> Lane { fanOut.register(form) }

    // MARK: Clients

    /// A number that no client of any reactor has had, as far as a log reader is concerned.
    func takeClientNumber() -> UInt64 {
        // The lowest byte is the reactor's, so no two of them ever give the same.
        nextClient += 256
        return nextClient
    }

    /// Makes a session known, until ``leave(_:)``.
    package func join(_ session: any Session) { directory.join(session) }

    /// Forgets a session and its subscriptions.
    package func leave(_ session: any Session) {
        guard directory.leave(session) else { return }
        for subscription in session.subscriptions.removeAll() { release(subscription) }
    }

    func isKnown(_ session: any Session) -> Bool { directory.isKnown(session) }

    /// Everybody on this reactor.
    package var everybody: [any Session] { directory.everybody }

    func release(_ subscription: Subscription) {
        directory.remove(subscription)
        sequencer.subscriptions.subtract(1, ordering: .relaxed)
    }

    // MARK: A client's part of a turn

    /// Counts commands of the client in `slot`, and says whether it may give more of them in this turn.
    package func takesMore(from slot: UInt32, after commands: Int = 1) -> Bool {
        share.take(commands, by: slot, in: reactor.now)
    }

    /// Runs `body` in the next turn, or, where it would only wait there, 2 ms later.
    package func inNextTurn(isLong: Bool = false, _ body: @escaping () -> Void) {
        if isLong { reactor.run(afterNanoseconds: 2_000_000, body) } else { reactor.runSoon(body) }
    }

    // MARK: Shutdown

    /// Accepts no more connections.
    package func stopListening() {
        for action in stopActions { action() }
        stopActions = []
    }

    /// Sends what is acknowledged, then tells every client to come back, each after a time of its own.
    ///
    /// - Parameters:
    ///   - crowd: how many clients there are, on all reactors.
    ///   - absence: how long nobody will be here, in milliseconds.
    package func sayGoodbye(crowd: Int, absence: Int) {
        handOver()
        deliver(mailbox.drain())
        let times = Self.retries(
            crowd: crowd, absence: absence, perSecond: settings.reconnectsPerSecond)
        for session in everybody {
            session.end(.restarting(retry: Int.random(in: times)))
        }
        reactor.finishIdleConnections()
    }

    /// From when to when a crowd is told to come back, in milliseconds: when somebody is here again, and not all at once.
    static func retries(crowd: Int, absence: Int, perSecond: Int) -> ClosedRange<Int> {
        let spread = max(leastSpread, crowd * 1000 / max(1, perSecond))
        return absence...(absence + spread)
    }

    /// In milliseconds.
    private static let leastSpread = 200

    // MARK: Publishing

    /// Publishes at the end of this turn, for the broker itself or its administrator; clients have a door of theirs.
    ///
    /// - Parameter source: what the draft came by, which is not read on while other reactors cannot keep up; `nil`: the
    ///   broker's own.
    package func publish(_ draft: consuming Draft, from source: StreamConnection?) {
        draft.source = source
        drafts.append(draft)
        reactor.needsTurn()
    }

    /// Whether there is more for another turn.
    private func endTurn() -> Bool {
        handOver()
        deliver(mailbox.drain())
        return !drafts.isEmpty
    }

    /// Gives the turn's publications their numbers.
    func handOver() {
        guard !drafts.isEmpty else { return }
        var batch = drafts
        drafts = emptied
        emptied = []
        let results = sequencer.sequence(batch, from: index)
        if sequencer.isCongested { pauseSources(of: batch) }
        conclude(batch.span, results)
        guard batch.capacity <= Self.keptDrafts else { return }
        for _ in batch.indices { batch.removeLast() }
        emptied = batch
    }

    /// Tells the publishers what became of the turn's drafts, which are looked at where they are, and not copied.
    private func conclude(_ drafts: Span<Draft>, _ results: [Result<(seq: UInt64, isQueued: Bool), Refusal>]) {
        for place in drafts.indices {
            switch results[place] {
            case .failure(let refusal):
                counters.refusedPublishes.add(1)
                drafts[place].completion?(.failure(refusal))
            case .success((let seq, let isQueued)):
                if drafts[place].isVolatile { continue }
                counters.published.add(1)
                counters.publishedBytes.add(drafts[place].payload.count)
                if !meters.isEmpty { for meter in meters.values { meter.count(drafts[place]) } }
                guard let completion = drafts[place].completion else { continue }
                if isQueued, drafts[place].acknowledgement == .stored {
                    waiting[seq] = completion
                } else {
                    completion(.success(Receipt(seq: seq, isStored: false)))
                }
            }
        }
    }

    /// Other reactors cannot keep up: the publishers of this turn wait for them.
    private func pauseSources(of batch: [Draft]) {
        counters.congestions.add(1)
        let isFirst = unreadSources.isEmpty
        for draft in batch {
            guard let source = draft.source, !source.isReadingPaused(for: .congestion) else { continue }
            source.pauseReading(for: .congestion)
            unreadSources.append(source)
        }
        if isFirst, !unreadSources.isEmpty { lookAgain() }
    }

    private func lookAgain() {
        reactor.run(afterNanoseconds: 2_000_000) { [weak self] in
            guard let self else { return }
            if sequencer.isCongested { return lookAgain() }
            let sources = unreadSources
            unreadSources = []
            for source in sources { source.resumeReading(for: .congestion) }
        }
    }

    func deliver(_ letters: [Letter]) {
        for letter in letters {
            switch letter {
            case .published(let messages):
                if directory.tree.count > 0 { for message in messages { fanOut.send(message) } }
                deliveredUpTo = messages.last?.seq ?? deliveredUpTo
                inbox.delivered(messages)
            case .settled(let settlement):
                settle(settlement)
            }
        }
    }

    private func settle(_ settlement: StoreThread.Settlement) {
        wakeThoseWaitingForStore()
        guard !waiting.isEmpty else { return }
        for (seq, error) in settlement.failed {
            waiting.removeValue(forKey: seq)?(.failure(Refusal(afterDelivery: error)))
        }
        for seq in settlement.committed {
            waiting.removeValue(forKey: seq)?(.success(Receipt(seq: seq, isStored: true)))
        }
    }

    /// Acknowledgements that wait for the disk.
    package var waitingAcknowledgements: Int { waiting.count }
}
