internal import Synchronization
internal import WSTransport

/// The logs that a broker of a cluster follows: one, or one for each partition.
///
/// Any thread.
final class ClusterLogs: Sendable {
    struct Log: Sendable {
        let order: LogOrder
        let log: RedisLog
    }

    /// What one log must know about the others; created before them.
    final class Others: Sendable {
        private struct State {
            weak var logs: ClusterLogs?
        }

        private let state = Mutex(State())

        fileprivate func begin(_ logs: ClusterLogs) { state.withLock { $0.logs = logs } }

        private var logs: ClusterLogs? { state.withLock { $0.logs } }

        /// The epoch of the first log; 0 if it is not known yet.
        var epoch: UInt64 { logs?.all[0].order.epoch ?? 0 }

        /// Whether all logs except the first work, so that the store is up to date with them.
        var areActive: Bool { logs?.all.dropFirst().allSatisfy { $0.log.status.state == .active } ?? false }

        /// Requests a copy of another broker's store through the first log, if a later log needs one.
        func look(at status: RedisLog.Status, of partition: Int) {
            guard partition > 0, case .lost(let trouble) = status.state, trouble.isCuredByCopy else { return }
            logs?.all[0].log.takeCopy()
        }
    }

    private struct Told {
        var state = RedisLog.Status.State.stopped
        /// What has kept the engine from being used since it last worked.
        var failures: Set<String> = []

        /// What is to be set differently, and was told since the start.
        private var warnings: Set<String> = []

        /// Whether a warning has not been told yet, and is told now.
        mutating func isNews(_ warning: EngineWarning) -> Bool {
            warnings.count < Self.most && warnings.insert("\(warning.cause) \(warning.server)").inserted
        }

        /// The most failures, and the most warnings, that are told, so that texts that never repeat do not fill the log.
        private static let most = 16

        /// Whether a failure has not been told yet, and is told now.
        mutating func isNews(_ failure: String) -> Bool {
            failures.count < Self.most && failures.insert(failure).inserted
        }
    }

    /// The logs by partition; never empty.
    let all: [Log]
    /// The order of publications.
    let ordering: any Order
    /// The number of logs that are being followed.
    private let started = Mutex(0)
    private let told: Mutex<[Told]>

    init(_ all: [Log], _ others: Others) {
        self.all = all
        if all.count == 1 { ordering = all[0].order } else { ordering = PartitionedOrder(all.map(\.order)) }
        told = Mutex(Array(repeating: Told(), count: all.count))
        others.begin(self)
    }

    /// Begins to follow the first log, and the others if the epoch that all must have is known.
    func start() throws(Errno) {
        try started.withLock { count throws(Errno) in
            try all[0].log.start(all[0].order)
            count = 1
        }
        startOthers()
    }

    /// Begins to follow the logs after the first, once, when the first has said to which state all belong.
    func startOthers() {
        guard all.count > 1, all[0].order.epoch != 0 else { return }
        started.withLock { count in
            while count > 0, count < all.count {
                // A failure is tried again; until then the log is not followed, and readiness says so.
                do throws(Errno) { try all[count].log.start(all[count].order) } catch { return }
                count += 1
            }
        }
    }

    func stop() {
        for one in all { one.log.end() }
        for one in all { one.log.stop() }
    }

    /// Whether all logs work.
    var areActive: Bool { all.allSatisfy { $0.log.status.state == .active } }

    /// Whether records that will come back are outstanding.
    var hasWork: Bool { all.contains { $0.order.waiting > 0 && $0.log.status.state == .active } }

    /// The time of the log that is furthest ahead, in Unix milliseconds; 0 if none has a time.
    var time: Int64 { all.map(\.order.time).max() ?? 0 }

    /// The brokers that the logs after the first know of.
    var otherMembers: [RedisLog.Member] { all.dropFirst().flatMap { $0.log.status.members } }

    // MARK: For administrators

    /// The figures of each of several logs.
    var readings: [ClusterReading.Log] {
        guard all.count > 1 else { return [] }
        return all.map { one in
            let status = one.log.status
            return ClusterReading.Log(
                isActive: status.state == .active, term: status.term, position: status.position.seq,
                top: status.top.seq, waiting: one.order.waiting, failures: status.counts.failures)
        }
    }

    /// What `brokerctl cluster` shows of each of several logs.
    var summaries: [ClusterRequest.Partition] {
        guard all.count > 1 else { return [] }
        return all.enumerated().map { place, one in
            let status = one.log.status
            var partition = ClusterRequest.Partition()
            (partition.partition, partition.state) = (place, ClusterNode.word(for: status.state))
            (partition.term, partition.position, partition.top) = (
                status.term, "\(status.position)", "\(status.top)"
            )
            (partition.primary, partition.replica) = (
                status.primary.map { "\($0)" }, status.replica.map { "\($0)" }
            )
            partition.lag = status.lag.map { Double($0 / 1000) / 1000 }
            (partition.waiting, partition.failures) = (one.order.waiting, status.counts.failures)
            return partition
        }
    }

    /// The lines for the program's log since the last call.
    func takeNews(of cluster: String, _ sentence: (LogTrouble) -> String) -> [Journal.Entry] {
        told.withLock { told in
            var news: [Journal.Entry] = []
            for (place, one) in all.enumerated() {
                let status = one.log.status
                let partition = all.count == 1 ? [] : [(name: "partition", value: "\(place)")]
                func tell(
                    _ level: Journal.Level, _ message: String, _ metadata: [(name: String, value: String)] = []
                ) {
                    news.append(Journal.Entry(level: level, message: message, metadata: partition + metadata))
                }
                if status.state.needsEngine, let failure = status.failure, told[place].isNews(failure) {
                    tell(.warning, "the cluster's engine cannot be used", [("reason", failure)])
                }
                for warning in status.warnings where told[place].isNews(warning) {
                    tell(.warning, "the cluster is not set up as recommended", [("reason", warning.text)])
                }
                guard status.state != told[place].state else { continue }
                told[place].state = status.state
                switch status.state {
                case .stopped, .arming, .away: break
                case .catchingUp:
                    tell(
                        .info, "catching up with the cluster",
                        [("at", "\(status.position)"), ("of", "\(status.top)")])
                case .active:
                    told[place].failures = []
                    tell(
                        .info, "following the cluster",
                        [("cluster", cluster), ("term", "\(status.term)"), ("at", "\(status.position)")])
                case .lost(let trouble):
                    // A new broker also begins with a copy.
                    tell(trouble.isCuredByCopy ? .warning : .error, sentence(trouble))
                }
            }
            return news
        }
    }
}

extension RedisLog.Status.State {
    /// Whether the log would go on if the engine could be used.
    fileprivate var needsEngine: Bool {
        switch self {
        case .away, .arming, .catchingUp: true
        case .stopped, .active, .lost: false
        }
    }
}
