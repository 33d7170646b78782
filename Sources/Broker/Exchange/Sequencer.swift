internal import Synchronization
package import WSTransport

/// Applies drafts in order.
///
/// Under one lock, drafts become messages with the numbers that the order gives them, and are put into every shard's
/// mailbox and the store's queue. So the order is the same in every mailbox, in the store and on every wire.
///
/// Retained values that are numbered but not yet on disk are in an overlay, so that reading a value takes every
/// numbered message into account. Every publisher waits for the lock, so nothing is read from the disk under it, and
/// its cost does not depend on how much waits for the disk. Any thread.
package final class Sequencer: Sendable {
    struct State {
        /// The number of the newest message; 0 before the first.
        var newest: UInt64
        var inboxes: [Inbox] = []
        /// Decides about the next draft.
        var applying = Applying()
        /// Retained values that are not on disk yet, in order.
        var retaining = PendingMessages()
        /// The broker's own values below `$SYS`, in memory only.
        var figures: [Topic: Message] = [:]
        /// Rules that the store has not applied yet, in order, with the first numbers for which they hold.
        var waitingRules: [(rules: HistoryRules, from: UInt64)] = []
        /// Expired values that the first shard to join must announce.
        var expired: [ExpiredValue] = []
        /// Messages that a rule keeps and that are not on disk yet, in order.
        var pending = PendingMessages()
        var storeThread: StoreThread?
        /// Whether the store had no room for the rules when the broker started.
        var owesRules = false
        /// The data of the logs that give the order; see ``LogShelf``.
        var shelf = LogShelf()
    }

    let state: Mutex<State>
    /// How many commits the overlay knows of; raised before committed values leave the overlay.
    let commits = Atomic<UInt64>(0)
    /// Whether there have ever been history rules.
    private let keepsSome: Atomic<Bool>
    /// How much the fullest mailbox had when something was last applied, in bytes.
    let mostUndelivered = Atomic<Int>(0)
    /// The number of subscriptions of all shards.
    let subscriptions = Atomic<Int>(0)
    /// What the shards need for a publication besides the usual, in units of ``unitsOfACommand``: one for each of their
    /// filters with more than two `+`, and what they have told of followers that are behind (``HoldingCost``).
    let dearness = Atomic<Int>(0)
    /// The same, in commands.
    var weight: Int { dearness.load(ordering: .relaxed) / Self.unitsOfACommand }
    /// How many messages a turn may publish for the broker itself, such as removals: each may have thousands of
    /// followers.
    var ownPublications: Int { max(1, min(TurnShare.ownPublications, TurnShare.all / (weight + 1))) }
    /// How many such filters can be compared with a topic in about the time of one command.
    static let unitsOfACommand = 32
    let store: any MessageStore
    /// The logs over which the topics are spread.
    package let partitions: Partitions
    /// Whether this broker announces expired values; only one of the brokers that share a log does.
    let announcesExpiry = Atomic<Bool>(true)
    private let onEpoch = Mutex<(@Sendable (UInt64) -> Void)?>(nil)

    /// Continues after all numbers that were ever reserved in `store`.
    ///
    /// - Parameter partitions: how many logs give the order; 1 also without one.
    init(store: any MessageStore, rules: HistoryRules, partitions: Partitions = .one) throws(StorageError) {
        self.store = store
        self.partitions = partitions
        keepsSome = Atomic(!rules.isEmpty)
        var state = State(newest: store.reservedSeq)
        state.applying.rules = rules
        state.shelf = try LogShelf(partitions, from: state.newest, store)
        for key in try store.keys() {
            state.turn(to: partitions.partition(ofKey: key.name))
            state.applying.keys.add(
                PublishKey(stored: key.name, owner: key.owner), seq: key.seq, number: key.number, time: key.time,
                isQueued: true)
        }
        do throws(StorageError) {
            try store.adopt(rules, from: state.newest + 1)
        } catch .full {
            // The store's thread tries again.
            state.owesRules = true
        } catch {
            throw error
        }
        for value in try store.ephemerals() { state.applying.ephemerals.set(value.message, value.lease) }
        self.state = Mutex(state)
    }

    /// Connects the store's thread: from here on messages are stored.
    func attach(_ thread: StoreThread) {
        state.withLock { state in
            state.storeThread = thread
            if state.applying.logTime != nil { thread.follow() }
            if state.owesRules { hand(state.applying.rules, &state) }
        }
    }

    /// Replaces the history rules, for messages from now on.
    package func adopt(_ rules: HistoryRules) {
        if !rules.isEmpty { keepsSome.store(true, ordering: .releasing) }
        state.withLock { state in
            state.applying.rules = rules
            hand(rules, &state)
        }
    }

    private func hand(_ rules: HistoryRules, _ state: inout State) {
        guard let thread = state.storeThread else { return }
        state.waitingRules.append((rules, state.newest + 1))
        thread.adopt(rules, from: state.newest + 1) { [self] in
            self.state.withLock { _ = $0.waitingRules.removeFirst() }
        }
    }

    /// Rules that the store has not applied yet, in order, with the first numbers for which they hold.
    var waitingRules: [(rules: HistoryRules, from: UInt64)] { state.withLock { $0.waitingRules } }

    /// Adds a shard's mailbox; the shard then gets every message.
    ///
    /// Shards join in the order in which their threads start, so each passes its index.
    @discardableResult
    package func join(_ mailbox: Mailbox<ShardEvent>, shard: Int) -> Inbox {
        let inbox = Inbox(shard: shard, mailbox: mailbox)
        state.withLock { state in
            state.inboxes.append(inbox)
            guard inbox.shard >= 0, !state.expired.isEmpty else { return }
            mailbox.post(.expired(state.expired))
            state.expired = []
        }
        return inbox
    }

    /// The number of the newest message; 0 before the first.
    package var newest: UInt64 { state.withLock { $0.newest } }

    // MARK: Applying

    /// Drafts that are applied together.
    struct Part {
        /// The index of the first draft that has not been applied yet.
        let first: Int
        /// The index of the shard that handed them over.
        let shard: Int
        /// Whether that shard empties its mailbox in this turn, so that it need not be woken.
        let isInTurn: Bool
        /// The numbers for accepted drafts, in order.
        let numbers: Range<UInt64>
        /// Unix milliseconds.
        let time: Int64
        /// When the turn that published them began; `nil` if not known.
        let began: MonotonicTime?
        /// The log that gives their order, and what it calls them.
        var names = LogNames()
    }

    /// How many messages of a turn the store was told to expect for the history, and how many it was given.
    struct Expectation {
        fileprivate var expected = 0
        fileprivate var kept = 0
    }

    /// Announces drafts to the store before they are applied.
    func expect(_ drafts: [Draft]) -> Expectation {
        guard keepsSome.load(ordering: .acquiring) else { return Expectation() }
        // Messages that no rule keeps leave the store at rest: otherwise a broker that is never quiet would announce a
        // gap after each crash.
        if store.isAtRest, !keepsAny(of: drafts) { return Expectation() }
        store.expectKept(drafts.count)
        return Expectation(expected: drafts.count)
    }

    private func keepsAny(of drafts: [Draft]) -> Bool {
        let rules = state.withLock { $0.applying.rules }
        return drafts.contains { rules.rule(for: $0.topic) != nil }
    }

    /// Tells the store that all announced drafts have been applied.
    func conclude(_ expectation: Expectation) {
        if expectation.expected > expectation.kept { store.settleKept(expectation.expected - expectation.kept) }
    }

    /// Applies drafts in order, and posts the results.
    ///
    /// Stops before a draft whose condition needs a value from the store (``lookUp(_:from:_:)``).
    ///
    /// - Parameters:
    ///   - exhaustion: the refusal if no numbers are left.
    ///   - body: gets the batch after it has been posted; called under the lock.
    /// - Returns: how many drafts have been applied, and how many of them accepted. Not the batch, because copying it
    ///   on return costs several hundred instructions.
    func apply(
        _ drafts: Span<Draft>, _ part: Part, _ exhaustion: @autoclosure () -> Refusal, _ stored: StoredValues,
        _ expectation: inout Expectation, _ body: ((Batch) -> Void)?
    ) -> (count: Int, accepted: Int) {
        state.withLock { state in
            state.turn(to: part.names.partition)
            var batch = Batch(
                room: drafts.count - part.first, shard: part.shard, began: part.began, partition: part.names.partition)
            var refusals: [(place: Int, rejection: Batch.Rejection)] = []
            var isQueued = false
            // A message that is in the log must not be refused by one of its readers.
            var most = 0
            for index in state.inboxes.indices { most = max(most, state.inboxes[index].undeliveredBytes) }
            let isFull = state.applying.logTime == nil && most > Inbox.mostUndelivered
            // Whether a plain draft becomes a message, and nothing else.
            let takesPlain = !isFull && (state.storeThread == nil || state.applying.rules.isEmpty)
            for place in part.first..<drafts.count {
                let next = part.numbers.lowerBound &+ UInt64(truncatingIfNeeded: batch.accepted)
                if takesPlain, drafts[place].isPlain, !drafts[place].isRetained, next < part.numbers.upperBound {
                    let message = drafts[place].message.numbered(
                        next, number: part.names.number(of: next), at: part.time)
                    batch.append(Applied(message, originSlot: drafts[place].sourceSlot, isKept: false))
                    state.newest = next
                    continue
                }
                if drafts[place].hasKey, let key = drafts[place].key,
                    let known = repeated(key, at: part.time, &state)
                {
                    refusals.append((place - part.first, known))
                    continue
                }
                if drafts[place].isConditional, mustLookUp(drafts[place].topic, stored, state) { break }
                do throws(Refusal) {
                    if isFull { throw Self.congestion }
                    guard next < part.numbers.upperBound else { throw exhaustion() }
                    let item = try accept(drafts, place, stored, next, part, &state)
                    batch.append(item)
                    if item.isKept { expectation.kept += 1 }
                    isQueued = isQueued || item.isQueued
                } catch {
                    refusals.append((place - part.first, .refused(error)))
                }
            }
            if expectation.kept > expectation.expected {
                // The rules have just been replaced.
                store.expectKept(expectation.kept - expectation.expected)
                expectation.expected = expectation.kept
            }
            batch.refuse(refusals)
            let (accepted, weight) = (batch.accepted, batch.weight)
            let count = accepted + refusals.count
            let event = ShardEvent.applied(batch)
            let inboxes = state.inboxes.span
            for index in inboxes.indices {
                let isOwn = inboxes[index].shard == part.shard
                // A refusal concerns only the publisher.
                if isOwn ? count > 0 : accepted > 0 {
                    inboxes[index].post(
                        event, weight: weight, of: part.shard, waking: !(isOwn && part.isInTurn))
                }
            }
            mostUndelivered.store(most &+ weight, ordering: .relaxed)
            if isQueued { state.storeThread?.wakeUp() }
            body?(batch)
            return (count, accepted)
        }
    }

    private static let congestion = Refusal(.unavailable, "The broker cannot keep up at the moment; try again.")

    private func accept(
        _ drafts: Span<Draft>, _ place: Int, _ stored: StoredValues, _ seq: UInt64, _ part: Part, _ state: inout State
    ) throws(Refusal) -> Applied {
        let (number, time) = (part.names.number(of: seq), part.time)
        var nature = Message.Nature.plain
        if drafts[place].isConditional {
            try check(drafts[place].condition, of: drafts[place].topic, stored, state)
            nature = drafts[place].nature
        }
        if drafts[place].isRetained, nature != .plain || !state.applying.ephemerals.isEmpty,
            let item = acceptEphemeral(drafts, place, nature, seq, number, time, &state)
        {
            return item
        }
        if drafts[place].hasKey, let key = drafts[place].key { try state.applying.keys.check(key) }
        let rule = state.storeThread == nil ? nil : state.applying.rule(for: drafts[place].topic)
        let message = Applying.message(of: drafts, at: place, seq: seq, number: number, time: time, nature: nature) {
            state.applying.now
        }
        let item = Applied(message, originSlot: drafts[place].sourceSlot, isKept: rule != nil)
        if item.isQueued, let thread = state.storeThread {
            guard thread.append([StoreEntry(message, keptBy: rule, key: drafts[place].key)], waking: false) else {
                throw Refusal(.unavailable, "The store's queue is full or closed.")
            }
            if message.isRetained {
                state.applying.overlay.set(message)
                state.retaining.append(message)
                // A stored value replaces an ephemeral one.
                state.applying.ephemerals.remove(message.topic)
            }
            if rule != nil { state.pending.append(message) }
        }
        if drafts[place].hasKey, let key = drafts[place].key {
            state.applying.keys.add(key, seq: seq, number: number, time: time, isQueued: item.isQueued)
            // All readers of a log must decide alike about keys, even after a restart.
            if !item.isQueued { keep(StoreEntry(message, key: key), state) }
        }
        state.newest = seq
        return item
    }

    /// Stores an entry that only readers of a log need after a restart.
    private func keep(_ entry: StoreEntry, _ state: borrowing State) {
        guard state.applying.logTime != nil else { return }
        _ = state.storeThread?.append([entry], waking: false)
    }

    /// Accepts a draft that sets or removes an ephemeral value; `nil` if it does neither.
    private func acceptEphemeral(
        _ drafts: Span<Draft>, _ place: Int, _ nature: Message.Nature, _ seq: UInt64, _ number: UInt64, _ time: Int64,
        _ state: inout State
    ) -> Applied? {
        let topic = drafts[place].topic
        let isRemoved = drafts[place].message.payloadCount == 0 && state.applying.ephemerals[topic] != nil
        guard nature == .ephemeral || nature == .farewell || isRemoved else { return nil }
        let message = Applying.message(
            of: drafts, at: place, seq: seq, number: number, time: time,
            nature: nature == .farewell ? .farewell : .ephemeral
        ) { state.applying.now }
        let lease = state.applying.logTime == nil ? nil : drafts[place].lease
        state.applying.ephemerals.apply(message, lease)
        keep(StoreEntry(message, lease: lease), state)
        if state.storeThread != nil, state.applying.rule(for: topic) != nil {
            // The next start cannot know of it.
            store.forgo(from: seq)
            state.applying.recent.append(message)
        }
        state.newest = seq
        return Applied(message, originSlot: drafts[place].sourceSlot, isKept: false)
    }

    /// Takes over the epoch of the brokers that share a log.
    func adopt(epoch: UInt64) {
        guard store.epoch != epoch else { return }
        store.adopt(epoch: epoch)
        onEpoch.withLock { $0 }?(epoch)
    }

    /// Calls `body` with the epoch of the other brokers when this one adopts it.
    package func tellEpoch(to body: @escaping @Sendable (UInt64) -> Void) { onEpoch.withLock { $0 = body } }

    /// Tells a shard that its oldest drafts without results, this many, are refused.
    ///
    /// - Parameter partition: the log to which they were handed over.
    func refuse(_ count: Int, _ refusal: Refusal, of shard: Int, _ partition: Int = 0) {
        let refusals = (0..<count).map { (place: $0, rejection: Batch.Rejection.refused(refusal)) }
        let batch = Batch(items: [], refusals: refusals, shard: shard, partition: partition)
        state.withLock { state in
            for inbox in state.inboxes where inbox.shard == shard {
                inbox.post(.applied(batch), weight: 0, of: shard, waking: true)
            }
        }
    }

    /// The message that a draft with a key repeats; `nil` if there is none.
    private func repeated(_ key: PublishKey, at time: Int64, _ state: inout State) -> Batch.Rejection? {
        state.applying.keys.forget(at: time)
        guard let known = state.applying.keys.message(of: key, at: time) else { return nil }
        let isWaiting =
            state.retaining.first.map { $0.seq <= known.seq } ?? false
            || state.pending.first.map { $0.seq <= known.seq } ?? false
        return .repeats(
            known.seq, number: known.number, isQueued: known.isQueued, isOnDisk: known.isQueued && !isWaiting)
    }

    /// Replaces the rules for keys.
    package func adopt(_ rules: KeyRules) {
        state.withLock { state in
            state.shelf.adopt(rules)
            state.applying.keys.rules = rules
        }
        store.adopt(keyWindow: rules.window)
    }

    /// Replaces the rules for keys of one of several logs.
    package func adopt(_ rules: KeyRules, of partition: Int) {
        let window = state.withLock { state in
            state.turn(to: partition)
            state.applying.keys.rules = rules
            return max(rules.window, state.shelf.longestWindow)
        }
        store.adopt(keyWindow: window)
    }

    /// How many keys are remembered, and the memory that they take, in bytes.
    package var keys: (count: Int, bytes: Int) {
        state.withLock { state in
            let others = state.shelf.keys
            return (state.applying.keys.count + others.count, state.applying.keys.bytes + others.bytes)
        }
    }

    // MARK: Without a number

    /// Sends the broker's own figures to every shard.
    ///
    /// They have no numbers of their own: each has that of the newest message, after which it comes.
    ///
    /// - Parameters:
    ///   - shard: the index of the shard that empties its mailbox in this turn.
    ///   - isKept: whether later subscribers get them, too.
    package func show(_ figures: [(topic: Topic, payload: [UInt8])], from shard: Int, isKept: Bool = true) {
        let time = WallClock.unixMilliseconds
        state.withLock { state in
            let items = figures.map { figure in
                let message = Message(
                    topic: figure.topic, payload: figure.payload, kind: .json, seq: state.newest,
                    number: state.shelf.places?.position[0], time: time)
                if isKept { state.figures[figure.topic] = message }
                return Applied(message, isKept: false)
            }
            let batch = Batch(items: items, shard: shard)
            for inbox in state.inboxes {
                inbox.post(.figures(batch), weight: batch.weight, of: shard, waking: inbox.shard != shard)
            }
        }
    }

    /// Asks a shard to publish that values have expired.
    ///
    /// The result is decided when that is applied. Any thread.
    package func announce(_ values: [ExpiredValue]) {
        guard announcesExpiry.load(ordering: .relaxed) else { return }
        state.withLock { state in
            if let inbox = state.inboxes.first(where: { $0.shard >= 0 }) {
                inbox.mailbox.post(.expired(values))
            } else {
                state.expired += values
            }
        }
    }

    /// Posts a probe to a shard's own mailbox, as a message is; returns why a message would be refused, or `nil`.
    func probe(_ number: UInt64, from shard: Int) -> Refusal? {
        state.withLock { state in
            if state.inboxes.contains(where: \.isFull) { return Self.congestion }
            for inbox in state.inboxes where inbox.shard == shard {
                inbox.mailbox.post(.probe(number), waking: false)
            }
            return nil
        }
    }

    /// Records the result of a commit, and tells the shards.
    ///
    /// Runs on the store's thread.
    package func settled(_ settlement: StoreThread.Settlement) {
        // Changed only under the lock, and before anything leaves the overlay.
        state.withLock { state in
            _ = commits.add(1, ordering: .releasing)
            state.applying.keys.forget(settlement.failed.lazy.map(\.seq))
        }
        // Removed messages are released outside the lock, block by block, so that no publisher waits for all of them.
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

    /// Writes a probe to the store; `then` gets the error, or `nil`, on the store's thread.
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
