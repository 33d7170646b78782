internal import WSTransport

/// The publishers who are about to publish again, as far as the last commits tell.
///
/// Many who publish and wait for the disk are all answered by one commit, and all come again at once. The first of them
/// finds the store's thread with nothing to do. Committed alone, it would keep all the others waiting for two syncs, its
/// own and theirs: so the thread waits for them, half a commit at most. Nobody then waits for longer than
/// the rest of a commit under way and its own, as ever, and all who come together share one sync instead of two.
///
/// It waits only where the commits before had messages of several and ended a moment ago, and not where something was
/// waiting when they ended: a publisher that is alone never waits for others, and neither does the disk while there
/// is enough to do. A value without a clock.
struct ReturningCrowd {
    /// Never for longer, however slow the disk is, in nanoseconds.
    private static let longestWait: Int64 = 5_000_000

    /// How many are likely to come together, with a message each; 1: nobody is waited for.
    private(set) var size = 1
    /// Whom the last commit had messages of, where it ended with others waiting.
    private var before = Publishers()
    private var answered = MonotonicTime(nanoseconds: 0)
    private var commit: Int64 = 0

    /// Takes note of a commit, when its publishers are answered.
    ///
    /// - Parameters:
    ///   - publishers: whom it had messages of.
    ///   - duration: how long it took, in nanoseconds.
    ///   - isLast: whether nothing has come meanwhile.
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

    /// Whom messages are of, as far as some of them tell.
    ///
    /// One who publishes many at a time is one; a request over HTTP has no client of its own and is answered for itself.
    struct Publishers {
        private var clients: Set<UInt64> = []
        private var requests = 0

        /// Nobody.
        init() {}

        init(of messages: [Message]) {
            for message in messages.prefix(Self.mostLookedAt) {
                if message.origin == 0 { requests += 1 } else { clients.insert(message.origin) }
            }
        }

        var count: Int { clients.count + requests }

        func union(_ other: Publishers) -> Publishers {
            var both = self
            both.clients.formUnion(other.clients)
            both.requests += other.requests
            return both
        }

        /// So many are enough to wait for, and to look at while they wait.
        private static let mostLookedAt = 1024
    }
}
