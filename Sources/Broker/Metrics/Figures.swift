internal import Synchronization
package import WSTransport

/// The broker's figures, over all reactors.
///
/// Any thread.
package final class Figures: Sendable {
    package let reactors: [ReactorCounters]
    package let shards: [ShardCounters]
    package let startedAt = WallClock.unixMilliseconds
    let sequencer: Sequencer
    private let store: any MessageStore
    let storeThread: StoreThread
    let audit: AuditLog?
    let events: EventStream?
    let passwords: PasswordChecks?
    let webTokens: JWTFigures?
    let quotas: Quotas?
    let bans: Bans?
    let browserSessions: BrowserSessions?
    let accessChanges: WorkerPool?
    /// The version of the broker.
    let version: String
    package let operations = Operations()
    /// Refused connections, by limit.
    let refusedConnections = Atomic<Int>(0)
    let refusedAddresses = Atomic<Int>(0)
    let refusedMemory = Atomic<Int>(0)
    /// `limits.memory` in bytes; `.max` if unlimited.
    let memoryLimit = Atomic<Int>(.max)

    package init(
        reactors: [ReactorCounters], shards: [ShardCounters], sequencer: Sequencer, store: any MessageStore,
        storeThread: StoreThread, audit: AuditLog? = nil, events: EventStream? = nil, passwords: PasswordChecks? = nil,
        webTokens: JWTFigures? = nil, quotas: Quotas? = nil, bans: Bans? = nil,
        browserSessions: BrowserSessions? = nil, accessChanges: WorkerPool? = nil, version: String = ""
    ) {
        self.reactors = reactors
        self.shards = shards
        self.sequencer = sequencer
        self.store = store
        self.storeThread = storeThread
        self.audit = audit
        self.events = events
        self.passwords = passwords
        self.webTokens = webTokens
        self.quotas = quotas
        self.bans = bans
        self.browserSessions = browserSessions
        self.accessChanges = accessChanges
        self.version = version
    }

    func sum(_ counter: (ReactorCounters) -> Int) -> Int { reactors.reduce(0) { $0 + counter($1) } }

    func sum(_ counter: (ShardCounters) -> Int) -> Int { shards.reduce(0) { $0 + counter($1) } }

    /// How the reactors send: `io_uring`, or `epoll` if one of them makes a `send` for each connection.
    package var backend: String {
        sum { (counters: ReactorCounters) in counters.rings.current } == reactors.count ? "io_uring" : "epoll"
    }

    /// Open sockets.
    package var connections: Int { sum { (counters: ReactorCounters) in counters.connections.current } }

    /// Clients with a session.
    package var clients: Int { sum { (counters: ShardCounters) in counters.clients.current } }

    /// Open sockets, without those that were refused and only wait for their answer.
    package var admitted: Int {
        connections - sum { (counters: ReactorCounters) in counters.refusedOpen.current }
    }

    /// The memory of clients, in bytes: unread input, and output that they have not received.
    package var heldBytes: Int { sum { (counters: ReactorCounters) in counters.heldBytes.current } }

    /// Connections refused since the start, by reason.
    package var refusals: [(reason: String, count: Int)] {
        [
            ("address", refusedAddresses.load(ordering: .relaxed)),
            ("ban", bans?.connections.load(ordering: .relaxed) ?? 0),
            ("connections", refusedConnections.load(ordering: .relaxed)),
            ("descriptors", sum { (counters: ReactorCounters) in counters.refusedForDescriptors.current }),
            ("memory", refusedMemory.load(ordering: .relaxed)),
        ]
    }

    /// Connections closed since the start because all clients together held too much memory.
    package var shed: Int { sum { (counters: ReactorCounters) in counters.shed.current } }

    /// Logins at browsers that were refused since the start because of a limit.
    package var refusedLogins: Int { browserSessions?.refused.load(ordering: .relaxed) ?? 0 }

    /// The limit of the memory that clients may hold, in bytes; `nil` if unlimited.
    package var heldLimit: Int? {
        let limit = memoryLimit.load(ordering: .relaxed)
        return limit == .max ? nil : limit
    }

    /// How long the last commit took, including its sync, in milliseconds.
    package var lastCommit: Double { Double(storeThread.statistics.lastCommitMicroseconds) / 1000 }

    /// The 99th percentile of commit times since the start, in milliseconds; `nil` if there were no commits, or the
    /// time is above the last bound of the histogram.
    package var slowCommit: Double? {
        let reading = storeThread.commitTimes.reading
        guard let all = reading.counts.last, all > 0 else { return nil }
        let index = reading.counts.firstIndex { $0 * 100 >= all * 99 } ?? 0
        guard index < storeThread.commitTimes.bounds.count else { return nil }
        return Double(storeThread.commitTimes.bounds[index]) / 1000
    }

    /// The figures in Prometheus's format.
    ///
    /// - Parameter pending: the bytes that clients have not received; `nil` if unknown, and then left out.
    package func prometheus(pending: PendingBytes? = nil) -> [UInt8] {
        var text = PrometheusText()
        let reading = reading(pending: pending)
        for metric in MetricTable.all.metrics { text.add(metric, metric.read(reading)) }
        return text.bytes
    }

    /// The values that the metrics are computed from.
    func reading(pending: PendingBytes?) -> MetricReading {
        MetricReading(figures: self, store: storeStatistics, cluster: operations.cluster, pending: pending)
    }

    /// The state of the retained values and their store; `nil` if it cannot be read.
    package var storeStatistics: StoreStatistics? { try? store.statistics() }
}
