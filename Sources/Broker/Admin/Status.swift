internal import WSTransport

extension StatusRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) {
        let (facts, shard, everyone) = (caller.desk.facts, caller.desk.shard, caller.desk.everyone)
        Readiness.of(shard).look { failure in
            var status = facts.status(shard, failure: failure)
            guard countsClients else { return then(.success(status)) }
            everyone.ask(from: shard, within: AdminDesk.patience) { shard in
                shard.everybody.reduce(into: Answer.Backlog()) { $0.add($1) }
            } then: { parts, late in
                status.late = late
                var backlog = Answer.Backlog()
                for part in parts { backlog.add(part) }
                status.backlog = backlog
                then(.success(status))
            }
        }
    }
}

extension BrokerFacts {
    /// - Parameter failure: why the broker is not ready; `nil` if it is ready.
    fileprivate func status(_ shard: Shard, failure: String?) -> StatusRequest.Answer {
        var status = StatusRequest.Answer()
        status.server = "broker/\(BrokerVersion.current)"
        status.processIdentifier = Machine.processIdentifier
        status.startedAt = figures.startedAt
        status.uptimeSeconds = Int(max(0, WallClock.unixMilliseconds - figures.startedAt) / 1000)
        status.listen = listen
        status.dataDirectory = dataDirectory
        status.reactors = figures.reactors.count
        status.backend = figures.backend
        status.connections = figures.connections
        status.clients = figures.sum { (counters: ShardCounters) in counters.clients.current }
        status.subscriptions = figures.sum { (counters: ShardCounters) in counters.subscriptions.current }
        status.seq = shard.sequencer.newest
        status.epoch = epoch()
        status.published = figures.sum { (counters: ShardCounters) in counters.published.current }
        status.delivered = figures.sum { (counters: ShardCounters) in counters.delivered.current }
        status.store = figures.storeStatistics.map { statistics in
            var store = StatusRequest.Answer.Store()
            store.values = statistics.values
            store.valueBytes = statistics.payloadBytes
            store.messages = statistics.historyMessages
            store.messageBytes = statistics.historyBytes
            store.usedBytes = statistics.usedBytes
            store.maximumBytes = statistics.maximumBytes
            store.fileBytes = statistics.fileBytes
            store.views = statistics.views
            return store
        }
        status.canary = Readiness.of(shard).lastDuration.map { Double($0 / 1000) / 1000 }
        status.lastCommit = figures.lastCommit
        status.slowCommit = figures.slowCommit
        let space = Machine.space(under: dataDirectory)
        status.diskBytes = space?.all
        status.diskFreeBytes = space?.free
        status.descriptors = Machine.openDescriptors
        status.maximumDescriptors = Machine.descriptorLimit
        status.maximumConnections = shard.configuration.limits.connections
        status.heldBytes = figures.heldBytes
        status.maximumHeldBytes = figures.heldLimit
        status.certificateSeconds = certificateSeconds()
        status.certificates = certificates()
        status.maximumQuestion = AdminWire.maximumQuestion(
            message: shard.settings.limits.message, topic: shard.settings.topicLimits.maximumBytes)
        status.memoryBytes = Machine.residentBytes
        status.failure = failure
        status.movedAside = movedAside
        return status
    }
}

extension StatusRequest.Answer.Backlog {
    fileprivate mutating func add(_ session: any Session) {
        if session.subscriptions.isBehind { behind += 1 }
        let pending = session.connection?.unsentBytes ?? 0
        pendingBytes += pending
        largestBytes = max(largestBytes, pending)
    }

    fileprivate mutating func add(_ other: Self) {
        behind += other.behind
        pendingBytes += other.pendingBytes
        largestBytes = max(largestBytes, other.largestBytes)
    }
}
