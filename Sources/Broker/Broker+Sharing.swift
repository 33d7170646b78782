internal import WSTransport

/// What the brokers of a cluster share of users, tokens and bans.
extension Broker {
    /// Has changes that the log brings hold at all reactors, and brings what the file has when the cluster has none yet.
    func share(_ cluster: ClusterNode, _ remotes: [Remote]) {
        guard let first = remotes.first else { return }
        let shared = cluster.shared
        // Not the thread of the verbs, which wait for the log.
        let pool = WorkerPool(name: "shared", maximumThreads: 1, maximumWaiting: 2)
        shared.begin(publishingOn: first) { [access, shards, checks, audit, events] in
            // One that waits already does it for both.
            _ = pool.run {
                guard let news = Self.takeOver(access, shards, checks.sessions) else { return }
                Self.tell(news, audit, events)
            }
        } onBans: { [shards] list in
            shards.run { shard in
                shard.adopt(list) { _ in }
                if shard.index == 0 { shard.reactor[AdminDesk.self]?.watchBans() }
            }
        }
        cluster.serve { question, name, answer in
            let isTaken = first.run { reactor in
                guard let desk = reactor[AdminDesk.self] else { return answer([]) }
                desk.answer(question, of: name, answer)
            }
            if !isTaken { answer([]) }
        }
        cluster.bringTogether { [access, journal] in
            do throws(AccessFileErrors) {
                shared.found(with: try AccessFile.read(access.path))
            } catch {
                journal.tell(
                    .error, "cannot bring the users of this broker to its cluster", once: "\(error)",
                    [("error", "\(error)")])
            }
        }
    }

    /// Takes to the cluster what somebody has changed in the copy of its users; the news is that there are mistakes in it.
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
