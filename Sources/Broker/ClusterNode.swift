internal import Synchronization
internal import WSTransport

/// This broker as a member of a cluster: its order, the log behind it, and its reports to the others.
///
/// Any thread.
final class ClusterNode: Sendable {
    let record: NodeRecord
    /// The first of its logs, which has the shared data and the brokers' reports about themselves.
    let order: LogOrder
    /// The data that the brokers share besides messages.
    let shared: SharedAccess
    let rules: ClusterRules
    let log: RedisLog
    /// All of its logs, by partition.
    let logs: ClusterLogs
    let settings: Settings.Cluster
    private let sequencer: Sequencer
    let storeThread: StoreThread
    private let facts: FactsBox
    private let contributor = Contributor()
    let calls: NodeCalls
    private let begun = MonotonicTime.now
    let door: Door
    let resending: Resending
    /// The last lines for the program's log.
    let told = Mutex<Told>(Told())

    struct Told {
        var trouble: StorageError?
        var copy: RedisLog.CopyProgress?
        var copies: UInt64 = 0
        var others: String?
        /// Since when brokers that have left values behind are gone, by the prefix of their clients' numbers.
        var gone: [UInt16: MonotonicTime] = [:]
    }

    /// Whether clients are served: not until a new broker has the state of the others, and not while this one needs a
    /// copy.
    final class Door: Sendable {
        let isOpen: Atomic<Bool>
        private let resending: Resending
        /// The number of logs, and which of them work or have worked.
        private let count: Int
        private let working = Mutex<Set<Int>>([])

        init(isOpen: Bool, logs count: Int, _ resending: Resending) {
            self.isOpen = Atomic(isOpen && !resending.isDue.load(ordering: .relaxed))
            self.count = count
            self.resending = resending
        }

        func look(at status: RedisLog.Status, of partition: Int) {
            switch status.state {
            case .active:
                let isComplete = working.withLock { working in
                    working.insert(partition)
                    return working.count == count
                }
                if isComplete, !resending.isDue.load(ordering: .acquiring) { isOpen.store(true, ordering: .relaxed) }
            case .lost(let trouble) where trouble.isCuredByCopy:
                working.withLock { _ = $0.remove(partition) }
                isOpen.store(false, ordering: .relaxed)
            case .stopped, .away, .arming, .catchingUp, .lost: break
            }
        }
    }

    /// The facts about this broker for the others; created after the log.
    private final class FactsBox: Sendable {
        let make = Mutex<@Sendable () -> String>({ "{}" })
    }

    /// Publishes the contents of this broker's files to the cluster, on a separate thread, one attempt at a time.
    private final class Contributor: Sendable {
        private let pool = WorkerPool(name: "contributing", maximumThreads: 1, maximumWaiting: 1)
        let body = Mutex<(@Sendable () -> Void)?>(nil)
        private let isRunning = Atomic<Bool>(false)

        func begin() {
            guard let body = body.withLock({ $0 }), !isRunning.exchange(true, ordering: .acquiring) else { return }
            let isTaken = pool.run { [self] in
                body()
                isRunning.store(false, ordering: .releasing)
            }
            if !isTaken { isRunning.store(false, ordering: .releasing) }
        }
    }

    /// - Parameters:
    ///   - sequencer: whose store's thread is attached.
    ///   - store: locked by this process.
    ///   - bans: gets those of the cluster.
    ///   - storeSize: the maximum size of a store, in bytes.
    init(
        _ settings: Settings.Cluster, _ sequencer: Sequencer, _ store: LMDBStore, _ storeThread: StoreThread,
        _ bans: Bans, directory: String, storeSize: Int, rules: ClusterRules
    ) throws(BrokerError) {
        self.rules = rules
        let facts = FactsBox()
        let record: NodeRecord
        let mark: OrderMark?
        do throws(StorageError) {
            record = try NodeRecord.start(in: directory, of: settings.name)
            mark = try store.orderMark()
        } catch {
            throw BrokerError("\(error)")
        }
        let calls = NodeCalls(node: record.id)
        resending = Resending(
            sequencer, store, record, directory: directory, maximumSize: storeSize)
        let door = Door(isOpen: sequencer.newest > 0, logs: settings.partitions, resending)
        self.door = door
        let others = ClusterLogs.Others()
        let logs: [RedisLog]
        do throws(ClusterSettingsError) {
            logs = try (0..<settings.partitions).map { partition throws(ClusterSettingsError) in
                var options = try RedisLog.Options(
                    settings, partition: partition, node: record.id, facts: { facts.make.withLock { $0 }() },
                    onChange: { status in
                        door.look(at: status, of: partition)
                        others.look(at: status, of: partition)
                    }, isCongested: { storeThread.isBehind },
                    copies: partition == 0 ? Self.copies(of: store, in: directory) : nil)
                if partition == 0 {
                    options.partitions = (settings.partitions, "broker:{\(settings.name)}:cluster")
                    options.onLetter = { calls.take($0) }
                    options.mayGiveCopies = { others.areActive }
                } else {
                    options.epoch = { others.epoch }
                }
                return RedisLog(options)
            }
        } catch {
            throw BrokerError("\(error)")
        }
        log = logs[0]
        calls.begin { [weak log] in log?.send($0, to: $1) }
        self.calls = calls
        do throws(StorageError) {
            let shared = SharedAccess(bans, patience: settings.publishTimeout.nanoseconds)
            try Self.read(store, into: shared, isMember: mark != nil)
            self.shared = shared
            // Two processes with copies of one record must not take each other's records for their own.
            let incarnation = record.incarnation | UInt64.random(in: 0..<1 << 30)
            let group = try LogGroup(Partitions(settings.partitions), from: mark)
            let orders = try logs.enumerated().map { partition, log throws(StorageError) in
                try LogOrder(
                    sequencer, engine: log, node: record.id, incarnation: incarnation, from: mark,
                    partition: partition, of: group, onPrivate: { shared.take($0) })
            }
            order = orders[0]
            self.logs = ClusterLogs(zip(orders, logs).map { ClusterLogs.Log(order: $0, log: $1) }, others)
        } catch {
            throw BrokerError("\(error)")
        }
        // Until a record arrives, nothing expires that had not expired at the last one.
        if self.logs.time > 0 { Lifetime.follow(logTime: self.logs.time) }
        self.record = record
        (self.settings, self.sequencer, self.storeThread, self.facts) = (settings, sequencer, storeThread, facts)
    }

    /// Loads the shared users and bans from the store.
    ///
    /// - Parameter isMember: whether the store belongs to a broker of this cluster; otherwise its data is ignored.
    private static func read(
        _ store: LMDBStore, into shared: SharedAccess, isMember: Bool
    ) throws(StorageError) {
        var messages: [Message] = []
        var position: Topic?
        while true {
            let end = try store.scan(
                SharedAccess.filter, after: position, visiting: 10_000, now: WallClock.unixMilliseconds
            ) { message in
                messages.append(message)
                return true
            }
            guard case .stopped(let topic) = end else { break }
            position = topic
        }
        if isMember { shared.take(messages) } else { shared.forgo(messages.map(\.topic)) }
    }

    /// Calls `body`, which publishes the contents of this broker's files, until the cluster has users and rules.
    func contributeFiles(_ body: @escaping @Sendable () -> Void) { contributor.body.withLock { $0 = body } }

    private static func copies(of store: LMDBStore, in directory: String) -> StoreCopies {
        StoreCopies { () throws(StorageError) in
            try OutgoingCopy(in: directory) { (descriptor) throws(StorageError) in try store.copy(to: descriptor) }
        } take: { () throws(StorageError) in
            try IncomingCopy(in: directory)
        }
    }

    /// Begins to follow the log.
    ///
    /// - Parameters:
    ///   - listen: the addresses that this broker listens on.
    ///   - figures: the figures of this broker for the others.
    func start(listen: [String], figures: @escaping @Sendable () -> ClusterFigures) throws(BrokerError) {
        let name = name
        facts.make.withLock {
            $0 = { [rules] in
                var writer = JSONWriter()
                writer.beginObject()
                writer.member("name", name)
                writer.member("version", BrokerVersion.current)
                writer.member("recordFormat", RecordFormat.newest.rawValue)
                writer.member("listen", listen.joined(separator: " "))
                writer.member("rules", rules.digest)
                let figures = figures()
                writer.member("clients", figures.clients)
                writer.member("subscriptions", figures.subscriptions)
                writer.member("received", figures.received)
                writer.member("sent", figures.sent)
                writer.endObject()
                return String(decoding: writer.bytes, as: UTF8.self)
            }
        }
        do throws(Errno) { try logs.start() } catch {
            throw BrokerError("cannot follow the cluster's log: \(error)")
        }
    }

    /// How long a shutdown waits for outstanding publications, in milliseconds.
    private static let lastPatience: UInt32 = 2000

    /// Waits a short time for this broker's publications to come back.
    func settle() {
        for _ in 0..<Self.lastPatience / 5 {
            guard logs.hasWork else { return }
            pause(milliseconds: 5)
        }
    }

    func stop() { logs.stop() }

    /// The order of publications.
    var ordering: any Order { logs.ordering }

    /// The name of this broker.
    var name: String { settings.node ?? Machine.name }

    /// The first part of its clients' numbers: the broker and the number of its start.
    var clientBase: UInt64 { UInt64(record.clientPrefix) << 48 | (record.starts & 0x3FFF) << 34 }

    // MARK: The brokers

    /// The figures for the metrics.
    var reading: ClusterReading {
        let status = log.status
        var reading = ClusterReading(name: name)
        reading.isReady = hindrance == nil
        reading.isActive = logs.all.allSatisfy { $0.log.status.state == .active }
        (reading.term, reading.position, reading.top) = (status.term, status.position.seq, status.top.seq)
        reading.lag = status.lag.map { Double($0) / 1e9 }
        reading.silence = status.heard.map { Double(MonotonicTime.now.nanoseconds(since: $0)) / 1e9 }
        reading.waiting = order.waiting
        reading.format = Int(status.format.rawValue)
        let living = living(status)
        (reading.nodes, reading.living) = (status.members.count, living.count)
        let inForce = rules.inForce
        for member in status.members where living.contains(member.node) {
            var (node, figures) = (ClusterRequest.Node(), ClusterFigures())
            node.take(facts: member.facts, &figures)
            if let inForce, !node.rules.isEmpty, node.rules != inForce.digest { reading.differingFiles += 1 }
            let isTaken = node.name.isEmpty || reading.figures.contains { $0.name == node.name }
            reading.figures.append((isTaken ? Self.name(of: member.node) : node.name, figures))
        }
        let counts = status.counts
        (reading.appends, reading.appendedBytes) = (counts.appends, counts.appendedBytes)
        (reading.entries, reading.readBytes) = (counts.entries, counts.readBytes)
        (reading.failures, reading.terms) = (counts.failures, counts.terms)
        (reading.restored, reading.surrenders) = (counts.restored, counts.surrenders)
        let requests = calls.counts
        reading.requests = [
            ("sent", requests.asked), ("incomplete", requests.incomplete), ("refused", requests.refused),
            ("ignored", requests.ignored), ("oversized", counts.oversized),
        ]
        let undone = resending.total
        reading.undone = (undone.sent, undone.conflicts, undone.refused)
        reading.copies = counts.copies
        reading.differing = logs.all.compactMap { difference($0)?.count }.max() ?? 0
        reading.logs = logs.readings
        return reading
    }

    static func name(of node: UInt64) -> String { String(node, radix: 16) }

    static func word(for state: RedisLog.Status.State) -> String {
        switch state {
        case .stopped: "stopped"
        case .away: "away"
        case .arming: "arming"
        case .catchingUp: "catching-up"
        case .active: "active"
        case .lost: "lost"
        }
    }

    /// The brokers that were heard from within the lease, including this one.
    func living(_ status: RedisLog.Status) -> Set<UInt64> {
        let now = MonotonicTime.now
        var living: Set<UInt64> = [record.id]
        for member in status.members + logs.otherMembers {
            guard let heard = member.heard, now.nanoseconds(since: heard) <= settings.lease.nanoseconds else {
                continue
            }
            living.insert(member.node)
        }
        return living
    }

    // MARK: Cleaning up after dead brokers

    /// How often it looks for the values of dead brokers, in nanoseconds.
    private static let pace: Int64 = 500_000_000
    /// How many of their values are removed at once.
    private static let orphansAtOnce = 1000

    /// Removes the ephemeral values of brokers that have gone, and those that this broker left when it last ended.
    ///
    /// Runs on the shard's thread.
    func watch(from shard: Shard) {
        shard.reactor.run(afterNanoseconds: Self.pace) { [weak self, unowned shard] in
            guard let self, !shard.isDraining else { return }
            logs.startOthers()
            if !shared.isInForce || !shared.hasRules || shared.owesRules(sequencer.partitions), hindrance == nil {
                contributor.begin()
            }
            resend(on: shard)
            endOrphans(from: shard)
            watch(from: shard)
        }
    }

    /// Publishes again what this broker had acknowledged and is no longer in any log, before its clients may publish.
    private func resend(on shard: Shard) {
        guard resending.isDue.load(ordering: .relaxed), logs.areActive else { return }
        resending.begin(publishingOn: shard.reactor.remote) { [log, door] in door.look(at: log.status, of: 0) }
    }

    private func endOrphans(from shard: Shard) {
        let status = log.status
        // Each broker must have had time to be heard from since the log has worked.
        let calm = MonotonicTime.now.nanoseconds(since: status.since)
        guard hindrance == nil else { return }
        let living = living(status)
        // One broker cleans up; the others do so only if that one does not.
        let isFirst = living.min() == record.id
        sequencer.announcesExpiry.store(isFirst, ordering: .relaxed)
        guard sequencer.ephemerals.count > 0 else { return }
        let mayEndOthers = calm > settings.lease.nanoseconds * (isFirst ? 1 : 2)
        let prefixes = Set(living.map { UInt16(truncatingIfNeeded: $0 >> 48) })
        let own = (prefix: record.clientPrefix, base: clientBase >> 34)
        let gone = told.withLock { told in
            told.gone = told.gone.filter { !prefixes.contains($0.key) }
            return told.gone
        }
        var new: Set<UInt16> = []
        let now = MonotonicTime.now
        shard.endEphemerals(atMost: Self.orphansAtOnce) { origin, grace in
            let prefix = UInt16(truncatingIfNeeded: origin >> 48)
            if prefix == own.prefix {
                return origin >> 34 != own.base && now.nanoseconds(since: begun) >= grace * 1_000_000
            }
            guard mayEndOthers, !prefixes.contains(prefix) else { return false }
            if gone[prefix] == nil { new.insert(prefix) }
            return now.nanoseconds(since: gone[prefix] ?? now) >= grace * 1_000_000
        }
        if !new.isEmpty { told.withLock { told in for prefix in new { told.gone[prefix] = now } } }
    }
}

extension ClusterRequest.Node {
    /// Adopts the report of a broker about itself, as far as it can be read.
    mutating func take(facts: String, _ figures: inout ClusterFigures) {
        do throws(JSONError) {
            let object = try JSONObject.parse(Array(facts.utf8).span, maximumDepth: 8)
            name = try object.string("name") ?? ""
            version = try object.string("version") ?? ""
            listen = try object.string("listen") ?? ""
            format = try object.integer("recordFormat") ?? 1
            rules = try object.string("rules") ?? ""
            clients = try object.integer("clients") ?? 0
            figures.clients = clients
            figures.subscriptions = try object.integer("subscriptions") ?? 0
            figures.received = try object.integer("received") ?? 0
            figures.sent = try object.integer("sent") ?? 0
        } catch {
            name = ""
        }
    }
}

extension OutgoingCopy: CopyToGive {}
extension IncomingCopy: CopyToTake {}
