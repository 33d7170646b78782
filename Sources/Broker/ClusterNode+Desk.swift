internal import WSTransport

/// The cluster for administrators: what they see of it, and the brokers that their requests go to.
extension ClusterNode {
    /// The interface for administrators.
    var desk: ClusterDesk {
        ClusterDesk(
            here: ClusterPeer(node: record.id, name: name),
            summary: { [weak self] in self?.summary ?? ClusterRequest.Answer() },
            forget: { [weak self] in self?.forget($0) },
            peers: { [weak self] in self?.peers ?? [] }, ask: { [calls] in calls.ask($0, $1, $2) },
            giveUp: { [calls] in calls.giveUp($0) })
    }

    /// The other brokers: those that live, and silent ones that have neither left nor been forgotten.
    private var peers: [ClusterPeer] {
        let status = log.status
        let living = living(status)
        let others = status.members.filter { $0.node != record.id }
        // The list is read with the first canary, and also has this broker.
        guard status.state == .active || status.members.contains(where: \.isListed) else { return [.unknown] }
        return others.filter { $0.isListed || living.contains($0.node) }.map { member in
            ClusterPeer(node: member.node, name: Self.call(member), isSilent: !living.contains(member.node))
        }
    }

    /// The name of a broker, or its number if it has none.
    static func call(_ member: RedisLog.Member) -> String {
        var (node, figures) = (ClusterRequest.Node(), ClusterFigures())
        node.take(facts: member.facts, &figures)
        return node.name.isEmpty ? name(of: member.node) : node.name
    }

    /// Lets `body` answer requests of other brokers; it gets the request, and the name of the broker that sent it.
    func serve(
        _ body:
            @escaping @Sendable (
                _ question: [UInt8], _ name: String, _ answer: @escaping @Sendable ([UInt8]) -> Void
            ) -> Void
    ) {
        calls.serve { [weak self] question, sender, answer in
            let name = self?.peers.first { $0.node == sender }?.name
            body(question, name ?? Self.name(of: sender), answer)
        }
    }

    /// The content of `brokerctl cluster`.
    var summary: ClusterRequest.Answer {
        let status = log.status
        var answer = ClusterRequest.Answer()
        answer.cluster = settings.name
        (answer.node, answer.name) = (Self.name(of: record.id), name)
        answer.state = Self.word(for: status.state)
        answer.reason = hindrance
        answer.epoch = order.epoch
        answer.term = status.term
        (answer.position, answer.top) = ("\(status.position)", "\(status.top)")
        answer.primary = status.primary.map { "\($0)" }
        answer.version = status.version
        answer.replica = status.replica.map { "\($0)" }
        answer.format = Int(status.format.rawValue)
        answer.lag = status.lag.map { Double($0 / 1000) / 1000 }
        answer.waiting = order.waiting
        (answer.failures, answer.terms) = (status.counts.failures, status.counts.terms)
        (answer.restored, answer.surrenders) = (status.counts.restored, status.counts.surrenders)
        let living = living(status)
        let differing = Set(logs.all.flatMap { $0.order.comparison.findings }.filter { !$0.isEqual }.map(\.node))
        let inForce = rules.inForce
        (answer.rulesNode, answer.rulesTime, answer.rulesDiffering) = (inForce?.node, inForce?.time, rules.differences)
        answer.partitions = logs.summaries
        answer.warnings = logs.all.flatMap { $0.log.status.warnings.map(\.text) }
        answer.nodes = status.members.map { member in
            var node = ClusterRequest.Node()
            node.node = Self.name(of: member.node)
            node.isHere = member.node == record.id
            node.isAlive = living.contains(member.node)
            node.position = "\(member.position)"
            node.differs = differing.contains(member.node)
            node.silence = member.heard.map { Int(MonotonicTime.now.nanoseconds(since: $0) / 1_000_000) }
            var figures = ClusterFigures()
            node.take(facts: member.facts, &figures)
            node.fileDiffers = inForce.map { !node.rules.isEmpty && node.rules != $0.digest } ?? false
            return node
        }
        return answer
    }

    /// Forgets a broker that will not come back, given by name or number; returns why not, or `nil`.
    ///
    /// Of several brokers with one name, as after the loss of a data directory, the one that is down is meant.
    func forget(_ text: String) -> Refusal? {
        let status = log.status
        let living = living(status)
        let shown = AuditEvent.clip(text)
        var meant = status.members.filter { Self.name(of: $0.node) == text }
        if meant.isEmpty { meant = status.members.filter { Self.call($0) == text } }
        if meant.isEmpty { return Refusal(.notFound, "There is no broker \(shown) in the cluster.") }
        meant.removeAll { living.contains($0.node) }
        guard let member = meant.first else {
            return Refusal(.conflict, "The broker \(shown) is not down: shut it down first (cluster drain).")
        }
        guard meant.count == 1 else {
            return Refusal(.badRequest, "node: several brokers that are down have the name \(shown); give a number.")
        }
        guard logs.all.allSatisfy({ $0.log.status.primary != nil }) else {
            return Refusal(.unavailable, "The cluster's engine, which has the list of brokers, cannot be used now.")
        }
        for one in logs.all { one.log.forget(member.node) }
        return nil
    }
}
