internal import Glibc
internal import Synchronization
package import WSTransport

/// The one thread that writes to the store.
///
/// It commits everything since its last commit in one transaction with one sync, so messages cost less the more there
/// are. Its callbacks run on this thread, and must not wait for it.
package final class StoreThread: Sendable {
    /// The result of a commit.
    package struct Settlement: Sendable {
        /// The numbers of the messages that are now on disk, in the order they were appended.
        package var committed: [UInt64] = []
        /// The numbers of the messages that could not be stored, in the order they were appended, why, and the numbers
        /// of the clients that published them.
        package var failed: [(seq: UInt64, error: StorageError, origin: UInt64)] = []
        /// The retained messages among the failed ones.
        package var refusedValues: [Message] = []
        /// All appended messages up to this number are settled: on disk, or failed.
        package var committedUpTo: UInt64 = 0
    }

    /// The thread's figures.
    package struct Statistics: Equatable, Sendable {
        /// Committed transactions.
        package var commits = 0
        package var messagesCommitted = 0
        package var messagesFailed = 0
        /// Messages that were appended and are not settled yet.
        package var queueDepth = 0
        /// Their size, in bytes.
        package var queuedBytes = 0
        /// How long the last commit took, including its sync.
        package var lastCommitMicroseconds = 0
    }

    package typealias Completion = @Sendable (Result<Void, StorageError>) -> Void

    private struct Adoption {
        let rules: HistoryRules
        let from: UInt64
        let completion: @Sendable () -> Void
    }

    private struct Work {
        var entries: [StoreEntry] = []
        var reservation: UInt64?
        var reserved: [Completion] = []
        /// Rules to apply, in order.
        var rules: [Adoption] = []
        var probes: [Completion] = []
        var isStopping = false
        /// The last number, if the thread is to stop and the number is known.
        var last: UInt64?
        /// The size of the messages that were appended and are not settled yet, in bytes.
        var unsettledBytes = 0
        /// Whether the thread will look without being woken again.
        var isWoken = false
        /// The position reached in the order that several brokers share; `nil` if it is unchanged.
        var mark: OrderMark?
        /// How many of the entries are covered by the last mark; `nil` if there is no such order.
        var marked: Int?
        /// How many messages wake the thread; anything else always does.
        var wanted = 1

        /// How many entries may be committed.
        private var ready: Int { marked ?? entries.count }
        var isEmpty: Bool { ready == 0 && !isPressing }
        /// Whether there is work other than messages.
        private var isPressing: Bool {
            isStopping || reservation != nil || !reserved.isEmpty || !rules.isEmpty || !probes.isEmpty
        }
        /// Whether there is enough work for the thread to stop waiting.
        var isEnough: Bool { ready >= wanted || isPressing }

        mutating func take() -> Work {
            var taken = self
            entries = []
            if let marked {
                entries = Array(taken.entries[marked...])
                taken.entries.removeSubrange(marked...)
                self.marked = 0
                mark = nil
            }
            reservation = nil
            reserved = []
            rules = []
            probes = []
            isWoken = false
            wanted = 1
            return taken
        }
    }

    private let store: any MessageStore
    private let maximumQueuedBytes: Int
    private let onSettled: @Sendable (Settlement) -> Void
    private let onExpired: @Sendable ([ExpiredValue]) -> Void
    private let work = Mutex(Work())
    private let wake = Semaphore()
    private let thread = Mutex<ThreadHandle?>(nil)
    private let failure = Mutex<StorageError?>(nil)

    /// How long commits took, including their syncs, in microseconds.
    package let commitTimes = Histogram(bounds: [100, 300, 1000, 3000, 10_000, 30_000, 100_000, 1_000_000])
    /// How many messages shared a commit.
    package let commitMessages = Histogram(bounds: [1, 3, 10, 30, 100, 300, 1000, 10_000])

    private let commits = Atomic<Int>(0)
    private let messagesCommitted = Atomic<Int>(0)
    private let messagesFailed = Atomic<Int>(0)
    private let queueDepth = Atomic<Int>(0)
    private let lastCommitMicroseconds = Atomic<Int>(0)

    /// How often messages that are too old are looked for, in nanoseconds.
    private static let pace: Int64 = 1_000_000_000
    /// The number of successive failures not caused by the messages after which the rest of a batch fails, too.
    private static let hopeless = 4

    /// - Parameters:
    ///   - maximumQueuedBytes: how much may wait or be in a commit; ``append(_:)`` refuses more. One batch is always
    ///     accepted.
    ///   - onSettled: called after each commit that had messages, on this thread.
    ///   - onExpired: called with values that have expired, on this thread. The values stay until messages remove them.
    package init(
        store: any MessageStore, maximumQueuedBytes: Int, onSettled: @escaping @Sendable (Settlement) -> Void,
        onExpired: @escaping @Sendable ([ExpiredValue]) -> Void = { _ in }
    ) {
        self.store = store
        self.maximumQueuedBytes = maximumQueuedBytes
        self.onSettled = onSettled
        self.onExpired = onExpired
    }

    /// Starts the thread; messages appended before wait until then.
    package func start() throws(StorageError) {
        do throws(Errno) {
            let handle = try startThread(named: "store") { self.run() }
            thread.withLock { $0 = handle }
        } catch {
            throw .system(code: error.rawValue, what: "cannot start the store's thread: \(error)")
        }
    }

    /// Appends messages to be stored, all or none.
    ///
    /// It only appends them and wakes the thread, so it may be called under a lock.
    ///
    /// - Parameter waking: `false` if more messages of the same turn and ``wakeUp()`` follow, so that the first is not
    ///   committed without the others.
    /// - Returns: `false` if too much waits already, or the thread is stopping.
    package func append(_ entries: [StoreEntry], waking: Bool = true) -> Bool {
        guard !entries.isEmpty else { return true }
        let bytes = weight(entries)
        return post(waking: waking) { work in
            // What a log has accepted is not refused; the reader of the log waits instead (``isBehind``).
            guard work.unsettledBytes == 0 || work.marked != nil || work.unsettledBytes &+ bytes <= maximumQueuedBytes
            else { return false }
            work.entries.append(contentsOf: entries)
            work.unsettledBytes &+= bytes
            queueDepth.add(entries.count, ordering: .relaxed)
            return true
        }
    }

    /// From now on commits appended messages only up to a mark, in one transaction with the mark.
    ///
    /// Called before the first message; see ``note(_:)``.
    package func follow() {
        _ = post {
            $0.marked = $0.entries.count; return true
        }
    }

    /// Records a mark of an order that several brokers share: it covers everything appended before.
    package func note(_ mark: OrderMark) {
        _ = post { work in
            (work.mark, work.marked) = (mark, work.entries.count)
            return true
        }
    }

    /// Whether more waits for the disk than may, so that no more of the log should be read.
    package var isBehind: Bool { work.withLock { $0.unsettledBytes > maximumQueuedBytes } }

    /// Why messages from a log cannot be stored at the moment; `nil` if they can.
    package var trouble: StorageError? { failure.withLock { $0 } }

    /// Wakes the thread, to process what was appended without waking it.
    package func wakeUp() { _ = post { _ in true } }

    /// Reserves sequence numbers; `completion` is called when they are on disk, or if that fails.
    package func reserve(seqsUpTo seq: UInt64, then completion: @escaping Completion) {
        let isPosted = post { work in
            work.reservation = max(work.reservation ?? 0, seq)
            work.reserved.append(completion)
            return true
        }
        if !isPosted { completion(.failure(Self.stopped)) }
    }

    /// Makes the store apply rules to messages from `seq` on, which must be appended after this call.
    ///
    /// The thread tries until it succeeds; then it calls `completion`.
    package func adopt(
        _ rules: HistoryRules, from seq: UInt64, then completion: @escaping @Sendable () -> Void = {}
    ) {
        _ = post { work in
            work.rules.append(Adoption(rules: rules, from: seq, completion: completion))
            return true
        }
    }

    /// Writes and syncs a small record, after what has been appended so far.
    package func probe(then completion: @escaping Completion) {
        let isPosted = post { work in
            work.probes.append(completion)
            return true
        }
        if !isPosted { completion(.failure(Self.stopped)) }
    }

    /// Commits everything appended, and waits until the thread has ended.
    ///
    /// Must not be called on the thread itself, that is, in a callback.
    ///
    /// - Parameter last: the last number given, after which the next start continues; `nil`: it continues after all
    ///   reserved numbers.
    package func stop(after last: UInt64? = nil) {
        _ = post { work in
            work.isStopping = true
            work.last = last
            return true
        }
        let handle = thread.withLock { handle in
            defer { handle = nil }
            return handle
        }
        handle?.join()
    }

    /// The thread's figures, from any thread; each is correct, but not all are of the same moment.
    package var statistics: Statistics {
        Statistics(
            commits: commits.load(ordering: .relaxed), messagesCommitted: messagesCommitted.load(ordering: .relaxed),
            messagesFailed: messagesFailed.load(ordering: .relaxed), queueDepth: queueDepth.load(ordering: .relaxed),
            queuedBytes: work.withLock { $0.unsettledBytes },
            lastCommitMicroseconds: lastCommitMicroseconds.load(ordering: .relaxed))
    }

    // MARK: Posting

    private static let stopped = StorageError.system(code: ESHUTDOWN, what: "the store is closing")

    private func post(waking: Bool = true, _ change: (inout Work) -> Bool) -> Bool {
        let (isPosted, mustWake) = work.withLock { work in
            guard !work.isStopping, change(&work) else { return (false, false) }
            guard waking, !work.isWoken, work.isEnough else { return (true, false) }
            work.isWoken = true
            return (true, true)
        }
        if mustWake { wake.signal() }
        return isPosted
    }

    private func weight(_ entries: [StoreEntry]) -> Int { entries.reduce(0) { $0 &+ $1.message.weight } }

    // MARK: The thread

    private func run() {
        var next = MonotonicTime.now.advanced(byNanoseconds: Self.pace)
        var adoptions: [Adoption] = []
        var gathering = CommitGathering()
        var announcements = ExpiryAnnouncements()
        var unwritten: (mark: OrderMark, due: MonotonicTime)?
        while true {
            wake.wait(until: announcements.deadline(store, before: next))
            gather(gathering)
            let taken = work.withLock { $0.take() }
            adoptions += taken.rules
            // If the store takes no writes now, try again later. Do not skip a set of rules: it applies to the messages
            // up to the next set.
            while let next = adoptions.first, (try? store.adopt(next.rules, from: next.from)) != nil {
                adoptions.removeFirst()
                next.completion()
            }
            if taken.marked != nil {
                guard follow(taken, &unwritten) else { return }
            }
            settle(taken, &gathering)
            if taken.isStopping {
                // If recording this fails, the next start assumes a hole.
                try? store.seal(upTo: taken.marked == nil ? taken.last : nil)
                return
            }
            let now = MonotonicTime.now
            let expired = announcements.due(
                in: store, hasRemoved: taken.entries.contains { $0.message.isExpiry }, now: now)
            if !expired.isEmpty { onExpired(expired) }
            guard next <= now else { continue }
            // Remaining work is done between batches; after a failure it waits for the next interval.
            let isMore = (try? store.maintain(now: Lifetime.now)) ?? false
            if !isMore { store.rest() }
            next = isMore ? now : now.advanced(byNanoseconds: Self.pace)
        }
    }

    // MARK: A log

    /// The interval after which a failed commit of messages from a log is tried again, and how long a mark without
    /// messages stays in memory, in nanoseconds.
    private static let attemptPause: Int64 = 1_000_000_000
    private static let markLife: Int64 = 5_000_000_000

    /// Commits messages from a log together with the mark reached; tries until it succeeds, because the other brokers
    /// have them.
    ///
    /// - Returns: `false` if the thread must stop before it succeeds; the disk then has everything up to an earlier
    ///   mark.
    private func follow(_ work: Work, _ unwritten: inout (mark: OrderMark, due: MonotonicTime)?) -> Bool {
        let now = MonotonicTime.now
        if let mark = work.mark { unwritten = (mark, unwritten?.due ?? now.advanced(byNanoseconds: Self.markLife)) }
        // A mark alone is synced only now and then: the log can be read again from an older one.
        guard let last = unwritten?.mark,
            !work.entries.isEmpty || work.isStopping || unwritten.map({ $0.due <= now }) == true
        else { return true }
        while true {
            let result = attempt { () throws(StorageError) in
                try store.apply(work.entries, reaching: last, now: Lifetime.now)
            }
            switch result {
            case .success:
                failure.withLock { $0 = nil }
                unwritten = nil
                return true
            case .failure(let error):
                failure.withLock { $0 = error }
                if work.isStopping || self.work.withLock({ $0.isStopping }) { return false }
                wake.wait(until: .now.advanced(byNanoseconds: Self.attemptPause))
            }
        }
    }

    /// Waits for publishers that are likely to publish at the same time as the first one.
    private func gather(_ gathering: CommitGathering) {
        guard let deadline = gathering.deadline(now: .now) else { return }
        let isWaiting = work.withLock { work in
            work.wanted = gathering.size
            guard !work.isEmpty, !work.isEnough else { return false }
            work.isWoken = false
            return true
        }
        if isWaiting { wake.wait(until: deadline) }
    }

    private func settle(_ work: Work, _ gathering: inout CommitGathering) {
        let reservation = commit(work, &gathering)
        for completion in work.reserved { completion(reservation) }
        guard !work.probes.isEmpty else { return }
        let probe = attempt { () throws(StorageError) in try store.probe() }
        for completion in work.probes { completion(probe) }
    }

    /// Commits and settles the messages; returns the result of the reservation.
    private func commit(_ work: Work, _ gathering: inout CommitGathering) -> Result<Void, StorageError> {
        guard !work.entries.isEmpty else {
            guard let reservation = work.reservation else { return .success(()) }
            return attempt { () throws(StorageError) in try store.reserve(seqsUpTo: reservation) }
        }
        var settlement = Settlement()
        let begin = MonotonicTime.now
        var reservation: Result<Void, StorageError> = .success(())
        // Messages from a log have already been committed.
        if work.marked == nil {
            reservation = attempt { () throws(StorageError) in
                try store.apply(work.entries, reserving: work.reservation, now: Lifetime.now)
            }
        }
        switch reservation {
        case .success:
            settlement.committed = work.entries.map(\.message.seq)
            commitMessages.add(settlement.committed.count)
        case .failure(let error):
            if let seq = work.reservation {
                reservation = attempt { () throws(StorageError) in try store.reserve(seqsUpTo: seq) }
            }
            var failures = 0
            divide(work.entries[...], error, &failures, &settlement)
        }
        settlement.committedUpTo = work.entries.lazy.map(\.message.seq).max() ?? 0
        messagesCommitted.add(settlement.committed.count, ordering: .relaxed)
        messagesFailed.add(settlement.failed.count, ordering: .relaxed)
        queueDepth.subtract(work.entries.count, ordering: .relaxed)
        let bytes = weight(work.entries)
        let isLast = self.work.withLock { waiting in
            waiting.unsettledBytes &-= bytes
            return waiting.isEmpty
        }
        let end = MonotonicTime.now
        store.settleKept(work.entries.count { $0.rule != nil })
        onSettled(settlement)
        // After the answers, which need not wait for this.
        gathering.answered(
            CommitGathering.Publishers(of: work.entries), after: end.nanoseconds(since: begin), at: end, isLast: isLast)
        return reservation
    }

    /// After a batch has failed, stores the messages that can be stored, in order, by trying its halves, and the halves
    /// of those.
    ///
    /// So a few messages that do not fit cost a few transactions, not one for each message.
    private func divide(
        _ entries: ArraySlice<StoreEntry>, _ error: StorageError, _ failures: inout Int, _ settlement: inout Settlement
    ) {
        guard entries.count > 1, failures < Self.hopeless else {
            settlement.failed.append(contentsOf: entries.map { ($0.message.seq, error, $0.message.origin) })
            settlement.refusedValues += entries.lazy.map(\.message).filter(\.isRetained)
            for entry in entries where entry.rule != nil { store.lose(entry.message.seq) }
            switch error {
            case .full, .limit: failures = 0
            case .busy, .damaged, .inUse, .newer, .system: failures += 1
            }
            return
        }
        let middle = entries.startIndex + entries.count / 2
        for half in [entries[..<middle], entries[middle...]] {
            guard failures < Self.hopeless else {
                divide(half, error, &failures, &settlement)
                continue
            }
            let result = attempt { () throws(StorageError) in
                try store.apply(Array(half), reserving: nil, now: Lifetime.now)
            }
            switch result {
            case .success:
                failures = 0
                settlement.committed.append(contentsOf: half.map(\.message.seq))
                commitMessages.add(half.count)
            case .failure(let error): divide(half, error, &failures, &settlement)
            }
        }
    }

    private func attempt(_ body: () throws(StorageError) -> Void) -> Result<Void, StorageError> {
        let begin = MonotonicTime.now
        do throws(StorageError) {
            try body()
        } catch {
            return .failure(error)
        }
        commits.add(1, ordering: .relaxed)
        let nanoseconds = MonotonicTime.now.nanoseconds(since: begin)
        lastCommitMicroseconds.store(Int(nanoseconds / 1000), ordering: .relaxed)
        commitTimes.add(Int(nanoseconds / 1000))
        return .success(())
    }
}
