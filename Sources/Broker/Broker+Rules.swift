internal import WSTransport

/// The rules that the brokers of a cluster share.
extension Broker {
    /// Puts the rules of new settings in force at all brokers of the cluster, if there is one.
    func shareRules(of settings: Settings) throws(BrokerError) {
        guard let cluster, let refusal = cluster.rules.share(settings, cluster.shared, as: cluster.name) else { return }
        throw BrokerError(
            refusal.code == .conflict
                ? "another broker of the cluster has changed the rules at the same time: look at its file, then reload again"
                : "the rules of the cluster cannot be changed now: \(refusal.message)")
    }

    /// Puts rules in force that another broker of the cluster has set; must be called every few seconds.
    ///
    /// The rules of the order are in force before that.
    package func takeOverRules() {
        guard let cluster, cluster.rules.takeChange() else { return }
        let settings = cluster.rules.inForce(in: current)
        let changes = current.changes(to: settings).map(\.path)
        guard !changes.isEmpty else { return }
        if let refusal = settings.refusalToListen() { return cluster.rules.refuse(refusal) }
        let next: AccessKeeper.Next
        do throws(AccessFileErrors) { next = try access.next(settings) } catch {
            return cluster.rules.refuse(error.description)
        }
        putIntoUse(settings, next)
        let (changed, node) = (changes.joined(separator: " "), cluster.rules.inForce?.node ?? "")
        audit.write(AuditEvent(.configReloaded, target: changed, result: "from \(node)"))
        events.tell(.reload) { event in
            event.add("changed", changed)
            event.add("from", node)
        }
        cluster.rules.tookOver(changed)
    }

    /// Puts settings and rights in force at all reactors.
    func putIntoUse(_ settings: Settings, _ next: AccessKeeper.Next) {
        access.inTurn {
            access.adopt(next)
            // An administrator may have changed the users file since it was read.
            _ = access.takeOverChange()
            // Wait: when this returns and the log says so, no request is checked against the old settings any more.
            shards.runAndWait { [access = access.current] in $0.adopt(settings, access) }
            checks.sessions.review(access.current)
        }
        current = settings
    }
}
