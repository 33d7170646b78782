internal import Synchronization
internal import WSTransport

/// Why this broker of a cluster is not ready, and its news for the log.
extension ClusterNode {
    /// Why the cluster makes this broker not ready; `nil` if it does not.
    var hindrance: String? {
        if let trouble = storeThread.trouble {
            return "the store does not accept messages of the cluster: \(trouble)"
        }
        if let twin = twin(log.status) {
            return """
                the broker \(Self.name(of: twin)) has the same number as this one: stop one of them, remove the file \
                \(NodeRecord.fileName) in its data directory, and start it
                """
        }
        for (partition, one) in logs.all.enumerated() {
            guard let reason = hindrance(of: one) else { continue }
            return logs.all.count == 1 ? reason : "partition \(partition): \(reason)"
        }
        return nil
    }

    private func hindrance(of one: ClusterLogs.Log) -> String? {
        let status = one.log.status
        if let difference = difference(one), difference.isMinority {
            return """
                its state differs from that of \(difference.others), at \(difference.place) at the latest: stop this \
                broker, remove broker.mdb in its data directory, and start it
                """
        }
        if let trouble = rules.trouble { return "it cannot use the rules of the cluster: \(trouble)" }
        switch status.state {
        case .stopped: return "this broker does not follow the cluster's log"
        case .away: return "the cluster's engine: \(status.failure ?? "there is no connection yet")"
        case .arming:
            return "the brokers of the cluster are agreeing on how far they have read" + Self.cause(status)
        case .catchingUp:
            return "catching up with the cluster: at \(status.position) of \(status.top)" + Self.cause(status)
        case .lost(let trouble):
            return Self.sentence(of: trouble) + (log.status.copy.map { ": " + text(of: $0) } ?? "")
        case .active: break
        }
        if let reason = resending.reason { return reason }
        guard let heard = status.heard else { return "nothing has come back from the cluster's log yet" }
        let silence = MonotonicTime.now.nanoseconds(since: heard)
        guard silence > settings.lease.nanoseconds else { return nil }
        return "nothing has come back from the cluster's log for \(silence / 1_000_000_000) s"
    }

    private static func cause(_ status: RedisLog.Status) -> String { status.failure.map { ": \($0)" } ?? "" }

    /// Another broker whose clients' numbers have the same prefix as those of this one; `nil` if there is none.
    func twin(_ status: RedisLog.Status) -> UInt64? {
        living(status).first { $0 != record.id && $0 >> 48 == record.id >> 48 }
    }

    /// Living brokers whose state differs from this one's.
    struct Difference {
        /// Their names, and the first position at which the last record of one showed a difference.
        let others: String
        let place: LogPosition
        let count: Int
        /// Whether more brokers differ from this one than agree with it; if they are equally many, the side with the
        /// smallest number counts as the majority.
        let isMinority: Bool
    }

    /// The brokers that differ from this one; `nil` if all living brokers agree, as far as is known.
    func difference(_ one: ClusterLogs.Log) -> Difference? {
        let findings = one.order.comparison.findings
        guard findings.contains(where: { !$0.isEqual }) else { return nil }
        let living = living(one.log.status)
        let others = findings.filter { !$0.isEqual && living.contains($0.node) }
        guard let place = others.map(\.at).min(), let smallest = others.map(\.node).min() else { return nil }
        let own = findings.filter { $0.isEqual && living.contains($0.node) }.map(\.node) + [record.id]
        let isMinority =
            own.count == others.count ? smallest < own.min() ?? record.id : own.count < others.count
        let names = others.map { call($0.node) }.sorted().joined(separator: ", ")
        return Difference(others: names, place: place, count: others.count, isMinority: isMinority)
    }

    private static func sentence(of trouble: LogTrouble) -> String {
        switch trouble {
        case .unreadable(let place):
            "this version cannot read the cluster's log at \(place): another broker is newer, or the log is damaged"
        case .missing(let place): "the cluster's log no longer goes back to \(place), the position of this broker"
        case .undone(let place): "it has delivered messages after \(place) that are no longer in any log"
        case .displaced(let place):
            """
            another broker has appended to the cluster's log as this one, at \(place): the file \(NodeRecord.fileName) of one is a \
            copy, or from a backup; stop one of them, remove its file \(NodeRecord.fileName), and start it
            """
        case .foreign(let epoch):
            """
            the cluster's log belongs to other data, of epoch \(epoch): restore a backup of another broker here \
            (docs/cluster.md)
            """
        }
    }

    /// A description of the progress of a copy.
    private func text(of copy: RedisLog.CopyProgress) -> String {
        switch copy {
        case .waiting(nil): return "it is waiting for another broker to give it a copy of its store"
        case .waiting(let reason?): return "it is asking again for a copy of another broker's store, because \(reason)"
        case .complete: return "it is restarting with a copy of another broker's store"
        case .coming(let node, let have, let size):
            let giver = call(node)
            guard size > 0 else { return "the broker \(giver) is making it a copy of its store" }
            let (got, all) = ((have * 10) >> 20, (size * 10) >> 20)
            return "a copy of the store of \(giver) is arriving, \(got / 10).\(got % 10) of \(all / 10).\(all % 10) MiB"
        }
    }

    /// The name of a broker, or its number if it has none.
    func call(_ node: UInt64) -> String {
        log.status.members.first { $0.node == node }.map { Self.call($0) } ?? Self.name(of: node)
    }

    /// Whether a copy of another broker's store is complete, so that this broker must restart with it.
    var needsRestart: Bool { log.status.copy == .complete }

    /// The news for the log of the program since the last call.
    func takeNews() -> [Journal.Entry] {
        let (status, trouble) = (log.status, storeThread.trouble)
        return told.withLock { told in
            var news: [Journal.Entry] = []
            func tell(_ level: Journal.Level, _ message: String, _ metadata: [(name: String, value: String)]) {
                news.append(Journal.Entry(level: level, message: message, metadata: metadata))
            }
            if trouble != told.trouble, let trouble {
                tell(.error, "the store does not accept messages of the cluster", [("error", "\(trouble)")])
            }
            news += logs.takeNews(of: settings.name, Self.sentence)
            if status.copy != told.copy, let copy = status.copy {
                switch (told.copy, copy) {
                case (.coming, .coming): break
                default: tell(.info, text(of: copy), [])
                }
            }
            let difference = logs.all.lazy.compactMap { self.difference($0) }.first
            if let difference, difference.others != told.others {
                tell(
                    .error, "brokers of the cluster have different states after the same log",
                    [("others", difference.others), ("at", "\(difference.place)")])
            }
            news += resending.takeNews() + rules.takeNews()
            if status.counts.copies != told.copies {
                tell(.info, "giving another broker of the cluster a copy of the store", [])
            }
            told = Told(
                trouble: trouble, copy: status.copy, copies: status.counts.copies, others: difference?.others,
                gone: told.gone)
            return news
        }
    }
}
