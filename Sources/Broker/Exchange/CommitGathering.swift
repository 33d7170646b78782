internal import WSTransport

/// How long a commit waits for publishers that are likely to publish again soon, judging by the last commits.
///
/// One commit answers all publishers that wait for the disk, and they all publish again at once. The first of them
/// finds the store's thread idle. If its message were committed alone, the others would wait for two syncs: that one
/// and their own. So the thread waits for the others, for half a commit at most. No publisher waits longer than without
/// this (the rest of a commit under way, and its own), and all of them share one sync instead of two.
///
/// The thread waits only if the last commits had messages of several publishers and ended a moment ago, and not if
/// messages were waiting when they ended. So a lone publisher never waits for others, and a busy disk never idles. A
/// value without a clock.
struct CommitGathering {
    /// The longest wait, however slow the disk is, in nanoseconds.
    private static let longestWait: Int64 = 5_000_000

    /// How many publishers are likely to publish together, one message each; 1: do not wait.
    private(set) var size = 1
    /// The publishers of the last commit, if it ended with others waiting.
    private var before = Publishers()
    private var answered = MonotonicTime(nanoseconds: 0)
    private var commit: Int64 = 0

    /// Records a commit, when its publishers are answered.
    ///
    /// - Parameters:
    ///   - publishers: the publishers of its messages.
    ///   - duration: how long it took, in nanoseconds.
    ///   - isLast: whether no message arrived during the commit.
    mutating func answered(_ publishers: Publishers, after duration: Int64, at now: MonotonicTime, isLast: Bool) {
        // A publisher that publishes as soon as it is answered is in at least one of two successive commits. One with
        // more messages than a commit took is in both, and counts once.
        size = isLast ? max(1, before.union(publishers).count) : 1
        before = isLast ? Publishers() : publishers
        answered = now
        commit = duration
    }

    /// Until when to wait for the other publishers when the first message arrives; `nil`: do not wait.
    func deadline(now: MonotonicTime) -> MonotonicTime? {
        guard size > 1, now.nanoseconds(since: answered) < commit else { return nil }
        return now.advanced(byNanoseconds: min(commit / 2, Self.longestWait))
    }

    /// The publishers of messages, as far as known from some of them.
    ///
    /// A publisher of many messages counts once; a request over HTTP has no client and counts separately.
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
