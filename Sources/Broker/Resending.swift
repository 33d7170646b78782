internal import Synchronization
internal import WSTransport

/// Sends again what this broker had acknowledged and no log has any more, when it has begun again with a copy of another's
/// store.
///
/// Each message counts once, by a key, however often this begins. Any thread.
final class Resending: Sendable {
    /// What came of it.
    struct Outcome: Sendable, Equatable {
        var sent = 0
        /// Another message had taken its place.
        var conflicts = 0
        /// The topics of some of them.
        var topics: [String] = []
        /// Those that were refused, or too many.
        var refused = 0
        /// Where the store is kept.
        var path = ""
    }

    private struct State {
        var isUnderWay = false
        /// Those that nobody has looked into.
        var waiting: [FormerStore]
        /// What has come up since it was asked last.
        var news: [Journal.Entry] = []
        var total = Outcome()
    }

    /// Whether something may still have to be sent: clients wait for that, so that theirs comes after it.
    let isDue: Atomic<Bool>
    private let state: Mutex<State>
    private let sequencer: Sequencer
    private let store: LMDBStore
    private let node: NodeRecord
    private let maximumSize: Int
    private let pool = WorkerPool(name: "resending", maximumThreads: 1, maximumWaiting: 1, isModest: true)

    /// How many messages are under way at once.
    private static let piece = 200
    /// How many topics are named where another message has taken the place.
    private static let namedTopics = 10
    /// How long it waits for what it has sent, in nanoseconds; publications are refused before.
    private static let patience: Int64 = 60_000_000_000

    init(_ sequencer: Sequencer, _ store: LMDBStore, _ node: NodeRecord, directory: String, maximumSize: Int) {
        (self.sequencer, self.store, self.node, self.maximumSize) = (sequencer, store, node, maximumSize)
        let waiting = FormerStore.all(in: directory)
        state = Mutex(State(waiting: waiting))
        isDue = Atomic(!waiting.isEmpty)
    }

    /// What was sent again, and what was not, since the start.
    var total: Outcome { state.withLock { $0.total } }

    /// What has come up for the log of this program since the last call.
    func takeNews() -> [Journal.Entry] {
        state.withLock { state in
            defer { state.news = [] }
            return state.news
        }
    }

    /// Goes on, beside the reactors; the broker must have read all that its cluster has.
    ///
    /// - Parameter then: called when nothing is left to be sent.
    func begin(publishingOn remote: Remote, then: @escaping @Sendable () -> Void) {
        let isFirst = state.withLock { state in
            defer { state.isUnderWay = true }
            return !state.isUnderWay
        }
        guard isFirst else { return }
        let isTaken = pool.run { [self] in
            let isDone = run(on: remote)
            if isDone { isDue.store(false, ordering: .releasing) }
            state.withLock { $0.isUnderWay = false }
            if isDone { then() }
        }
        if !isTaken { state.withLock { $0.isUnderWay = false } }
    }

    /// Returns whether nothing is left.
    private func run(on remote: Remote) -> Bool {
        while let former = state.withLock({ $0.waiting.first }) {
            do throws(StorageError) {
                guard try handle(former, on: remote) else { return false }
            } catch {
                // It stays, for the next start and for people.
                tell(
                    .error, "cannot read what this broker had before its copy of another's store",
                    [("error", "\(error)")])
            }
            state.withLock { _ = $0.waiting.removeFirst() }
        }
        return true
    }

    /// Returns whether it is done with.
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
            .warning, "sent again what this broker had acknowledged and no log has any more",
            [("messages", "\(outcome.sent)"), ("store", outcome.path)])
        guard outcome.conflicts + outcome.refused > 0 else { return }
        tell(
            .error, "did not send again all that this broker had acknowledged and no log has any more",
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

        /// `nil`: they did not all come.
        func wait(until deadline: MonotonicTime) -> [Result<Receipt, Refusal>]? {
            semaphore.wait(until: deadline)
            return state.withLock { $0.missing == 0 ? $0.results.compactMap(\.self) : nil }
        }
    }

    /// `nil`: the engine was lost, and it is to be tried again.
    private func send(_ undone: UndoneMessages, on remote: Remote) -> Outcome? {
        var outcome = Outcome(refused: undone.left)
        /// The numbers of what was sent again, by topic.
        var own: [Topic: UInt64] = [:]
        var rest = undone.items[...]
        while !rest.isEmpty {
            let piece = takePiece(from: &rest, since: undone.end, own)
            guard let results = publish(piece.map(\.draft), on: remote) else { return nil }
            for (one, result) in zip(piece, results) {
                var result = result
                if case .failure(let refusal) = result, Self.isReplaced(refusal), one.item.isMessage {
                    // A newer value stays; as a message of the history it is there again all the same.
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

    /// The next messages to be sent at once: what follows a value is sent when it is known what became of that, so that
    /// all stay in their order.
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

    /// Whether a topic's value is what a message set.
    private func isThere(_ message: Message) -> Bool {
        let value = try? sequencer.value(of: message.topic)
        return message.isRemoval ? value == nil : value?.payload == message.payload
    }

    /// The message as a publication, which replaces only what was there when the log lost it; `nil`: there is nothing to do.
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
        // Another value has taken its place: it goes to the history only.
        case _ where item.isMessage: draft.isRetained = false
        // None has that number: it counts if it was sent before, and is refused otherwise.
        default: draft.condition = .matches([.max])
        }
        return draft
    }

    /// `nil`: the results did not come, or the broker ends.
    private func publish(_ drafts: [Draft], on remote: Remote) -> [Result<Receipt, Refusal>]? {
        guard !drafts.isEmpty else { return [] }
        let results = Results(drafts.count)
        // Nobody else refers to them from here on.
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
