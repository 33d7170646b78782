internal import WSTransport

/// The work of a log in Redis on its thread: greets the engine, agrees with the other brokers on how far they have
/// read, and appends.
final class RedisSession {
    enum Phase: Equatable {
        /// There is no link to a primary, or the engine cannot be used.
        case away
        /// The primary is asked whether it can be used, and for which term it accepts records.
        case greeting
        /// It accepts none: the brokers report how far they have read.
        case arming
        /// It accepts records for this term.
        case engaged(UInt64)
        case lost(LogTrouble)
    }

    let options: RedisLog.Options
    let keys: EngineFunctions.Keys
    private let log: RedisLog
    let order: LogOrder
    let reactor: Reactor
    let tail: RedisTail
    private let post: RedisPost
    private var writes: EngineRoute?
    private var reads: EngineRoute?

    var primary: EngineLink?
    private(set) var phase = Phase.away
    /// Rises with each change of the phase, so that answers to earlier requests are recognised.
    private(set) var visit = 0
    /// The epoch that this broker proposes while its log has none.
    private var proposal = UInt64.random(in: 1..<1 << 53)
    /// How many brokers must answer before a term begins, or the end of the grace.
    private var peers: UInt64
    var top = LogPosition.start
    /// Whether the engine can append a record that its functions do not see.
    private(set) var maySplit = false
    var clock = EngineClock()
    /// Since when there is no proof that publications come back; `nil` if there is one.
    private var doubtful: MonotonicTime?
    /// When the outstanding canary was appended.
    private var canary: MonotonicTime?
    private var engagedAt: MonotonicTime?
    /// Since when the primary has continued with an earlier term than this broker has read; `nil` if it does not.
    private var behind: MonotonicTime?
    var facts: [UInt64: String] = [:]
    /// The copy for another broker, and the copy for this one.
    var giver: CopyGiver?
    var taker: CopyTaker?
    /// How often each unanswered request for a copy has been seen.
    var unanswered: [String: Int] = [:]
    /// What should be set differently at the servers, by their roles.
    var warnings: [EngineRoute.Role: [EngineWarning]] = [:] {
        didSet { status.warnings = warnings[.primary, default: []] + warnings[.replica, default: []] }
    }
    private var ticks = 0
    private var hasLeft = false
    var status = RedisLog.Status()
    /// Why the primary cannot be used, until a term is engaged; `nil` if it can, as far as is known.
    private var primaryFailure: String?
    /// Why the log cannot be read, until it has been read; `nil` if it can, as far as is known.
    private var readFailure: String?

    /// More brokers than exist, so that each waits for its grace.
    private static let everyone: UInt64 = 1 << 32
    /// The jump of the numbers at a new term.
    private static let jump: UInt64 = 1 << 20
    /// How often it reports how far it has read before a term begins, in nanoseconds.
    private static let readyPace: Int64 = 30_000_000
    /// After what time it tries an unusable engine again, in nanoseconds.
    private static let retryPace: Int64 = 300_000_000
    /// How often it checks the waiting records, in nanoseconds; every fourth time it sends a canary.
    private static let tickPace: Int64 = 250_000_000
    /// How long it must have followed the log to know which brokers exist, in nanoseconds.
    private static let acquaintance: Int64 = 3_000_000_000
    /// The limits of the entries that are restored at a time.
    private static let offered = (count: 64, size: 4 << 20)

    init(_ options: RedisLog.Options, _ log: RedisLog, _ order: LogOrder, on reactor: Reactor) {
        (self.options, self.log, self.order, self.reactor) = (options, log, order, reactor)
        peers = options.brokers.map(UInt64.init) ?? Self.everyone
        if options.epoch() != 0 { proposal = options.epoch() }
        keys = EngineFunctions.Keys(cluster: options.cluster)
        post = RedisPost(options, keys: keys, on: reactor)
        weak var session: RedisSession?
        tail = RedisTail(options, key: keys.log, order, on: reactor) { session?.tailReports($0) }
        session = self
        tail.onCanary = { [weak self] in self?.canaryCame() }
        var limits = options.limits
        // Records of an earlier attempt may wait for their answers, too.
        limits.maximumCommands = max(limits.maximumCommands, 4096)
        limits.answers.maximumSize = max(limits.answers.maximumSize, 160 << 20)
        limits.maximumUnsent = max(limits.maximumUnsent, 160 << 20)
        writes = EngineRoute(to: .primary, at: options.place, options.access, limits, on: reactor) { [weak self] in
            self?.writesReport($0)
        }
        reads = EngineRoute(to: options.readsAt, at: options.place, options.access, limits, on: reactor) {
            [weak self] in self?.readsReport($0)
        }
    }

    func start() {
        writes?.start()
        reads?.start()
        post.start()
        tick()
    }

    func stop() {
        visit += 1
        giver?.end()
        taker?.stop()
        writes?.stop()
        reads?.stop()
        post.stop()
        (writes, reads, primary, taker) = (nil, nil, nil, nil)
        order.disengage()
    }

    /// How long it tries to leave the engine's list of brokers when it ends, in nanoseconds.
    private static let farewell: Int64 = 300_000_000

    /// Makes the engine forget this broker, which is shutting down gracefully.
    func leave(_ then: @escaping () -> Void) {
        guard case .engaged = phase, let primary else { return then() }
        hasLeft = true
        primary.ask(["HDEL", .text(keys.nodes), .text(name)], patience: Self.farewell) { _ in then() }
    }

    func send(_ letter: NodeLetter, to node: UInt64) {
        guard let command = post.command(sending: letter, to: node) else {
            status.counts.oversized += 1
            return
        }
        primary?.ask(command) { _ in }
    }

    // MARK: The links

    private func writesReport(_ event: EngineRoute.Event) {
        switch event {
        case .open(let link):
            primary = link
            look(at: link, as: .primary)
            if case .lost = phase { break }
            greet()
        case .failed(let failure):
            primary = nil
            leave(failure)
        }
    }

    private func readsReport(_ event: EngineRoute.Event) {
        switch event {
        case .open(let link):
            if options.readsAt == .replica { look(at: link, as: .replica) }
            tail.opened(link)
        case .failed(let failure):
            tail.failed()
            readFailure = failure.text(of: options.readsAt)
        }
        publish()
    }

    private func tailReports(_ event: RedisTail.Event) {
        switch event {
        case .read:
            if readFailure != nil { readFailure = nil } else if state == status.state { return }
        case .failed(let failure): reads?.abandon(failure)
        case .lost(let trouble):
            visit += 1
            phase = .lost(trouble)
            primaryFailure = trouble.description
            reads?.stop()
            if trouble.isCuredByCopy, options.copies != nil {
                takeCopy()
            } else {
                writes?.stop()
                primary = nil
            }
        }
        publish()
    }

    // MARK: Greeting

    /// Ends the agreement with the primary; publications wait.
    private func leave(_ failure: EngineFailure) {
        disengage()
        if case .lost = phase { return }
        phase = .away
        primaryFailure = failure.text(of: .primary)
        publish()
    }

    private func disengage() {
        visit += 1
        guard case .engaged = phase else { return }
        order.disengage()
        clock = EngineClock()
        status.counts.failures += 1
        doubtful = doubtful ?? reactor.now
        peers = options.brokers.map(UInt64.init) ?? Self.everyone
        if options.brokers == nil, let engagedAt, reactor.now.nanoseconds(since: engagedAt) > Self.acquaintance {
            peers = UInt64(present.count)
        }
        engagedAt = nil
    }

    /// The living brokers, including this one.
    var present: [UInt64] {
        let now = reactor.now
        let others = tail.members.values.filter { member in
            member.node != options.node && (member.heard.map { now.nanoseconds(since: $0) < options.absence } ?? false)
        }
        return others.map(\.node) + [options.node]
    }

    /// Handles an unusable primary, which is tried again soon.
    func hinder(_ failure: EngineFailure) {
        leave(failure)
        after(Self.retryPace) { $0.greet() }
    }

    private func after(_ nanoseconds: Int64, _ body: @escaping (RedisSession) -> Void) {
        let visit = visit
        reactor.run(afterNanoseconds: nanoseconds) { [weak self] in
            guard let self, visit == self.visit else { return }
            body(self)
        }
    }

    /// Sends a command to the primary; answers for an earlier visit are ignored.
    func ask(_ command: RESPCommand, _ then: @escaping (EngineLink.Answer) -> Void) {
        let visit = visit
        primary?.ask(command) { [weak self] answer in
            guard let self, visit == self.visit else { return }
            then(answer)
        }
    }

    func ask(
        _ function: EngineFunctions.Function, _ arguments: [RESPCommand.Word],
        _ then: @escaping ([RESPValue]) -> Void
    ) {
        ask(keys.call(function, arguments)) { [unowned self] answer in
            switch answer {
            case .success(let value): then(value.elements ?? [])
            case .failure(let failure): refused(failure)
            }
        }
    }

    /// Handles a refused command.
    func refused(_ failure: EngineFailure) {
        guard case .refused(let error) = failure else {
            // Either the link has ended, which its route reports, or too much waits for it.
            if failure == .busy { writes?.abandon(failure) }
            return
        }
        switch error.code {
        case "UNARMED", "TERM":
            disengage()
            hello()
        case "UNASKED":
            visit += 1
            after(Self.readyPace) { $0.ready() }
        case "READONLY": writes?.abandon(failure)
        case "WRONGTYPE": hinder(foreign("a key of this name has another type"))
        case "ERR" where error.description.contains("unction not found"): greet()
        default: hinder(failure)
        }
    }

    private func foreign(_ reason: String) -> EngineFailure {
        .unfit("The keys broker:{\(options.cluster)}: are not this cluster's (\(reason)): set another cluster.name.")
    }

    private func greet() {
        disengage()
        guard let primary else { return }
        phase = .greeting
        publish()
        let visit = visit
        EngineInspection.begin(primary, needsPersistence: options.needsPersistence) {
            [weak self, weak primary] failure in
            guard let self, let primary, visit == self.visit else { return }
            if let failure { return hinder(failure) }
            EngineFunctions.provide(primary) { [weak self] failure in
                guard let self, visit == self.visit else { return }
                if let failure { hinder(failure) } else { hello() }
            }
        }
    }

    private func hello() {
        phase = .greeting
        ask(.hello, [.text(name), .text(options.facts())]) { [unowned self] words in
            guard words.count >= 4, let term = words[0].integer, let top = words[1].text.flatMap({ LogPosition($0) }),
                let closed = words[2].text.flatMap({ LogPosition($0) })
            else { return hinder(.malformed(RESPMistake("an answer to hello"))) }
            let epoch = words[3].integer.flatMap { UInt64(exactly: $0) }
            // Functions of an earlier version do not say it.
            maySplit = words.count > 4 && words[4].integer == 1
            let known = order.epoch == 0 ? options.epoch() : order.epoch
            if let epoch, known != 0, epoch != known {
                return hinder(foreign("their epoch is \(epoch), this broker's is \(known)"))
            }
            comparePartitions { [unowned self] in
                if let epoch, order.epoch == 0 { proposal = epoch }
                self.top = top
                if term > 0 {
                    engage(term: UInt64(term), closed: closed)
                } else {
                    tail.hold()
                    phase = .arming
                    ready()
                }
            }
        }
    }

    /// The name by which the engine knows this broker.
    private var name: String { Self.name(of: options.node) }

    private static func name(of node: UInt64) -> String { String(node, radix: 16) }

    // MARK: Agreeing on a term

    /// Reports how far this broker has read; entries that it has not applied by now belong to no known term yet.
    private func ready() {
        publish()
        let epoch = order.epoch == 0 ? proposal : order.epoch
        let arguments: [RESPCommand.Word] = [
            .text(name), .text("\(order.position)"), .number(epoch),
            .number(UInt64(clamping: options.grace / 1_000_000)), .number(Self.jump), .number(peers),
        ]
        ask(.ready, arguments) { [unowned self] words in
            guard words.count == 2, let term = words[0].integer, let text = words[1].text else {
                return hinder(.malformed(RESPMistake("an answer to ready")))
            }
            if term > 0 { return hello() }
            if let from = LogPosition(text) { return offer(after: from) }
            if text.hasPrefix("epoch ") {
                // An empty log begins with the first proposed state; `hello` says which, or that it belongs to another
                // cluster.
                return after(Self.readyPace) { $0.hello() }
            }
            after(Self.readyPace) { $0.ready() }
        }
    }

    /// Restores what this broker has after a position, piece by piece, and then begins the term.
    private func offer(after place: LogPosition) {
        let entries = tail.ring.entries(after: place, atMost: Self.offered.count, size: Self.offered.size)
        guard let last = entries.last else {
            let epoch = order.epoch == 0 ? proposal : order.epoch
            return ask(.arm, [.text(name), .text("\(order.position)"), .number(epoch), .number(Self.jump)]) {
                [unowned self] _ in hello()
            }
        }
        var left = entries.count
        for entry in entries {
            let fields = entry.fields.map { RESPCommand.Word.bytes($0) }
            ask(.offer, [.text(name), .text("\(entry.place)")] + fields) { [unowned self] words in
                if words.first?.integer == 1 { status.counts.restored += 1 }
                left -= 1
                if left == 0 { offer(after: last.place) }
            }
        }
    }

    private func engage(term: UInt64, closed: LogPosition) {
        guard term >= order.position.term else { return fallBehind(term) }
        (behind, primaryFailure) = (nil, nil)
        visit += 1
        phase = .engaged(term)
        if term != status.term { status.counts.terms += 1 }
        status.term = term
        engagedAt = reactor.now
        order.engage(term: term, closed: closed, top: top)
        tail.go(term: term, closed: closed)
        publish()
    }

    /// Handles a primary that continues with an earlier term than this broker has read.
    ///
    /// The sentinels may name it only for a moment. If they continue to name it, the later entries that this broker has
    /// read are in no log. The next term then begins at once, with numbers beyond those, so that they are never used
    /// again.
    private func fallBehind(_ term: UInt64) {
        let (since, mine) = (behind ?? reactor.now, order.position)
        behind = since
        guard reactor.now.nanoseconds(since: since) >= options.patience else {
            writes?.abandon(.unfit("The engine has an older log than this broker has read."))
            return
        }
        ask(["HSET", .text(keys.head), "term", .number(mine.term), "seq", .number(max(mine.seq, top.seq))]) {
            [unowned self] answer in
            guard case .success = answer else { return failed(answer) }
            tailReports(.lost(order.lose(to: term)))
        }
    }

    // MARK: Supervision

    private func tick() {
        reactor.run(afterNanoseconds: Self.tickPace) { [weak self] in self?.tick() }
        if case .lost = phase { return }
        let now = reactor.now
        if let since = doubtful, now.nanoseconds(since: since) >= options.patience { surrender() }
        ticks += 1
        if ticks.isMultiple(of: 4) { beat() }
        publish()
    }

    /// Refuses waiting publications, until there is proof that the log works.
    private func surrender() {
        (doubtful, canary) = (nil, nil)
        order.giveUp()
        status.counts.surrenders += 1
        if case .engaged = phase {
            primaryFailure = "The appended records do not come back."
            greet()
        }
    }

    private func beat() {
        guard case .engaged(let term) = phase, !hasLeft else { return }
        if canary == nil, order.obstacle == nil {
            canary = reactor.now
            doubtful = doubtful ?? canary
            order.beat()
        }
        ask(["HSET", .text(keys.nodes), .text(name), .text(options.facts())]) { [unowned self] in failed($0) }
        ask(["HGETALL", .text(keys.nodes)]) { [unowned self] answer in
            guard case .success(let value) = answer, let words = value.elements else { return failed(answer) }
            take(list: words)
        }
        trim(term)
        giveCopies()
    }

    func failed(_ answer: EngineLink.Answer) {
        if case .failure(let failure) = answer { refused(failure) }
    }

    /// Makes the engine forget entries that all brokers have read; one of the brokers does it.
    private func trim(_ term: UInt64) {
        let present = present
        guard present.min() == options.node else { return }
        let positions = present.compactMap { $0 == options.node ? order.position : tail.members[$0]?.position }
        guard let slowest = positions.min(), let cut = tail.cut(slowest: slowest) else { return }
        ask(["XTRIM", .text(keys.log), "MINID", "~", .text("\(cut)")]) { [unowned self] in failed($0) }
    }

    private func canaryCame() {
        let now = reactor.now
        guard let canary else { return }
        (status.lag, status.heard) = (now.nanoseconds(since: canary), now)
        (self.canary, doubtful) = (nil, nil)
    }

    // MARK: The status

    private var state: RedisLog.Status.State {
        switch phase {
        case .away, .greeting: .away
        case .arming: .arming
        case .engaged: order.obstacle == nil && tail.endpoint != nil ? .active : .catchingUp
        case .lost(let trouble): .lost(trouble)
        }
    }

    func publish() {
        let state = state
        let isChanged = state != status.state
        if isChanged { (status.state, status.since) = (state, reactor.now) }
        status.position = order.position
        status.top = max(top, status.position)
        (status.primary, status.version) = (primary?.endpoint, primary?.server?.version)
        status.replica = tail.endpoint
        status.failure = primaryFailure ?? readFailure
        (status.counts.entries, status.counts.readBytes) = tail.counts
        status.members = members
        status.copy = taker?.state
        log.publish(status, isChanged: isChanged)
    }
}
