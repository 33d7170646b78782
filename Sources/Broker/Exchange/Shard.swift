internal import Synchronization
package import WSTransport

/// One reactor's part of the broker: its clients, their subscriptions, and the publications of a turn.
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
    // Unchecked, because every message reads these, and nothing is called while one of them changes.
    @exclusivity(unchecked) private var current: ExchangeSettings
    var rules: HistoryRules { unsafe current.rules }
    /// Whether there are any history rules.
    var keepsHistory: Bool { unsafe !current.rules.isEmpty }
    package var isDraining: Bool {
        get { isEnding }
        set {
            isEnding = newValue
            if newValue { handOver() }
        }
    }
    private var isEnding = false
    /// Whether messages of others do not wake this reactor.
    private var isPatient = false
    /// Whether the broker is about to shut down: it reports that it is not ready, but still serves everything.
    package var isLeaving = false
    /// Returns another reason why the broker is not ready; `nil` if there can be none.
    package var hindrance: (() -> String?)?
    /// Whether the broker of a cluster may serve clients; `nil` for a single broker.
    package var isServing: (() -> Bool)? {
        get { servesNow }
        set { servesNow = newValue }
    }
    private var servesNow: (() -> Bool)?
    /// The counts of publications that administrators have requested, by number.
    package var meters: [Int: TopicMeter] {
        get { publications.meters }
        set { publications.meters = newValue }
    }
    /// Is told of clients that join and leave, and of refusals; `nil` if nobody is.
    package weak var witness: (any Witness)?
    /// Counts the use of addresses and users, over all shards; `nil` if it is not counted.
    package var quotas: Quotas?
    /// The current bans; see ``adopt(_:)-(BanList)``.
    var bans = BanList()

    /// The rights of the clients.
    let grants: GrantTable
    /// The sessions whose subscriptions have not been checked since the rules changed.
    var unreviewed: [any Session] = [] {
        didSet { fanOut.isReviewing = !unreviewed.isEmpty }
    }
    /// The criteria by which sessions end when they are reviewed, besides their rights.
    var judgements: [Judgement] = []
    /// Whether the review continues in another turn.
    var isReviewDue = false
    /// How long sessions are reviewed in one turn, in nanoseconds; 0: one session.
    ///
    /// Telling the clients what they have lost, at the end of the turn, takes four times as long.
    var reviewTime: Int64 = 500_000
    let directory: Directory
    let fanOut: FanOut
    /// The records of the latest messages.
    package let recorder: FlightRecorder
    let publications: Publications
    /// The requests that wait for a reply.
    package let inboxes: Inboxes
    /// The clients' ephemeral values.
    let leases: Leases
    /// The subscriptions of sessions that have left, which are still to be removed.
    @exclusivity(unchecked) private(set) var departures = Departures()
    /// The events that are being delivered, from ``nextEvent`` on.
    @exclusivity(unchecked) private var events: [ShardEvent] = []
    private var nextEvent = 0
    private static let keptEvents = 64
    /// When the time of a delivery is to be measured next.
    @exclusivity(unchecked) private var nextMeasurement = MonotonicTime(nanoseconds: 0)
    /// Whether the publishers of the next event have been answered.
    private var isConcluded = false
    /// The number of the last probe that arrived by the mailbox.
    var lastProbe: UInt64 = 0
    var clientNumbers: ClientNumbers
    let mailbox: Mailbox<ShardEvent>
    private let inbox: Inbox
    var knownView = Sequencer.KnownView()
    let index: Int
    /// The number up to which everything has been handed to the live connections.
    private(set) var deliveredUpTo: UInt64 = 0
    @exclusivity(unchecked) private var share = TurnShare()
    /// The most recently used topics, checked by the current limits.
    private var topics = TopicMemo()
    /// The sessions that are behind.
    package let catchUp: CatchUp
    // Unchecked, because each turn reads these, and nothing is called while one of them changes.
    /// Expired values whose removals are to be published.
    @exclusivity(unchecked) private var expiring: ArraySlice<ExpiredValue> = []
    /// Whether removals wait for another reactor.
    @exclusivity(unchecked) private var isWaiting = false
    /// The times at which credentials expire.
    let alarms = Alarms()
    /// Shows subscribers the stored values of topics for which the store has refused newer ones.
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
            reactor: reactor, order: order, sequencer: sequencer, counters: counters, recorder, shard: index)
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
        // The reactor holds the shard anyway, and lets go of both when it ends.
        reactor.endOfTurn.append { [self] in endTurn() }
        fanOut.hold = { [unowned self] in catchUp.hold($0, isKept: $1, $2) }
        catchUp.deliver = { [unowned self] in deliver($0) }
        catchUp.witness = { [unowned self] in witness }
        catchUp.review = { [unowned self] in review($0) }
        catchUp.deliveredUpTo = { [unowned self] in deliveredUpTo }
        publications.limited = { [unowned self] in limited($0, by: $1) }
        publications.unanswered = { [unowned self] source, refusal in
            reactor.connection(of: source).flatMap { directory.session(inSlot: $0.slot) }?.publicationRefused(refusal)
        }
        publications.limitedLater = { [unowned self] in limited(origin: $0, by: $1) }
        fanOut.review = { [unowned self] in unreviewed.isEmpty ? $0 : reviewed($0) }
    }

    /// Assigns a lane of this reactor to a wire form.
    ///
    /// - Parameter endpoint: the endpoint of its clients.
    package func register(_ form: any WireForm, of endpoint: ClientEndpoint = .other) -> Lane {
        fanOut.register(form, of: endpoint)
    }

    // MARK: Clients

    /// Registers a session, until ``leave(_:)``.
    package func join(_ session: any Session) {
        directory.join(session)
        witness?.joined(session.client)
        if session.client.principal.expires != nil { watchExpiry(of: session) }
    }

    /// Removes a session and its subscriptions.
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
            // A message that still matches asks for the session, which is not found.
            reactor.setFlags(.held, of: connection.slot)
            connection.keepsSlot = true
        }
        unsafe departures.add(subscriptions, session: number, on: session.connection)
        reactor.needsTurn()
    }

    /// Removes more subscriptions of sessions that have left.
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

    /// The session of a client by its number; `nil` if it is not on this shard.
    package func session(ofClient number: UInt64) -> (any Session)? { directory.session(ofClient: number) }

    /// All sessions of this reactor.
    package var everybody: [any Session] { directory.everybody }

    func release(_ subscription: Subscription) {
        let forked = directory.remove(subscription)
        if forked != 0 { sequencer.dearness.subtract(forked, ordering: .relaxed) }
        sequencer.subscriptions.subtract(1, ordering: .relaxed)
    }

    /// Sets the number after which clients are numbered, a multiple of 256 that no other broker uses; called before
    /// any.
    package func numberClients(from base: UInt64) { clientNumbers = ClientNumbers(shard: index, from: base) }

    /// Removes ephemeral values whose clients have gone, chosen by the clients' numbers and their grace in
    /// milliseconds.
    package func endEphemerals(atMost maximum: Int, where isOrphan: (_ client: UInt64, _ grace: Int64) -> Bool) {
        for (message, lease) in sequencer.ephemerals(atMost: maximum, where: isOrphan) {
            leases.end(message, lease?.farewell)
        }
    }

    // MARK: A client's share of a turn

    /// Counts commands of the client in `slot`; returns whether it may give more in this turn.
    ///
    /// - Parameter bytes: how long they are.
    package func takesMore(from slot: UInt32, after commands: Int = 1, bytes: Int = 0) -> Bool {
        unsafe share.take(commands, bytes: bytes, by: slot, in: reactor.now)
    }

    /// Counts what a publication costs besides the usual as commands of the client on a connection.
    ///
    /// - Parameter token: of the connection, or ``Draft/noSource``.
    func charge(_ token: UInt64) {
        let weight = sequencer.weight
        guard weight > 0, token != Draft.noSource else { return }
        _ = unsafe share.take(weight, by: UInt32(truncatingIfNeeded: token), in: reactor.now)
    }

    /// Runs `body` in the next turn; if `isLong`, after 2 ms, because it would only wait in the next turn.
    package func inNextTurn(isLong: Bool = false, _ body: @escaping () -> Void) {
        if isLong { reactor.run(afterNanoseconds: 2_000_000, body) } else { reactor.runSoon(body) }
    }

    /// Whether clients have given as many commands in this turn as they may together.
    package var isTurnUsedUp: Bool { unsafe share.isUsedUp(in: reactor.now) }

    /// The topic with this name, which must be UTF-8, for a publication; `nil` if the name is not a valid topic.
    package func topic(named name: Span<UInt8>) -> Topic? {
        if let topic = topics.topic(named: name) { return topic }
        let text = unsafe String(copying: UTF8Span(unchecked: name))
        guard let topic = try? Topic(text, limits: settings.topicLimits) else { return nil }
        topics.keep(topic)
        return topic
    }

    // MARK: Shutdown

    /// Delivers what has been accepted, then tells every client to reconnect, each after a different time.
    ///
    /// - Parameters:
    ///   - crowd: the number of clients on all reactors.
    ///   - absence: how long no broker will be running, in milliseconds.
    ///   - spread: the time over which the clients reconnect, in milliseconds; `nil`: by the settings.
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

    /// The times after which clients are told to reconnect, in milliseconds: after the restart, and not all at once.
    static func retries(crowd: Int, absence: Int, perSecond: Int, spread: Int?) -> ClosedRange<Int> {
        let spread = spread ?? max(leastSpread, crowd * 1000 / max(1, perSecond))
        return absence...(absence + spread)
    }

    /// The shortest time over which clients reconnect, in milliseconds.
    private static let leastSpread = 200

    // MARK: Publishing

    /// Publishes at the end of this turn, for the broker itself or an administrator.
    ///
    /// Clients publish with ``publish(_:by:from:)``.
    ///
    /// - Parameter source: the connection to pause while other reactors cannot keep up; `nil` for the broker itself.
    package func publish(_ draft: consuming Draft, from source: StreamConnection?) {
        publications.add(draft, from: source?.token ?? Draft.noSource)
    }

    /// Sends the broker's own figures to the subscribers whose filters match.
    package func show(_ figures: [(topic: Topic, payload: [UInt8])]) {
        sequencer.show(figures, from: index)
        reactor.needsTurn()
    }

    /// Does the work at the end of a turn; returns whether another turn is needed.
    private func endTurn() -> Bool {
        if hasRemovals { remove() }
        handOver()
        unsafe mailbox.drain(into: &events)
        deliverEvents()
        if unsafe catchUp.holding.isSet { tellHoldingCost() }
        unsafe departures.beginTurn()
        if unsafe departures.count > 0 { clearUp() }
        if !isPatient, unsafe directory.tree.count == 0, inboxes.isEmpty { bePatient() }
        return unsafe !publications.isEmpty || departures.count > 0 || (hasRemovals && !isWaiting)
    }

    /// Whether there are values that have ended or expired and are still to be removed.
    private var hasRemovals: Bool { unsafe leases.hasEnds || !expiring.isEmpty }

    /// Publishes some removals, unless another reactor cannot keep up.
    @inline(never)
    private func remove() {
        guard unsafe !isWaiting else { return }
        guard !sequencer.isCongested(by: index) else {
            unsafe isWaiting = true
            return reactor.run(afterNanoseconds: Publications.congestionPause) { [weak self] in
                guard let self else { return }
                unsafe isWaiting = false
                reactor.needsTurn()
            }
        }
        leases.endSome()
        removeExpired()
    }

    private func removeExpired() {
        let values = unsafe expiring.prefix(sequencer.ownPublications)
        unsafe expiring = values.count < expiring.count ? expiring.dropFirst(values.count) : []
        for value in values {
            var draft = Draft.expiry(of: value)
            draft.completion = { [counters] in if case .success = $0 { counters.expired.add(1) } }
            publications.add(draft)
        }
    }

    /// Tells all reactors what publications cost because of followers that are behind.
    @inline(never)
    private func tellHoldingCost() {
        let change = unsafe catchUp.holding.endTurn(behind: counters.behind.current, now: reactor.now)
        if change != 0 { sequencer.dearness.add(change * Sequencer.unitsOfACommand, ordering: .relaxed) }
    }

    /// Lets messages of others wait until this reactor runs anyway, because none of its clients wants any.
    private func bePatient() {
        isPatient = true
        mailbox.isPatient = true
    }

    /// Lets each message wake this reactor again, because a client will want some.
    func beAttentive() {
        guard isPatient else { return }
        isPatient = false
        mailbox.isPatient = false
        // Some may have come without waking it.
        reactor.needsTurn()
    }

    /// Hands over the drafts of this turn.
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
                    // An answered publisher may subscribe at once, which delivers the rest.
                    guard isConcluded else { continue }
                }
                isConcluded = false
                nextEvent += 1
                send(batch)
                if batch.accepted > 0 { deliveredUpTo = batch.newest }
            case .figures(let batch):
                nextEvent += 1
                // Not recorded: they have no numbers of their own, and would push out the records of messages.
                recorder.pause { send(batch) }
            case .settled(let settlement):
                nextEvent += 1
                catchUp.wakeThoseWaitingForStore()
                publications.settle(settlement)
                // One shard does this for all.
                if index == 0, !settlement.refusedValues.isEmpty { reversions.add(settlement.refusedValues) }
            case .expired(let values):
                nextEvent += 1
                unsafe expiring += values
            case .probe(let number):
                nextEvent += 1
                lastProbe = number
            }
        }
        nextEvent = 0
        // Keep the memory for the next turn, unless there were many events.
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
            fanOut.send(batch.span, isOwn: batch.shard == index)
            if let began = batch.began, unsafe reactor.now.nanoseconds >= nextMeasurement.nanoseconds,
                counters.delivered.current != before
            {
                measure(since: began)
            }
        } else if batch.shard == index {
            record(batch)
        }
        if !inboxes.isEmpty { for item in batch.items where item.message.topic.isInbox { inboxes.take(item.message) } }
        leases.delivered(batch)
        inbox.delivered(batch)
    }

    /// Records messages published on this reactor that have no subscriber here.
    @inline(never)
    private func record(_ batch: Batch) {
        for item in batch.items {
            recorder.published(item.message, to: 0)
            if recorder.isTraced { recorder.show(item.message, to: 0, isAccepted: true, directory) }
        }
    }

    /// Measures the time until the sockets have a delivery.
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

/// Decides whether sessions end, and is told when all have been judged.
struct Judgement {
    let judge: (any Session) -> SessionEnd?
    let then: (Int) -> Void
    /// How many sessions have ended.
    var ended = 0
}
