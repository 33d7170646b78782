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
    /// What is run.
    let version: String
    package let operations = Operations()
    /// Refused connections, by limit.
    let refusedConnections = Atomic<Int>(0)
    let refusedAddresses = Atomic<Int>(0)
    let refusedMemory = Atomic<Int>(0)
    /// `limits.memory` in bytes; `.max`: unlimited.
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

    /// Sockets open now.
    package var connections: Int { sum { (counters: ReactorCounters) in counters.connections.current } }

    /// Clients that hold a session now.
    package var clients: Int { sum { (counters: ShardCounters) in counters.clients.current } }

    /// The same, without those that are refused and only wait for their answer.
    package var admitted: Int {
        connections - sum { (counters: ReactorCounters) in counters.refusedOpen.current }
    }

    /// The memory of clients: waiting input, and output that they have not taken, in bytes.
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

    /// Connections closed since the start because all of them together held too much memory.
    package var shed: Int { sum { (counters: ReactorCounters) in counters.shed.current } }

    /// Logins at browsers since the start that found no room.
    package var refusedLogins: Int { browserSessions?.refused.load(ordering: .relaxed) ?? 0 }

    /// What clients may hold in memory, in bytes; `nil`: unlimited.
    package var heldLimit: Int? {
        let limit = memoryLimit.load(ordering: .relaxed)
        return limit == .max ? nil : limit
    }

    /// How long the last commit took with its sync, in milliseconds.
    package var lastCommit: Double { Double(storeThread.statistics.lastCommitMicroseconds) / 1000 }

    /// How long 99 of 100 commits took at most since the start, in milliseconds; `nil`: there were none, or some took longer
    /// than is told apart.
    package var slowCommit: Double? {
        let reading = storeThread.commitTimes.reading
        guard let all = reading.counts.last, all > 0 else { return nil }
        let index = reading.counts.firstIndex { $0 * 100 >= all * 99 } ?? 0
        guard index < storeThread.commitTimes.bounds.count else { return nil }
        return Double(storeThread.commitTimes.bounds[index]) / 1000
    }

    /// The figures in Prometheus's format.
    ///
    /// - Parameter pending: what clients have not taken; `nil`: it is not known, and is left out.
    package func prometheus(pending: PendingBytes? = nil) -> [UInt8] {
        var text = PrometheusText()
        let reading = reading(pending: pending)
        for metric in MetricTable.all.metrics { text.add(metric, metric.read(reading)) }
        return text.bytes
    }

    /// What the metrics are read from.
    func reading(pending: PendingBytes?) -> MetricReading {
        MetricReading(figures: self, store: storeStatistics, pending: pending)
    }

    /// The state of the retained values and their store; `nil` if it cannot be read.
    package var storeStatistics: StoreStatistics? { try? store.statistics() }
}
