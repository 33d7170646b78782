internal import Synchronization
package import WSTransport

/// What a reactor's shard finds in its mailbox.
package enum Letter: Sendable {
    /// Messages, in the order of their sequence numbers.
    case published([Message])
    /// What the store did.
    case settled(StoreThread.Settlement)
}

/// The one place where messages get their order.
///
/// A reactor hands over what a turn has published, once; under the lock the messages get their numbers and go to every
/// shard's mailbox and to the store's queue. So the order in every mailbox, in the store and on every wire is the same.
///
/// Retained values that are numbered but not yet on disk are kept in an overlay, so that who reads a value sees every
/// message up to the number the reading stands for. Any thread.
package final class Sequencer: Sendable {
    /// Numbers are reserved on disk in blocks, so that after a crash none comes twice.
    ///
    /// 2²⁴ of 2⁵³ (what JSON can hold).
    static let block: UInt64 = 1 << 24

    struct State {
        var next: UInt64
        var reserved: UInt64
        var isReserving = false
        var inboxes: [Inbox] = []
        var overlay: [Topic: Message] = [:]
        /// The values below `$SYS` that the broker has of itself; in memory only.
        var figures: [Topic: Message] = [:]
        var rules = HistoryRules()
        /// Messages that are to be kept and not yet on disk, in order.
        var pending: ContiguousArray<Message> = []
        /// How many commits the overlay has been told of.
        var commits: UInt64 = 0
        var storeThread: StoreThread?
    }

    let state: Mutex<State>
    private let store: any RetainedStore

    /// Begins after all numbers that were ever reserved in `store`, and reserves the first block.
    ///
    /// Where the store has no room for that, publications are refused until it has; what is stored can be read.
    package init(store: any RetainedStore, rules: HistoryRules = HistoryRules()) throws(StorageError) {
        self.store = store
        let first = store.reservedSeq + 1
        var state = State(next: first, reserved: first - 1)
        state.rules = rules
        do throws(StorageError) {
            try store.reserve(seqsUpTo: first + Self.block)
            try store.adopt(rules, from: first)
            state.reserved = first + Self.block
        } catch .full {
            // The store's thread goes on trying.
        } catch {
            throw error
        }
        self.state = Mutex(state)
    }

    /// From then on messages are stored.
    package func attach(_ thread: StoreThread) {
        state.withLock { state in
            state.storeThread = thread
            if state.reserved < state.next { thread.adopt(state.rules, from: state.next) }
        }
    }

    /// Keeps messages by these rules from now on.
    package func adopt(_ rules: HistoryRules) {
        state.withLock { state in
            state.rules = rules
            state.storeThread?.adopt(rules, from: state.next)
        }
    }

    /// Adds a shard's mailbox; the shard then gets every message.
    ///
    /// Shards join as their threads happen to start, so each says its index.
    @discardableResult
    package func join(_ mailbox: Mailbox<Letter>, shard: Int) -> Inbox {
        let inbox = Inbox(shard: shard, mailbox: mailbox)
        state.withLock { $0.inboxes.append(inbox) }
        return inbox
    }

    /// Whether some shard has more to deliver than it should.
    package var isCongested: Bool { state.withLock { $0.inboxes.contains(where: \.isCongested) } }

    /// The number of the newest message; 0 before the first.
    package var newest: UInt64 { state.withLock { $0.next - 1 } }

    // MARK: Publishing

    /// Numbers the drafts in their order and sends them on their way.
    ///
    /// - Parameter shard: the index of the mailbox that its owner drains in this very turn, so that it need not be woken.
    /// - Returns: one result for each draft: its number and whether the store was given it.
    package func sequence(_ drafts: [Draft], from shard: Int) -> [Result<(seq: UInt64, isQueued: Bool), Refusal>] {
        let time = WallClock.unixMilliseconds
        var wanted: (thread: StoreThread, target: UInt64)?
        let results = state.withLock { state in
            var results: [Result<(seq: UInt64, isQueued: Bool), Refusal>] = []
            results.reserveCapacity(drafts.count)
            var messages: [Message] = []
            messages.reserveCapacity(drafts.count)
            var isQueued = false
            let isFull = state.inboxes.contains(where: \.isFull)
            // A view, so that a draft is not copied for a look at it.
            let view = drafts.span
            for place in view.indices {
                do throws(Refusal) {
                    if isFull, !view[place].isVolatile { throw Self.congestion }
                    let message = try accept(view, place, &state, time)
                    messages.append(message)
                    let isStored = message.isRetained || message.rule != nil
                    isQueued = isQueued || isStored
                    results.append(.success((message.seq, isStored)))
                } catch {
                    results.append(.failure(error))
                }
            }
            if !messages.isEmpty {
                let bytes = Inbox.bytes(of: messages)
                for inbox in state.inboxes {
                    inbox.post(messages, bytes: bytes, waking: inbox.shard != shard)
                }
            }
            if isQueued { state.storeThread?.wakeUp() }
            wanted = reservation(&state)
            return results
        }
        if let wanted { reserve(wanted.target, on: wanted.thread) }
        return results
    }

    private static let congestion = Refusal(.unavailable, "The broker cannot keep up at the moment; try again.")

    private func accept(
        _ drafts: Span<Draft>, _ place: Int, _ state: inout State, _ time: Int64
    ) throws(Refusal) -> Message {
        guard state.next <= state.reserved else {
            throw Refusal(.storageFull, "The store takes no writes, so no further sequence numbers are to be had.")
        }
        try check(drafts[place].condition, of: drafts[place].topic, state)
        let rule = state.rules.isEmpty || state.storeThread == nil ? nil : state.rules.rule(for: drafts[place].topic)
        let message = Message(
            topic: drafts[place].topic, payload: drafts[place].payload, kind: drafts[place].kind,
            contentType: drafts[place].contentType,
            isRetained: drafts[place].isRetained, seq: state.next, time: time,
            expiry: drafts[place].timeToLive.map { Lifetime.now.addingReportingOverflow($0).partialValue } ?? 0,
            origin: drafts[place].origin, originSlot: drafts[place].source?.slot ?? .max, rule: rule)
        if drafts[place].isRetained || rule != nil, let thread = state.storeThread {
            guard thread.append([message], waking: false) else {
                throw Refusal(.unavailable, "The store's queue is full or closed.")
            }
            if drafts[place].isRetained { state.overlay[drafts[place].topic] = message }
            if rule != nil { state.pending.append(message) }
        }
        if drafts[place].isVolatile { state.figures[drafts[place].topic] = message }
        state.next += 1
        return message
    }

    private func check(
        _ condition: Draft.Condition, of topic: Topic, _ state: borrowing State
    ) throws(Refusal) {
        guard condition != .none else { return }
        let current = try value(of: topic, overlay: state.overlay, Lifetime.now)
        switch condition {
        case .none: break
        case .present:
            if current == nil { throw Refusal(.notFound, "\(topic) has no retained value.") }
        case .absent:
            if let current {
                throw Refusal(.conflict, "\(topic) has a retained value already, with seq \(current.seq).")
            }
        case .matches(let seqs):
            guard let current else { throw Refusal(.conflict, "\(topic) has no retained value.") }
            guard seqs.isEmpty || seqs.contains(current.seq) else {
                throw Refusal(.conflict, "The retained value of \(topic) has seq \(current.seq).")
            }
        }
    }

    /// What is to be reserved now, outside the lock: a store that is closed answers at once.
    private func reservation(_ state: inout State) -> (thread: StoreThread, target: UInt64)? {
        guard !state.isReserving, state.next + Self.block / 2 > state.reserved, let thread = state.storeThread else {
            return nil
        }
        state.isReserving = true
        return (thread, state.reserved + Self.block)
    }

    private func reserve(_ target: UInt64, on thread: StoreThread) {
        thread.reserve(seqsUpTo: target) { [self] result in
            state.withLock { state in
                // After a failure the next publication asks again.
                state.isReserving = false
                if case .success = result { state.reserved = target }
            }
        }
    }

    /// Takes note of what the store did, and tells the shards.
    ///
    /// The store's thread.
    package func settled(_ settlement: StoreThread.Settlement) {
        state.withLock { state in
            state.commits += 1
            state.overlay = state.overlay.filter { $0.value.seq > settlement.committedUpTo }
            state.pending.removeFirst(Self.place(after: settlement.committedUpTo, in: state.pending))
            for inbox in state.inboxes { inbox.mailbox.post(.settled(settlement)) }
        }
    }

    /// Has the store take a write; `then` gets what failed, on the store's thread.
    func probeStore(_ then: @escaping @Sendable (String?) -> Void) {
        guard let thread = state.withLock({ $0.storeThread }) else { return then("there is no store") }
        thread.probe { result in
            switch result {
            case .success: then(nil)
            case .failure(let error): then("\(error)")
            }
        }
    }

    // MARK: Reading

    /// The retained value of `topic`, the newest numbered one; `nil` where there is none.
    package func value(of topic: Topic) throws(Refusal) -> Message? {
        let overlay = state.withLock { state in state.overlay[topic] ?? state.figures[topic] }
        return try value(of: topic, overlay: overlay.map { [topic: $0] } ?? [:], Lifetime.now)
    }

    private func value(of topic: Topic, overlay: [Topic: Message], _ now: Int64) throws(Refusal) -> Message? {
        if let message = overlay[topic] {
            let isGone = message.payload.isEmpty || (message.expiry != 0 && message.expiry <= now)
            return isGone ? nil : message
        }
        do throws(StorageError) { return try store.value(of: topic, now: now) } catch { throw Refusal(error) }
    }

    /// Where a subscription begins.
    package struct Position: Sendable {
        /// Messages up to this one belong to the snapshot, those after it come live.
        package let seq: UInt64
        /// What was in the shard's mailbox: everything up to ``seq`` that it has not delivered yet.
        package let letters: [Letter]
        /// Matching retained values that may not be in the store yet; an empty payload is a removal.
        package let overlay: [Message]
        /// What was in the store; `nil`: nobody asked, or it cannot be held.
        package let view: (any RetainedView)?
        fileprivate let commits: UInt64

        /// For the subscriptions that follow.
        package var known: KnownView { KnownView(commits: commits, view: view) }
    }

    /// A view that a shard has taken, for subscriptions that begin before the next commit.
    package struct KnownView {
        fileprivate var commits: UInt64 = 0
        fileprivate weak var view: (any RetainedView)?

        package init() {}

        fileprivate init(commits: UInt64, view: (any RetainedView)?) {
            self.commits = commits
            self.view = view
        }
    }

    /// Takes the shard's mailbox and the matching uncommitted values at one point of the order.
    ///
    /// With `known` a view of the store at that point comes with it, the one that is known where it still serves.
    package func position(
        emptying mailbox: Mailbox<Letter>, matching filter: TopicFilter, known: KnownView? = nil
    ) -> Position {
        state.withLock { state in
            var view: (any RetainedView)?
            if let known {
                // What was committed since is in the overlay until the sequencer is told of it.
                view = known.commits == state.commits ? known.view : nil
                if view == nil { view = try? store.view() }
            }
            var overlay: [Message] = []
            if !state.overlay.isEmpty {
                if let topic = filter.literalTopic {
                    if let message = state.overlay[topic] { overlay = [message] }
                } else {
                    overlay = state.overlay.values.filter { filter.matches($0.topic) }.sorted { $0.seq < $1.seq }
                }
            }
            // Wildcards at the front do not match what begins with `$`, so few ever look.
            if filter.name.utf8.first == UInt8(ascii: "$") {
                overlay += state.figures.values.filter { filter.matches($0.topic) }.sorted { $0.seq < $1.seq }
            }
            return Position(
                seq: state.next - 1, letters: mailbox.drain(), overlay: overlay, view: view, commits: state.commits)
        }
    }
}
