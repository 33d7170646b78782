internal import WSTransport

extension RedisSession {
    /// Finds out what should be set differently at a server that will be used.
    func look(at link: EngineLink, as role: EngineRoute.Role) {
        warnings[role] = []
        EngineWarning.look(at: link, as: role, readsAt: options.readsAt) { [weak self, weak link] found in
            guard let self, let link else { return }
            guard link.endpoint == (role == .primary ? primary?.endpoint : tail.endpoint) else { return }
            warnings[role, default: []] += found
        }
    }
}

/// The brokers of the cluster, as the engine lists them and as the log shows them.
extension RedisSession {
    /// Takes the engine's list of brokers, as names and facts.
    func take(list words: [RESPValue]) {
        let known = facts
        facts = [:]
        for place in stride(from: 0, to: words.count - 1, by: 2) {
            guard let node = words[place].text.flatMap({ UInt64($0, radix: 16) }) else { continue }
            facts[node] = words[place + 1].text
        }
        // They have left, or were forgotten; living brokers report each second.
        for node in known.keys where facts[node] == nil { tail.forget(node) }
        // Those that had left before this broker read their records.
        let living = Set(present)
        for node in tail.members.keys where facts[node] == nil && !living.contains(node) { tail.forget(node) }
        chooseFormat()
    }

    /// Writes the newest format that all known brokers read: those that have gone, too, because they may come back.
    private func chooseFormat() {
        let isComplete = present.allSatisfy { facts[$0] != nil }
        order.format = isComplete ? facts.values.map { RecordFormat(ofFacts: $0) }.min() ?? .plain : .plain
        status.format = order.format
    }

    /// The brokers that the engine or the log knows of, by number.
    var members: [RedisLog.Member] {
        var members = tail.members
        for (node, text) in facts {
            members[node, default: .init(node: node, facts: "")].facts = text
            members[node]?.isListed = true
        }
        return members.values.sorted { $0.node < $1.node }
    }

    /// Makes the engine forget a broker, until that broker reports again.
    func forget(_ node: UInt64) {
        tail.forget(node)
        facts[node] = nil
        let place = CopyPlace(keys, for: node)
        ask(["HDEL", .text(keys.nodes), .text(place.node)]) { [unowned self] in failed($0) }
        // Remains of a copy that was on its way to that broker.
        ask(["HDEL", .text(keys.copies), .text(place.node)]) { [unowned self] in failed($0) }
        ask(["DEL", .text(place.key)]) { [unowned self] in failed($0) }
    }
}
