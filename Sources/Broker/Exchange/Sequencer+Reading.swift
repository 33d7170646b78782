internal import Synchronization
package import WSTransport

/// Reads values, and the positions in the order at which subscriptions begin.
extension Sequencer {
    /// The retained value of `topic`, the newest one that is numbered; `nil` if there is none.
    package func value(of topic: Topic) throws(Refusal) -> Message? {
        let now = Lifetime.now
        if let message = state.withLock({ $0.applying.newest(of: topic) ?? $0.figures[topic] }) {
            return message.isValue(at: now) ? message : nil
        }
        do throws(StorageError) { return try store.value(of: topic, now: now) } catch { throw Refusal(error) }
    }

    // MARK: Conditions

    /// The stored values for the topics of conditions, read outside the lock.
    struct StoredValues {
        /// How many commits the overlay knew of before the values were read; later commits make them out of date.
        fileprivate var commits: UInt64 = .max
        /// The values' numbers, and when they expire; `nil`, which costs less than an empty table, before any is read.
        fileprivate var values: [Topic: Result<(number: UInt64, expiry: Int64)?, Refusal>]?
        /// The index of the draft for which the store was read last, and how often it has been for that draft.
        fileprivate var place = 0
        fileprivate var attempts = 0
    }

    /// How many values are looked up at once, and how often that is repeated because the store has committed meanwhile.
    private static let lookUps = 64
    private static let lookUpAttempts = 1000

    /// Whether a topic's value is only in the store, and has not been read since the last commit.
    func mustLookUp(_ topic: Topic, _ stored: StoredValues, _ state: borrowing State) -> Bool {
        guard state.applying.newest(of: topic) == nil else { return false }
        if stored.attempts > Self.lookUpAttempts { return false }
        return stored.commits != commits.load(ordering: .acquiring) || stored.values?[topic] == nil
    }

    /// Reads the stored values for the next conditions.
    func lookUp(_ drafts: Span<Draft>, from first: Int, _ stored: inout StoredValues) {
        let attempts = stored.place == first ? stored.attempts + 1 : 1
        stored = StoredValues()
        (stored.place, stored.attempts) = (first, attempts)
        // Loaded before the store is read: later commits make the values out of date.
        stored.commits = commits.load(ordering: .acquiring)
        var values: [Topic: Result<(number: UInt64, expiry: Int64)?, Refusal>] = [:]
        for place in first..<drafts.count where drafts[place].isConditional {
            let topic = drafts[place].topic
            guard values[topic] == nil else { continue }
            do throws(StorageError) {
                // Expired values, too: the removal of one is conditional on it.
                values[topic] = .success(try store.value(of: topic, now: .min).map { ($0.number, $0.expiry) })
            } catch {
                values[topic] = .failure(Refusal(error))
            }
            if values.count == Self.lookUps { break }
        }
        stored.values = values
    }

    /// Refuses a draft whose condition does not hold.
    func check(
        _ condition: Draft.Condition, of topic: Topic, _ stored: StoredValues, _ state: borrowing State
    ) throws(Refusal) {
        // For the removal of an expired value, values do not count as expired; nor for an ephemeral value, which must
        // not be set while there is one on disk.
        let now =
            switch condition {
            case .expired, .ephemeral: Int64.min
            default: state.applying.now
            }
        let current = try state.applying.value(of: topic, now: now) { () throws(Refusal) in
            guard stored.commits == commits.load(ordering: .acquiring), let value = stored.values?[topic] else {
                throw Refusal(
                    .unavailable, "The value of \(topic) changes too often to check the condition; try again.")
            }
            guard let value = try value.get(), !Message.isExpired(value.expiry, at: now) else { return nil }
            return value.number
        }
        if case .ephemeral = condition, current != nil, state.applying.ephemerals[topic] == nil {
            throw Refusal(.conflict, "\(topic) has a stored retained value, which no ephemeral one replaces.")
        }
        try Applying.check(condition, of: topic, current: current)
    }

    // MARK: Positions

    /// The jumps in the numbers of a log that several brokers share.
    func jumps(of partition: Int) -> LogJumps {
        state.withLock { $0.shelf.jumps(of: partition, $0.applying) }
    }

    func adopt(_ jumps: LogJumps, of partition: Int) {
        state.withLock { state in
            state.turn(to: partition)
            state.applying.jumps = jumps
        }
    }

    /// The position at which a subscription begins.
    package struct Position: Sendable {
        /// Messages up to this one belong to the snapshot; later ones come live.
        package let seq: UInt64
        /// The content of the shard's mailbox: everything up to ``seq`` that the shard has not delivered yet.
        package let events: [ShardEvent]
        /// Matching retained values that may not be in the store yet; an empty payload means a removal.
        package let overlay: [Message]
        /// All ephemeral values; `nil` if there are none, or the filter has no wildcards and its value is in
        /// ``overlay``.
        let ephemerals: EphemeralTable?
        /// Whether there are too many values in the overlay to search; the store is read when it has all of them.
        package let waitsForStore: Bool
        /// A view of the store at that position; `nil` if none was requested, or none is available.
        package let view: (any RetainedView)?
    }

    /// A view that a shard keeps for further subscriptions before the next commit.
    package struct KnownView {
        fileprivate var commits: UInt64 = 0
        fileprivate weak var view: (any RetainedView)?

        package init() {}
    }

    /// How many uncommitted values are searched for one subscription; with more, the subscription waits for the store.
    static let maximumOverlay = 1024

    /// Empties the shard's mailbox and finds the matching uncommitted values, at one position in the order.
    package func position(emptying mailbox: Mailbox<ShardEvent>, matching filter: TopicFilter) -> Position {
        position(emptying: mailbox, matching: filter, nil)
    }

    /// The same with a view of the store at that position, which is the known one if that is still current.
    ///
    /// Without a view if there are too many views, or the store commits all the time.
    package func position(
        emptying mailbox: Mailbox<ShardEvent>, matching filter: TopicFilter, known: inout KnownView
    ) -> Position {
        let now = commits.load(ordering: .acquiring)
        var view = known.commits == now ? known.view : nil
        if view == nil {
            // Opened outside the lock. Values that were committed since `now` stay in the overlay until the sequencer
            // is told.
            view = try? store.view()
            known.commits = now
            known.view = view
        }
        return position(emptying: mailbox, matching: filter, view.map { (commits: now, view: $0) })
    }

    private func position(
        emptying mailbox: Mailbox<ShardEvent>, matching filter: TopicFilter,
        _ offer: (commits: UInt64, view: any RetainedView)?
    ) -> Position {
        let isReserved = filter.name.utf8.first == UInt8(ascii: "$")
        let literal = filter.literalTopic
        let found = state.withLock { state in
            var uncommitted: [Message] = []
            var isWhole = true
            if let literal {
                if let message = state.applying.newest(of: literal) { uncommitted = [message] }
            } else if !state.retaining.isEmpty {
                (uncommitted, isWhole) = state.retaining.messages(after: 0, atMost: Self.maximumOverlay)
            }
            // A wildcard at the front does not match topics that begin with `$`, so few filters need the figures.
            let figures = isReserved ? Array(state.figures.values) : []
            let isCurrent = offer?.commits == commits.load(ordering: .acquiring)
            let ephemerals = literal == nil && !state.applying.ephemerals.isEmpty ? state.applying.ephemerals : nil
            return (state.newest, mailbox.drain(), uncommitted, isWhole, figures, isCurrent, ephemerals)
        }
        let (seq, events, uncommitted, isWhole, figures, isCurrent, ephemerals) = found
        var overlay = isWhole ? Self.newest(uncommitted, filter) : []
        overlay += figures.filter { filter.matches($0.topic) }.sorted { $0.topic.name < $1.topic.name }
        return Position(
            seq: seq, events: events, overlay: overlay, ephemerals: ephemerals, waitsForStore: !isWhole,
            view: isWhole && isCurrent ? offer?.view : nil)
    }

    /// The newest value of each matching topic, oldest first.
    private static func newest(_ messages: [Message], _ filter: TopicFilter) -> [Message] {
        var topics: Set<Topic> = []
        var found: [Message] = []
        for message in messages.reversed() where filter.matches(message.topic) {
            if topics.insert(message.topic).inserted { found.append(message) }
        }
        return found.reversed()
    }

    /// The current value of the broker's own figure, to be sent after the message `seq`; `nil` if there is none.
    func figure(of topic: Topic, after seq: UInt64) -> Message? {
        state.withLock { $0.figures[topic] }.map { figure in
            var shown = figure
            shown.set(expiry: 0)
            shown.set(seq: seq, number: partitions.count > 1 ? figure.number : seq)
            return shown
        }
    }

    // MARK: Ephemeral values

    /// How many ephemeral values there are, and their weight in bytes.
    package var ephemerals: (count: Int, bytes: Int) {
        state.withLock { ($0.applying.ephemerals.count, $0.applying.ephemerals.bytes) }
    }

    /// The matching ephemeral values, in no order.
    ///
    /// For administrators, because it visits all ephemeral values.
    package func ephemerals(matching filter: TopicFilter) -> [Message] {
        let table = state.withLock { $0.applying.ephemerals }
        var (place, found) = (EphemeralTable.Place(), [Message]())
        _ = table.read(filter, from: &place, visiting: .max) { message in
            found.append(message)
            return true
        }
        return found
    }

    /// Ephemeral values of a log whose clients satisfy `isChosen`, with their leases.
    func ephemerals(
        atMost maximum: Int, where isChosen: (_ client: UInt64, _ grace: Int64) -> Bool
    ) -> [(message: Message, lease: Lease?)] {
        let table = state.withLock { $0.applying.ephemerals }
        var (place, found) = (EphemeralTable.Place(), [(message: Message, lease: Lease?)]())
        _ = table.read(TopicFilter(unchecked: "#", isLiteral: false), from: &place, visiting: .max) { message in
            let lease = table.lease(of: message.topic)
            if isChosen(message.origin, lease?.grace ?? 0) { found.append((message, lease)) }
            return found.count < maximum
        }
        return found
    }

    /// The numbers of the ephemeral values of these topics; topics without a value are left out.
    func ephemeralSeqs(of topics: [Topic]) -> [Topic: UInt64] {
        state.withLock { state in
            var found: [Topic: UInt64] = [:]
            for topic in topics { found[topic] = state.applying.ephemerals[topic]?.number }
            return found
        }
    }

    /// Whether a client still has an ephemeral value that it has set.
    enum Ownership { case held, lost, uncertain }

    /// Whether a topic still has the ephemeral value with this number.
    ///
    /// Uncertain in a cluster, where a message that has replaced it may be taken back.
    func ownership(ofEphemeral topic: Topic, _ number: UInt64) -> Ownership {
        state.withLock { state in
            guard state.applying.logTime == nil else { return .uncertain }
            return state.applying.ephemerals[topic]?.number == number ? .held : .lost
        }
    }

    /// The changes of ephemeral values after one number and up to another on topics that a rule keeps, in order, and
    /// the number up to which changes are no longer remembered.
    func recentEphemerals(after seq: UInt64, upTo end: UInt64) -> (messages: [Message], forgottenUpTo: UInt64) {
        let (found, forgotten) = state.withLock { state in
            (state.applying.recent.messages(after: seq), state.applying.recent.forgottenUpTo)
        }
        return (found.filter { $0.seq <= end }, min(forgotten, end))
    }

    /// Whether every retained message up to `seq` is on disk, or has failed.
    func isSettled(upTo seq: UInt64) -> Bool {
        state.withLock { state in state.retaining.first.map { $0.seq > seq } ?? true }
    }
}
