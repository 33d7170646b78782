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
/// message up to the number the reading stands for. Under the lock nothing is read from the disk, and nothing costs by how
/// much is not on it yet: everybody publishes through here. Any thread.
package final class Sequencer: Sendable {
    struct State {
        var order: LocalOrder
        var inboxes: [Inbox] = []
        /// What decides on the next draft.
        var applying = Applying()
        /// Retained values that are not on disk yet, in order.
        var retaining = PendingMessages()
        /// The values below `$SYS` that the broker has of itself; in memory only.
        var figures: [Topic: Message] = [:]
        /// Rules that the store has not taken over yet, in order, and the numbers from which on they hold.
        var waitingRules: [(rules: HistoryRules, from: UInt64)] = []
        /// Messages that are to be kept and not yet on disk, in order.
        var pending = PendingMessages()
        var storeThread: StoreThread?
        /// Whether the store had no room for the rules at the start.
        var owesRules = false
    }

    let state: Mutex<State>
    /// How many commits the overlay has been told of; it rises before what was committed leaves the overlay.
    let commits = Atomic<UInt64>(0)
    /// Whether there have been rules of history.
    private let keepsSome: Atomic<Bool>
    /// Subscriptions of all shards.
    let subscriptions = Atomic<Int>(0)
    let store: any MessageStore

    /// Begins after all numbers that were ever reserved in `store`, and reserves the first block.
    ///
    /// Where the store has no room for that, publications are refused until it has; what is stored can be read.
    package init(store: any MessageStore, rules: HistoryRules = HistoryRules()) throws(StorageError) {
        self.store = store
        keepsSome = Atomic(!rules.isEmpty)
        var state = State(order: LocalOrder(after: store.reservedSeq))
        state.applying.rules = rules
        let target = state.order.firstTarget
        do throws(StorageError) {
            try store.reserve(seqsUpTo: target)
            try store.adopt(rules, from: state.order.newest + 1)
            state.order.reserve(upTo: target, isReserved: true)
        } catch .full {
            // The store's thread goes on trying.
            state.owesRules = true
        } catch {
            throw error
        }
        self.state = Mutex(state)
    }

    /// From then on messages are stored.
    package func attach(_ thread: StoreThread) {
        state.withLock { state in
            state.storeThread = thread
            if state.owesRules { hand(state.applying.rules, &state) }
        }
    }

    /// Keeps messages by these rules from now on.
    package func adopt(_ rules: HistoryRules) {
        if !rules.isEmpty { keepsSome.store(true, ordering: .releasing) }
        state.withLock { state in
            state.applying.rules = rules
            hand(rules, &state)
        }
    }

    private func hand(_ rules: HistoryRules, _ state: inout State) {
        guard let thread = state.storeThread else { return }
        state.waitingRules.append((rules, state.order.newest + 1))
        thread.adopt(rules, from: state.order.newest + 1) { [self] in
            self.state.withLock { _ = $0.waitingRules.removeFirst() }
        }
    }

    /// Rules that the store has not taken over yet, in order, and the numbers from which on they hold.
    var waitingRules: [(rules: HistoryRules, from: UInt64)] { state.withLock { $0.waitingRules } }

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
    package var newest: UInt64 { state.withLock { $0.order.newest } }

    /// Gives no more numbers, and says which was the last.
    package func close() -> UInt64 {
        state.withLock { state in
            state.order.close()
            return state.order.newest
        }
    }

    // MARK: Publishing

    /// Numbers the drafts in their order and sends them on their way.
    ///
    /// - Parameter shard: the index of the mailbox that its owner drains in this very turn, so that it need not be woken.
    /// - Returns: one result for each draft: its number and whether the store was given it.
    package func sequence(_ drafts: [Draft], from shard: Int) -> [Result<(seq: UInt64, isQueued: Bool), Refusal>] {
        let time = WallClock.unixMilliseconds
        var results: [Result<(seq: UInt64, isQueued: Bool), Refusal>] = []
        results.reserveCapacity(drafts.count)
        var stored = StoredValues()
        var kept = Kept()
        if keepsSome.load(ordering: .acquiring) {
            kept.expected = drafts.count
            store.expectKept(kept.expected)
        }
        while true {
            let wanted = state.withLock { state in
                // A view, so that a draft is not copied for a look at it.
                number(drafts.span, from: shard, time, stored, &results, &kept, &state)
                return reservation(&state)
            }
            if let wanted { reserve(wanted.target, on: wanted.thread) }
            guard results.count < drafts.count else {
                if kept.expected > kept.count { store.settleKept(kept.expected - kept.count) }
                return results
            }
            lookUp(drafts.span, from: results.count, &stored)
        }
    }

    /// Messages of a turn that the store was told to expect for the history, and those that it is given.
    private struct Kept {
        var expected = 0
        var count = 0
    }

    /// Numbers the drafts that have no result yet, up to one whose condition is about a value that has to be looked up.
    private func number(
        _ drafts: Span<Draft>, from shard: Int, _ time: Int64, _ stored: StoredValues,
        _ results: inout [Result<(seq: UInt64, isQueued: Bool), Refusal>], _ kept: inout Kept, _ state: inout State
    ) {
        var messages: [Message] = []
        messages.reserveCapacity(drafts.count - results.count)
        var isQueued = false
        let isFull = state.inboxes.contains(where: \.isFull)
        for place in results.count..<drafts.count {
            if drafts[place].condition != .none, mustLookUp(drafts[place].topic, stored, state) { break }
            do throws(Refusal) {
                if isFull, !drafts[place].isVolatile { throw Self.congestion }
                let message = try accept(drafts, place, stored, &state, time)
                messages.append(message)
                if message.rule != nil { kept.count += 1 }
                let isStored = message.isRetained || message.rule != nil
                isQueued = isQueued || isStored
                results.append(.success((message.seq, isStored)))
            } catch {
                results.append(.failure(error))
            }
        }
        if kept.count > kept.expected {
            // The rules have come in this moment.
            store.expectKept(kept.count - kept.expected)
            kept.expected = kept.count
        }
        if !messages.isEmpty {
            let bytes = Inbox.bytes(of: messages)
            for inbox in state.inboxes {
                inbox.post(messages, bytes: bytes, waking: inbox.shard != shard)
            }
        }
        if isQueued { state.storeThread?.wakeUp() }
    }

    private static let congestion = Refusal(.unavailable, "The broker cannot keep up at the moment; try again.")

    private func accept(
        _ drafts: Span<Draft>, _ place: Int, _ stored: StoredValues, _ state: inout State, _ time: Int64
    ) throws(Refusal) -> Message {
        let seq = try state.order.next()
        if drafts[place].condition != .none {
            try check(drafts[place].condition, of: drafts[place].topic, stored, state)
        }
        let rule = state.storeThread == nil ? nil : state.applying.rule(for: drafts[place].topic)
        let message = Applying.message(of: drafts, at: place, seq: seq, time: time, now: { Lifetime.now }, keptBy: rule)
        if message.isRetained || rule != nil, let thread = state.storeThread {
            guard thread.append([message], waking: false) else {
                throw Refusal(.unavailable, "The store's queue is full or closed.")
            }
            if message.isRetained {
                state.applying.overlay.set(message)
                state.retaining.append(message)
            }
            if rule != nil { state.pending.append(message) }
        }
        if drafts[place].isVolatile { state.figures[message.topic] = message }
        state.order.advance()
        return message
    }

    /// What is to be reserved now, outside the lock: a store that is closed answers at once.
    private func reservation(_ state: inout State) -> (thread: StoreThread, target: UInt64)? {
        guard let thread = state.storeThread, let target = state.order.takeTarget() else { return nil }
        return (thread, target)
    }

    private func reserve(_ target: UInt64, on thread: StoreThread) {
        thread.reserve(seqsUpTo: target) { [self] result in
            let isReserved = if case .success = result { true } else { false }
            state.withLock { $0.order.reserve(upTo: target, isReserved: isReserved) }
        }
    }

    /// Takes note of what the store did, and tells the shards.
    ///
    /// The store's thread.
    package func settled(_ settlement: StoreThread.Settlement) {
        // Changes under the lock only, and before anything leaves the overlay.
        state.withLock { _ in _ = commits.add(1, ordering: .releasing) }
        // What is taken off goes outside the lock, and a block at a time, so that nobody waits for all of it.
        var isMore = true
        while isMore {
            let taken = state.withLock { state in
                let taken = state.retaining.take(upTo: settlement.committedUpTo)
                for message in taken { state.applying.overlay.remove(message) }
                return (taken, state.pending.take(upTo: settlement.committedUpTo))
            }
            isMore = !taken.0.isEmpty || !taken.1.isEmpty
        }
        state.withLock { state in
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
}
