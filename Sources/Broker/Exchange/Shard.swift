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
        get { unsafe current }
        set {
            unsafe current = newValue
            topics = TopicMemo()
            catchUp.limits = newValue.limits
            recorder.resize(to: newValue.flightMemory)
            for session in everybody { session.takeOverLimits() }
        }
    }
    // Each message looks at these, and each look would be checked for a change that is under way: nothing is called during one.
    @exclusivity(unchecked) private var current: ExchangeSettings
    var rules: HistoryRules { unsafe current.rules }
    /// Whether there are any rules of history.
    var keepsHistory: Bool { unsafe !current.rules.isEmpty }
    package var isDraining: Bool {
        get { isEnding }
        set {
            isEnding = newValue
            if newValue { handOver() }
        }
    }
    private var isEnding = false
    /// Whether the broker is about to shut down: readiness says so, while everything else is still served.
    package var isLeaving = false
    /// Another reason why the broker is not ready; `nil`: there can be none.
    package var hindrance: (() -> String?)?
    /// The open counts of publications, by number.
    package var meters: [Int: TopicMeter] {
        get { publications.meters }
        set { publications.meters = newValue }
    }
    /// Told of clients that come and go, and of refusals; `nil`: nothing is told.
    package weak var witness: (any Witness)?
    /// What addresses and users use up, over all shards; `nil`: they are not counted.
    package var quotas: Quotas?
    /// The bans that hold; see ``adopt(_:)-(BanList)``.
    var bans = BanList()

    /// The rights of the clients.
    let grants: GrantTable
    /// The sessions whose subscriptions have not been checked since the rules changed.
    var unreviewed: [any Session] = [] {
        didSet { fanOut.isReviewing = !unreviewed.isEmpty }
    }
    /// By what sessions end while they are reviewed, besides their rights.
    var judgements: [Judgement] = []
    /// Whether another turn goes on with the review.
    var isReviewDue = false
    /// How long sessions are reviewed in one turn, in nanoseconds; 0: one session.
    ///
    /// To tell them what they have lost, at the end of the turn, takes four times as long.
    var reviewTime: Int64 = 500_000
    let directory: Directory
    let fanOut: FanOut
    /// What became of the last messages.
    package let recorder: FlightRecorder
    let publications: Publications
    /// The requests that wait for a reply.
    package let inboxes: Inboxes
    /// The clients' ephemeral values.
    let leases: Leases
    /// What sessions have left that is still to be removed.
    @exclusivity(unchecked) private(set) var departures = Departures()
    /// The events that are being delivered, from ``nextEvent`` on.
    @exclusivity(unchecked) private var events: [ShardEvent] = []
    private var nextEvent = 0
    private static let keptEvents = 64
    /// When the time that a delivery takes is measured again.
    @exclusivity(unchecked) private var nextMeasurement = MonotonicTime(nanoseconds: 0)
    /// Whether the next event's publishers have been answered.
    private var isConcluded = false
    /// The number of the last probe that arrived in the mailbox.
    var lastProbe: UInt64 = 0
    var clientNumbers: ClientNumbers
    let mailbox: Mailbox<ShardEvent>
    private let inbox: Inbox
    var knownView = Sequencer.KnownView()
    let index: Int
    /// The number up to which everything has been handed to the live connections.
    private(set) var deliveredUpTo: UInt64 = 0
    @exclusivity(unchecked) private var share = TurnShare()
    /// The topics that were published to last, by the limits that hold now.
    private var topics = TopicMemo()
    /// The sessions that are behind.
    package let catchUp: CatchUp
    /// When credentials end.
    let alarms = Alarms()
    /// What subscribers are shown of values that the store has refused.
    private lazy var reversions = Reversions(shard: self)

    package init(
        reactor: Reactor, sequencer: Sequencer, order: any Order, store: any MessageStore, settings: ExchangeSettings,
        access: Access, counters: ShardCounters
    ) {
        self.reactor = reactor
        self.sequencer = sequencer
        self.order = order
        self.store = store
        unsafe current = settings
        grants = GrantTable(access)
        self.counters = counters
        directory = Directory(counters: counters)
        recorder = FlightRecorder(size: settings.flightMemory)
        fanOut = FanOut(reactor: reactor, directory: directory, counters: counters, recorder: recorder)
        inboxes = Inboxes(reactor: reactor, counters: counters)
        index = reactor.index
        publications = Publications(
            reactor: reactor, order: order, sequencer: sequencer, counters: counters, shard: index)
        leases = Leases(
            reactor: reactor, publications: publications, sequencer: sequencer, counters: counters)
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
        catchUp.witness = { [unowned self] in witness }
        catchUp.review = { [unowned self] in review($0) }
        catchUp.deliveredUpTo = { [unowned self] in deliveredUpTo }
        fanOut.review = { [unowned self] in unreviewed.isEmpty ? $0 : reviewed($0) }
    }

    /// Gives a wire form its lane on this reactor.
    ///
    /// - Parameter endpoint: of the clients that take it.
    package func register(_ form: any WireForm, of endpoint: ClientEndpoint = .other) -> Lane {
        fanOut.register(form, of: endpoint)
    }

    // MARK: Clients

    /// Makes a session known, until ``leave(_:)``.
    package func join(_ session: any Session) {
        directory.join(session)
        witness?.joined(session.client)
        if session.client.principal.expires != nil { watchExpiry(of: session) }
    }

    /// Forgets a session and its subscriptions.
    package func leave(_ session: any Session) {
        if !alarms.isEmpty { alarms.forget(session.subscriptions.owner) }
        guard let number = directory.leave(session) else { return }
        session.client.membership?.hold(0)
        if !inboxes.isEmpty { inboxes.forget(session.client.id) }
        if !leases.isEmpty { leases.left(session.client.id) }
        let subscriptions = session.subscriptions.removeAll()
        if unsafe departures.takes(subscriptions.count) {
            for subscription in subscriptions { release(subscription) }
            return directory.free(number)
        }
        if let connection = session.connection {
            // A message that still matches is offered to the session, which is not found.
            reactor.setFlags(.held, of: connection.slot)
            connection.keepsSlot = true
        }
        unsafe departures.add(subscriptions, session: number, on: session.connection)
        reactor.needsTurn()
    }

    /// Removes more of what sessions have left.
    @inline(never)
    private func clearUp() {
        let (subscriptions, ended) = unsafe departures.take()
        for subscription in subscriptions { release(subscription) }
        for (number, connection) in ended {
            directory.free(number)
            connection?.giveUpSlot()
        }
    }

    func isKnown(_ session: any Session) -> Bool { directory.isKnown(session) }

    /// The session of a client by its number; `nil`: it is not here.
    package func session(ofClient number: UInt64) -> (any Session)? { directory.session(ofClient: number) }

    /// All sessions of this reactor.
    package var everybody: [any Session] { directory.everybody }

    func release(_ subscription: Subscription) {
        let forked = directory.remove(subscription)
        if forked != 0 { sequencer.forkedFilters.subtract(forked, ordering: .relaxed) }
        sequencer.subscriptions.subtract(1, ordering: .relaxed)
    }

    /// Numbers clients from a number on, a multiple of 256, that no other broker's begin with; before the first.
    package func numberClients(from base: UInt64) { clientNumbers = ClientNumbers(shard: index, from: base) }

    /// Removes ephemeral values by the numbers of the clients that have set them, which are not here any more.
    package func endEphemerals(atMost maximum: Int, where isOrphan: (_ client: UInt64) -> Bool) {
        for message in sequencer.ephemerals(atMost: maximum, where: isOrphan) { leases.end(message) }
    }

    // MARK: A client's part of a turn

    /// Counts commands of the client in `slot`; `true`: it may give more in this turn.
    package func takesMore(from slot: UInt32, after commands: Int = 1) -> Bool {
        unsafe share.take(commands, by: slot, in: reactor.now)
    }

    /// Counts the cost of finding a publication's subscribers as commands of the client in `slot`.
    func chargeMatching(to slot: UInt32) {
        let weight = sequencer.matchWeight
        if weight > 0 { _ = unsafe share.take(weight, by: slot, in: reactor.now) }
    }

    /// Runs `body` in the next turn; `isLong`: 2 ms later, because it would only wait in the next turn.
    package func inNextTurn(isLong: Bool = false, _ body: @escaping () -> Void) {
        if isLong { reactor.run(afterNanoseconds: 2_000_000, body) } else { reactor.runSoon(body) }
    }

    /// The topic of this name, which must be UTF-8, for a publication; `nil`: it is none.
    package func topic(named name: Span<UInt8>) -> Topic? {
        if let topic = topics.topic(named: name) { return topic }
        let text = unsafe String(copying: UTF8Span(unchecked: name))
        guard let topic = try? Topic(text, limits: settings.topicLimits) else { return nil }
        topics.keep(topic)
        return topic
    }

    // MARK: Shutdown

    /// Delivers what has been accepted, then tells every client to come back, each after a different time.
    ///
    /// - Parameters:
    ///   - crowd: how many clients there are, on all reactors.
    ///   - absence: how long no broker will be here, in milliseconds.
    ///   - spread: over which time they come back, in milliseconds; `nil`: as the settings say.
    package func sayGoodbye(crowd: Int, absence: Int, spread: Int? = nil) {
        handOver()
        deliver(mailbox.drain())
        inboxes.refuseAll(Refusal(.unavailable, "The broker is shutting down."))
        let times = Self.retries(
            crowd: crowd, absence: absence, perSecond: settings.reconnectsPerSecond, spread: spread)
        for session in everybody {
            session.end(.restarting(retry: Int.random(in: times)))
        }
        reactor.finishIdleConnections()
    }

    /// The times after which clients are told to come back, in milliseconds: after the restart, and not all at once.
    static func retries(crowd: Int, absence: Int, perSecond: Int, spread: Int?) -> ClosedRange<Int> {
        let spread = spread ?? max(leastSpread, crowd * 1000 / max(1, perSecond))
        return absence...(absence + spread)
    }

    /// The shortest time over which clients come back, in milliseconds.
    private static let leastSpread = 200

    // MARK: Publishing

    /// Publishes at the end of this turn, for the broker itself or an administrator.
    ///
    /// Clients publish by ``publish(_:by:from:)``.
    ///
    /// - Parameter source: the connection that is paused while other reactors cannot keep up; `nil`: the broker itself.
    package func publish(_ draft: consuming Draft, from source: StreamConnection?) {
        publications.add(draft, from: source)
    }

    /// Sends the broker's own figures to the subscribers whose filters match.
    package func show(_ figures: [(topic: Topic, payload: [UInt8])]) {
        sequencer.show(figures, from: index)
        reactor.needsTurn()
    }

    /// Does the work at the end of a turn; `true`: another turn is needed.
    private func endTurn() -> Bool {
        handOver()
        unsafe mailbox.drain(into: &events)
        deliverEvents()
        unsafe departures.beginTurn()
        if unsafe departures.count > 0 { clearUp() }
        return unsafe !publications.isEmpty || departures.count > 0
    }

    /// Hands over what the turn has published.
    func handOver() { publications.handOver() }

    /// Delivers events, after those that are still being delivered.
    func deliver(_ new: [ShardEvent]) {
        unsafe events = events.isEmpty ? new : events + new
        deliverEvents()
    }

    private func deliverEvents() {
        while unsafe nextEvent < events.count {
            switch unsafe events[nextEvent] {
            case .applied(let batch):
                if batch.shard == index, !isConcluded {
                    // Publishers are answered first, so that the answer precedes the message.
                    isConcluded = true
                    publications.conclude(batch)
                    // An answered publisher may have subscribed at once, and that delivers the rest.
                    guard isConcluded else { continue }
                }
                isConcluded = false
                nextEvent += 1
                send(batch)
                deliveredUpTo = batch.items.last?.message.seq ?? deliveredUpTo
            case .figures(let batch):
                nextEvent += 1
                // They have no numbers of their own, and would push out the messages that somebody asks about.
                recorder.pause { send(batch) }
            case .settled(let settlement):
                nextEvent += 1
                catchUp.wakeThoseWaitingForStore()
                publications.settle(settlement)
                // One shard does so for all.
                if index == 0, !settlement.refusedValues.isEmpty { reversions.add(settlement.refusedValues) }
            case .expired(let values):
                nextEvent += 1
                for value in values {
                    var draft = Draft.expiry(of: value)
                    draft.completion = { [counters] in if case .success = $0 { counters.expired.add(1) } }
                    publications.add(draft, from: nil)
                }
            case .probe(let number):
                nextEvent += 1
                lastProbe = number
            }
        }
        nextEvent = 0
        // Memory for the next turn's, if these were not many.
        if unsafe events.capacity <= Self.keptEvents {
            // One by one: most turns have one or two, and `removeAll(keepingCapacity:)` costs more.
            while unsafe !events.isEmpty { unsafe events.removeLast() }
        } else {
            unsafe events = []
        }
    }

    private func send(_ batch: Batch) {
        if unsafe directory.tree.count > 0 {
            let before = counters.delivered.current
            fanOut.send(batch.items.span, isOwn: batch.shard == index)
            if let began = batch.began, unsafe reactor.now.nanoseconds >= nextMeasurement.nanoseconds,
                counters.delivered.current != before
            {
                measure(since: began)
            }
        } else if batch.shard == index {
            record(batch)
        }
        if !inboxes.isEmpty { for item in batch.items where item.message.topic.isInbox { inboxes.take(item.message) } }
        inbox.delivered(batch)
    }

    /// Records messages of this reactor that nobody here subscribes to.
    @inline(never)
    private func record(_ batch: Batch) {
        for item in batch.items {
            recorder.published(item.message, to: 0)
            if recorder.isTraced { recorder.show(item.message, to: 0, isAccepted: true, directory) }
        }
    }

    /// Measures how long a delivery takes until the sockets have it.
    @inline(never)
    private func measure(since began: MonotonicTime) {
        unsafe nextMeasurement = reactor.now.advanced(byNanoseconds: Self.measurementInterval)
        reactor.measure(since: began, in: counters.deliveries)
    }

    /// In nanoseconds.
    private static let measurementInterval: Int64 = 10_000_000

    /// How many publishers wait for the disk.
    package var waitingAcknowledgements: Int { publications.waitingCount }
}

/// What decides whether sessions end, and what is told when all have been judged.
struct Judgement {
    let judge: (any Session) -> SessionEnd?
    let then: (Int) -> Void
    /// How many have ended.
    var ended = 0
}
