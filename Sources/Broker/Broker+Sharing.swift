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
