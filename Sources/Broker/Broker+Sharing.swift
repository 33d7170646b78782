internal import WSTransport

/// The users, tokens and bans that the brokers of a cluster share.
extension Broker {
    /// Puts changes from the log in force on all reactors, and publishes the users file if the cluster has no users
    /// yet.
    func share(_ cluster: ClusterNode, _ remotes: [Remote]) {
        guard let first = remotes.first else { return }
        let shared = cluster.shared
        // Not on the thread of the administrators' verbs, which wait for the log.
        let pool = WorkerPool(name: "shared", maximumThreads: 1, maximumWaiting: 2)
        let rules = cluster.rules
        shared.begin(publishingOn: first) { [access, shards, checks, audit, events] in
            // If a job is waiting already, it does the work for both.
            _ = pool.run {
                guard let news = Self.takeOver(access, shards, checks.sessions) else { return }
                Self.tell(news, audit, events)
            }
        } onBans: { [shards] list in
            shards.run { shard in
                shard.adopt(list) { _ in }
                if shard.index == 0 { shard.reactor[AdminDesk.self]?.watchBans() }
            }
        } onRules: { [sequencer] bytes, partition in
            // At their place in the order: all brokers apply the same rules to the messages after it.
            guard partition == 0 else {
                guard let new = ClusterRules.rules(in: bytes) else { return }
                return sequencer.adopt(KeyRules(new.inForce(in: Settings())), of: partition)
            }
            guard let new = rules.take(bytes) else { return }
            let settings = new.inForce(in: Settings())
            sequencer.adopt(KeyRules(settings), of: 0)
            sequencer.adopt(HistoryRules(settings))
        }
        cluster.serve { question, name, answer in
            let isTaken = first.run { reactor in
                guard let desk = reactor[AdminDesk.self] else { return answer([]) }
                desk.answer(question, of: name, answer)
            }
            if !isTaken { answer([]) }
        }
        cluster.contributeFiles { [access, journal, name = cluster.name, partitions = sequencer.partitions] in
            do throws(AccessFileErrors) {
                if !shared.isInForce { shared.contribute(try AccessFile.read(access.path)) }
                if shared.isInForce { rules.contribute(to: shared, as: name) }
                shared.copyRules(to: partitions)
            } catch {
                journal.tell(
                    .error, "cannot copy this broker's users to its cluster", once: "\(error)",
                    [("error", "\(error)")])
            }
        }
    }

    /// Applies an edit of this broker's copy of the users to the cluster; returns the errors of the edit, if it has
    /// any.
    func takeCopyToCluster() -> AccessNews? {
        do throws(AccessFileErrors) {
            guard let edit = try access.takeEdit() else { return nil }
            accessFile.change({ edit.apply(to: &$0) }) { [access, journal] refusal in
                access.conclude(edit, isTaken: refusal == nil)
                guard let refusal else { return }
                journal.tell(
                    .warning, "a change of the file of users waits for the cluster", once: refusal.message,
                    [("reason", refusal.message)])
            }
            return nil
        } catch {
            return .refused(error.description)
        }
    }
}

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
            let retired = access.adopt(next)
            // An administrator may have changed the users file since it was read.
            _ = access.takeOverChange()
            // Wait: when this returns and the log says so, no request is checked against the old settings any more.
            shards.runAndWait { [access = access.current] in $0.adopt(settings, access) }
            checks.sessions.review(access.current)
            for keys in retired { keys.stop() }
        }
        current = settings
    }
}
