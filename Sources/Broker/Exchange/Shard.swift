internal import Synchronization
package import WSTransport

/// One reactor's part of the broker: its clients, their subscriptions, and what a turn publishes.
///
/// Runs on the reactor's thread.
package final class Shard {
    package let reactor: Reactor
    package let sequencer: Sequencer
    let order: any Order
    package let counters: ShardCounters
    package let store: any MessageStore
    /// Replaced as a whole by a reload.
    package var settings: ExchangeSettings {
        get { current }
        set {
            current = newValue
            catchUp.limits = newValue.limits
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
    /// What counts publications at the moment, by number.
    package var meters: [Int: TopicMeter] {
        get { publications.meters }
        set { publications.meters = newValue }
    }
    /// Told what clients are refused; `nil`: nothing is.
    package weak var witness: (any Witness)?
    /// What addresses and users have, over all shards; `nil`: they are not counted.
    package var quotas: Quotas?

    /// What the clients may do.
    let grants: GrantTable
    /// Those whose subscriptions are still to be looked at, since the rules have changed.
    var unreviewed: [any Session] = []
    /// How many subscriptions are looked at in one turn.
    var reviewedAtOnce = 32 * 1024
    let directory: Directory
    let fanOut: FanOut
    let publications: Publications
    /// What came in the mailbox and is being delivered, from ``nextEvent`` on.
    private var events: [ShardEvent] = []
    private var nextEvent = 0
    /// Whether publishers have been told the results in the next event.
    private var isConcluded = false
    /// The number of its last probe that came through the mailbox.
    var lastProbe: UInt64 = 0
    var clientNumbers: ClientNumbers
    let mailbox: Mailbox<ShardEvent>
    private let inbox: Inbox
    var knownView = Sequencer.KnownView()
    let index: Int
    /// Everything up to this number has been handed to the connections that are not behind.
    private(set) var deliveredUpTo: UInt64 = 0
    private var share = TurnShare()
    /// The sessions that are behind.
    package let catchUp: CatchUp
    /// When credentials end.
    let alarms = Alarms()

    package init(
        reactor: Reactor, sequencer: Sequencer, order: any Order, store: any MessageStore, settings: ExchangeSettings,
        access: Access, counters: ShardCounters
    ) {
        self.reactor = reactor
        self.sequencer = sequencer
        self.order = order
        self.store = store
        current = settings
        grants = GrantTable(access)
        self.counters = counters
        directory = Directory(counters: counters)
        fanOut = FanOut(reactor: reactor, directory: directory, counters: counters)
        index = reactor.index
        publications = Publications(
            reactor: reactor, order: order, sequencer: sequencer, counters: counters, shard: index)
        clientNumbers = ClientNumbers(shard: reactor.index)
        mailbox = Mailbox(wakeup: { [remote = reactor.remote] in remote.wake() })
        inbox = sequencer.join(mailbox, shard: index)
        catchUp = CatchUp(
            reactor: reactor, sequencer: sequencer, store: store, counters: counters, directory: directory,
            fanOut: fanOut, mailbox: mailbox, limits: settings.limits)
        deliveredUpTo = sequencer.newest
        reactor[Shard.self] = self
        reactor.endOfTurn.append { [unowned self] in endTurn() }
        fanOut.hold = { [unowned self] in catchUp.hold($0, isKept: $1, $2) }
        catchUp.deliver = { [unowned self] in deliver($0) }
        catchUp.review = { [unowned self] in review($0) }
        catchUp.deliveredUpTo = { [unowned self] in deliveredUpTo }
        fanOut.review = { [unowned self] in unreviewed.isEmpty ? $0 : reviewed($0) }
    }

    /// Gives a wire form its lane on this reactor.
    package func register(_ form: any WireForm) -> Lane { fanOut.register(form) }

    // MARK: Clients

    /// Makes a session known, until ``leave(_:)``.
    package func join(_ session: any Session) {
        directory.join(session)
        if session.client.principal.expires != nil { watchExpiry(of: session) }
    }

    /// Forgets a session and its subscriptions.
    package func leave(_ session: any Session) {
        if !alarms.isEmpty { alarms.forget(session.subscriptions.owner) }
        guard directory.leave(session) else { return }
        session.client.membership?.hold(0)
        for subscription in session.subscriptions.removeAll() { release(subscription) }
    }

    func isKnown(_ session: any Session) -> Bool { directory.isKnown(session) }

    /// The session of a client by its number; `nil`: it is not here.
    package func session(ofClient number: UInt64) -> (any Session)? { directory.session(ofClient: number) }

    /// Everybody on this reactor.
    package var everybody: [any Session] { directory.everybody }

    func release(_ subscription: Subscription) {
        let forked = directory.tree.forkedCount
        directory.remove(subscription)
        sequencer.forkedFilters.subtract(forked - directory.tree.forkedCount, ordering: .relaxed)
        sequencer.subscriptions.subtract(1, ordering: .relaxed)
    }

    // MARK: A client's part of a turn

    /// Counts commands of the client in `slot`, and says whether it may give more of them in this turn.
    package func takesMore(from slot: UInt32, after commands: Int = 1) -> Bool {
        share.take(commands, by: slot, in: reactor.now)
    }

    /// Counts what the subscribers of a publication may cost to find as commands of the client in `slot`.
    func chargeMatching(to slot: UInt32) {
        let weight = sequencer.matchWeight
        if weight > 0 { _ = share.take(weight, by: slot, in: reactor.now) }
    }

    /// Runs `body` in the next turn, or, where it would only wait there, 2 ms later.
    package func inNextTurn(isLong: Bool = false, _ body: @escaping () -> Void) {
        if isLong { reactor.run(afterNanoseconds: 2_000_000, body) } else { reactor.runSoon(body) }
    }

    // MARK: Shutdown

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
        publications.add(draft, from: source)
    }

    /// Sends the broker's own figures to everyone whose filters match.
    package func show(_ figures: [(topic: Topic, payload: [UInt8])]) {
        sequencer.show(figures, from: index)
        reactor.needsTurn()
    }

    /// Whether there is more for another turn.
    private func endTurn() -> Bool {
        handOver()
        deliver(mailbox.drain())
        return !publications.isEmpty
    }

    /// Hands over what the turn has published.
    func handOver() { publications.handOver() }

    /// Delivers what came in the mailbox, after the rest of what came before.
    func deliver(_ new: [ShardEvent]) {
        events = events.isEmpty ? new : events + new
        while nextEvent < events.count {
            switch events[nextEvent] {
            case .applied(let batch):
                if batch.shard == index, !isConcluded {
                    // First, so that the answer precedes the message.
                    isConcluded = true
                    publications.conclude(batch)
                    // A publisher that was told may have had the rest delivered, as it subscribed at once.
                    guard isConcluded else { continue }
                }
                isConcluded = false
                nextEvent += 1
                send(batch)
                deliveredUpTo = batch.items.last?.message.seq ?? deliveredUpTo
            case .figures(let batch):
                nextEvent += 1
                send(batch)
            case .settled(let settlement):
                nextEvent += 1
                catchUp.wakeThoseWaitingForStore()
                publications.settle(settlement)
            case .probe(let number):
                nextEvent += 1
                lastProbe = number
            }
        }
        (events, nextEvent) = ([], 0)
    }

    private func send(_ batch: Batch) {
        if directory.tree.count > 0 {
            let isOwn = batch.shard == index
            for item in batch.items { fanOut.send(item, isOwn: isOwn) }
        }
        inbox.delivered(batch)
    }

    /// How many publishers wait for the disk.
    package var waitingAcknowledgements: Int { publications.waitingCount }
}
