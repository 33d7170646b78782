internal import Synchronization
internal import WSTransport

/// Publishes messages again that this broker had acknowledged and that are no longer in any log, after it has restarted
/// with a copy of another broker's store.
///
/// Each message has a key, so it counts once, however often this is repeated. Any thread.
final class Resending: Sendable {
    /// How many messages were published again, and how many were not.
    struct Outcome: Sendable, Equatable {
        var sent = 0
        /// Values that another message had replaced.
        var conflicts = 0
        /// The topics of some of these values.
        var topics: [String] = []
        /// Messages that were refused, or were too many.
        var refused = 0
        /// The path of the former store.
        var path = ""
    }

    private struct State {
        var isInProgress = false
        /// The former stores that have not been examined yet.
        var waiting: [FormerStore]
        /// The lines for the program's log since the last call.
        var news: [Journal.Entry] = []
        var total = Outcome()
    }

    /// Whether messages may still have to be published again; clients wait meanwhile, so that their messages come after
    /// these.
    let isDue: Atomic<Bool>
    /// Whether there are such messages, as far as is known.
    let hasMessages = Atomic<Bool>(false)
    private let state: Mutex<State>
    private let sequencer: Sequencer
    private let store: LMDBStore
    private let node: NodeRecord
    private let maximumSize: Int
    private let pool = WorkerPool(name: "resending", maximumThreads: 1, maximumWaiting: 1, isModest: true)

    /// How many messages are published at once.
    private static let piece = 200
    /// How many topics of replaced values are named in the log.
    private static let namedTopics = 10
    /// How long to wait for the results, in nanoseconds; publications are refused earlier than that.
    private static let patience: Int64 = 60_000_000_000

    init(_ sequencer: Sequencer, _ store: LMDBStore, _ node: NodeRecord, directory: String, maximumSize: Int) {
        (self.sequencer, self.store, self.node, self.maximumSize) = (sequencer, store, node, maximumSize)
        let waiting = FormerStore.all(in: directory)
        state = Mutex(State(waiting: waiting))
        isDue = Atomic(!waiting.isEmpty)
    }

    /// Why clients must wait; `nil` if they need not.
    ///
    /// A new broker, which has acknowledged nothing, has a former store, too.
    var reason: String? {
        guard isDue.load(ordering: .acquiring) else { return nil }
        return hasMessages.load(ordering: .relaxed)
            ? "it is publishing again the messages that it had acknowledged and that are no longer in any log"
            : "it is comparing its former store with the copy of another broker's store"
    }

    /// The outcome for all messages since the start.
    var total: Outcome { state.withLock { $0.total } }

    /// The lines for the program's log since the last call.
    func takeNews() -> [Journal.Entry] {
        state.withLock { state in
            defer { state.news = [] }
            return state.news
        }
    }

    /// Continues on a separate thread; the broker must have read everything that its cluster has.
    ///
    /// - Parameter then: called when nothing is left to be published again.
    func begin(publishingOn remote: Remote, then: @escaping @Sendable () -> Void) {
        let isFirst = state.withLock { state in
            defer { state.isInProgress = true }
            return !state.isInProgress
        }
        guard isFirst else { return }
        let isTaken = pool.run { [self] in
            let isDone = run(on: remote)
            if isDone { isDue.store(false, ordering: .releasing) }
            state.withLock { $0.isInProgress = false }
            if isDone { then() }
        }
        if !isTaken { state.withLock { $0.isInProgress = false } }
    }

    /// Handles the former stores; returns whether none is left.
    private func run(on remote: Remote) -> Bool {
        while let former = state.withLock({ $0.waiting.first }) {
            do throws(StorageError) {
                guard try handle(former, on: remote) else { return false }
            } catch {
                // The store is kept, for the next start and for the administrator.
                tell(
                    .error, "cannot read what this broker had before its copy of another's store",
                    [("error", "\(error)")])
            }
            state.withLock { _ = $0.waiting.removeFirst() }
        }
        return true
    }

    /// Publishes the messages of a former store again; returns whether that is complete.
    private func handle(_ former: FormerStore, on remote: Remote) throws(StorageError) -> Bool {
        guard let old = try former.open(maximumSize: maximumSize) else { return true }
        let undone: UndoneMessages?
        do {
            defer { old.close() }
            undone = try UndoneMessages(
                of: old, replacedBy: store, (0..<sequencer.partitions.count).map { sequencer.jumps(of: $0) }, node)
        }
        guard let undone else {
            try former.discard()
            return true
        }
        hasMessages.store(true, ordering: .relaxed)
        guard var outcome = send(undone, on: remote) else { return false }
        outcome.path = try former.keepForPeople()
        state.withLock { state in
            state.total.sent += outcome.sent
            state.total.conflicts += outcome.conflicts
            state.total.refused += outcome.refused
        }
        tell(outcome)
        return true
    }

    private func tell(_ level: Journal.Level, _ message: String, _ metadata: [(name: String, value: String)]) {
        state.withLock { $0.news.append(Journal.Entry(level: level, message: message, metadata: metadata)) }
    }

    private func tell(_ outcome: Outcome) {
        tell(
            .warning, "published again what this broker had acknowledged and is no longer in any log",
            [("messages", "\(outcome.sent)"), ("store", outcome.path)])
        guard outcome.conflicts + outcome.refused > 0 else { return }
        tell(
            .error, "could not publish again all that this broker had acknowledged and is no longer in any log",
            [
                ("replaced", "\(outcome.conflicts)"), ("topics", outcome.topics.joined(separator: " ")),
                ("refused", "\(outcome.refused)"), ("store", outcome.path),
            ])
    }

    // MARK: Sending

    /// The results of drafts, from the reactor's thread.
    private final class Results: Sendable {
        private let state: Mutex<(missing: Int, results: [Result<Receipt, Refusal>?])>
        private let semaphore = Semaphore()

        init(_ count: Int) { state = Mutex((count, Array(repeating: nil, count: count))) }

        func put(_ result: Result<Receipt, Refusal>, at place: Int) {
            let isLast = state.withLock { state in
                state.results[place] = result
                state.missing -= 1
                return state.missing == 0
            }
            if isLast { semaphore.signal() }
        }

        /// Waits for the results; `nil` if not all arrived in time.
        func wait(until deadline: MonotonicTime) -> [Result<Receipt, Refusal>]? {
            semaphore.wait(until: deadline)
            return state.withLock { $0.missing == 0 ? $0.results.compactMap(\.self) : nil }
        }
    }

    /// Publishes messages again; `nil` if the engine was lost, so that it must be tried again.
    private func send(_ undone: UndoneMessages, on remote: Remote) -> Outcome? {
        var outcome = Outcome(refused: undone.left)
        /// The numbers of the messages published again, by topic.
        var own: [Topic: UInt64] = [:]
        var rest = undone.items[...]
        while !rest.isEmpty {
            let piece = takePiece(from: &rest, since: undone.end, own)
            guard let results = publish(piece.map(\.draft), on: remote) else { return nil }
            for (one, result) in zip(piece, results) {
                var result = result
                if case .failure(let refusal) = result, Self.isReplaced(refusal), one.item.isMessage {
                    // A newer value is not replaced, but the history gets the message nevertheless.
                    var message = one.draft
                    (message.isRetained, message.condition) = (false, .none)
                    guard let again = publish([message], on: remote)?.first else { return nil }
                    result = again
                }
                switch result {
                case .success(let receipt):
                    outcome.sent += 1
                    if one.draft.isRetained { own[one.draft.topic] = receipt.seq }
                case .failure(let refusal) where Self.isReplaced(refusal):
                    guard !isThere(one.item.message) else { continue }
                    outcome.conflicts += 1
                    if outcome.topics.count < Self.namedTopics { outcome.topics.append(one.draft.topic.name) }
                case .failure(let refusal) where refusal.code == .unavailable: return nil
                case .failure: outcome.refused += 1
                }
            }
        }
        return outcome
    }

    private static func isReplaced(_ refusal: Refusal) -> Bool {
        refusal.code == .conflict || refusal.code == .notFound
    }

    /// The next messages to be published at once.
    ///
    /// Messages after a value are published only when its result is known, so that all keep their order.
    private func takePiece(
        from rest: inout ArraySlice<UndoneMessages.Item>, since end: UndoneMessages.End, _ own: [Topic: UInt64]
    ) -> [(item: UndoneMessages.Item, draft: Draft)] {
        var piece: [(item: UndoneMessages.Item, draft: Draft)] = []
        while piece.count < Self.piece, let item = rest.first {
            if let draft = draft(of: item, since: end, own) {
                if draft.isRetained, !piece.isEmpty { break }
                piece.append((item, draft))
            }
            rest.removeFirst()
            if piece.last?.draft.isRetained == true { break }
        }
        return piece
    }

    /// Whether a topic still has the value that a message set.
    private func isThere(_ message: Message) -> Bool {
        let value = try? sequencer.value(of: message.topic)
        return message.isRemoval ? value == nil : value?.payload == message.payload
    }

    /// The message as a publication that replaces only the value of the time at which the log lost it; `nil` if there
    /// is nothing to do.
    private func draft(of item: UndoneMessages.Item, since end: UndoneMessages.End, _ own: [Topic: UInt64]) -> Draft? {
        let message = item.message
        var draft = Draft(topic: message.topic, payload: message.payload.array, kind: message.kind)
        (draft.contentType, draft.properties, draft.origin) = (message.contentType, message.properties, message.origin)
        (draft.isRetained, draft.key) = (message.isRetained, item.key)
        if message.expiry > 0 {
            let left = message.expiry - Lifetime.now
            guard left > 0 else { return nil }
            draft.timeToLive = left
        }
        guard message.isRetained else { return draft }
        let current = try? sequencer.value(of: message.topic)
        switch current?.number {
        case nil where message.isRemoval: return nil
        case nil: draft.condition = .absent
        case let number? where number <= end.closed(of: message.topic) ?? 0 || number == own[message.topic]:
            draft.condition = .matches([number])
        // Another value has replaced it: it goes only to the history.
        case _ where item.isMessage: draft.isRetained = false
        // No message has that number: this one counts if it was published before, and is refused otherwise.
        default: draft.condition = .matches([.max])
        }
        return draft
    }

    /// Publishes drafts and waits; `nil` if the results did not arrive, or the broker ends.
    private func publish(_ drafts: [Draft], on remote: Remote) -> [Result<Receipt, Refusal>]? {
        guard !drafts.isEmpty else { return [] }
        let results = Results(drafts.count)
        // Nothing else refers to them from here on.
        nonisolated(unsafe) let handedOver = drafts
        let isPosted = remote.run { reactor in
            let drafts = unsafe handedOver
            guard let shard = reactor[Shard.self], !shard.isDraining else {
                let refusal = Refusal(.unavailable, "The broker is shutting down.")
                for place in drafts.indices { results.put(.failure(refusal), at: place) }
                return
            }
            for place in drafts.indices {
                var draft = drafts[place]
                draft.completion = { results.put($0, at: place) }
                shard.publish(draft, from: nil)
            }
        }
        guard isPosted else { return nil }
        return results.wait(until: MonotonicTime.now.advanced(byNanoseconds: Self.patience))
    }
}
