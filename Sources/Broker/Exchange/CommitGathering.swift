internal import WSTransport

/// The publishers that are about to publish again, judging by the last commits.
///
/// Publishers that wait for the disk are all answered by one commit, and all publish again at once. The first of them
/// finds the store's thread with nothing to do. Committed alone, it would keep all the others waiting for two syncs, its
/// own and theirs. So the thread waits for them, half a commit at most. No publisher then waits for longer than
/// the rest of a commit under way and its own, as before, and all that publish together share one sync instead of two.
///
/// It waits only where the commits before had messages of several and ended a moment ago, and not where something was
/// waiting when they ended: a publisher that is alone never waits for others, and neither does the disk while there
/// is enough to do. A value without a clock.
struct CommitGathering {
    /// Never for longer, however slow the disk is, in nanoseconds.
    private static let longestWait: Int64 = 5_000_000

    /// How many publishers are likely to publish together, with a message each; 1: wait for none.
    private(set) var size = 1
    /// The publishers of the last commit, if it ended with others waiting.
    private var before = Publishers()
    private var answered = MonotonicTime(nanoseconds: 0)
    private var commit: Int64 = 0

    /// Notes a commit, when its publishers are answered.
    ///
    /// - Parameters:
    ///   - publishers: those that had messages in it.
    ///   - duration: how long it took, in nanoseconds.
    ///   - isLast: whether nothing has arrived meanwhile.
    mutating func answered(_ publishers: Publishers, after duration: Int64, at now: MonotonicTime, isLast: Bool) {
        // A publisher that publishes as soon as it is answered is in at least one of two successive commits; one that sent
        // more than a commit took is in both, and still counts once.
        size = isLast ? max(1, before.union(publishers).count) : 1
        before = isLast ? Publishers() : publishers
        answered = now
        commit = duration
    }

    /// How long to wait at most for the others when the first message comes; `nil`: not at all.
    func deadline(now: MonotonicTime) -> MonotonicTime? {
        guard size > 1, now.nanoseconds(since: answered) < commit else { return nil }
        return now.advanced(byNanoseconds: min(commit / 2, Self.longestWait))
    }

    /// The publishers of messages, as far as known from some of them.
    ///
    /// A publisher of many messages counts once; a request over HTTP has no client and counts by itself.
    struct Publishers {
        private var clients: Set<UInt64> = []
        private var requests = 0

        /// No publishers.
        init() {}

        init(of entries: [StoreEntry]) {
            for entry in entries.prefix(Self.mostLookedAt) {
                if entry.message.origin == 0 { requests += 1 } else { clients.insert(entry.message.origin) }
            }
        }

        var count: Int { clients.count + requests }

        func union(_ other: Publishers) -> Publishers {
            var both = self
            both.clients.formUnion(other.clients)
            both.requests += other.requests
            return both
        }

        /// The maximum number to wait for, and to examine.
        private static let mostLookedAt = 1024
    }
}
