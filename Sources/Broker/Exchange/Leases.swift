internal import WSTransport

/// What makes a retained value ephemeral: it lives as long as the connection of its publisher.
///
/// Immutable.
package final class Lease: Sendable, Equatable {
    /// The message that a client leaves in place of its value.
    package struct Farewell: Sendable {
        let payload: [UInt8]
        let kind: Message.Kind
        let contentType: String?

        /// - Parameter payload: not empty.
        package init(payload: [UInt8], kind: Message.Kind, contentType: String?) {
            (self.payload, self.kind, self.contentType) = (payload, kind, contentType)
        }
    }

    /// The longest time for which a value may outlive its connection, in milliseconds.
    package static let maximumGrace: Int64 = 300_000

    /// How long the value outlives the connection, in milliseconds; 0: not at all.
    let grace: Int64
    /// What the removal carries; `nil` if its payload is empty.
    let farewell: Farewell?
    /// The publisher's condition on the value that the new one replaces.
    let wanted: Draft.Condition

    package init(grace: Int64 = 0, farewell: Farewell? = nil, wanted: Draft.Condition = .none) {
        (self.grace, self.farewell, self.wanted) = (grace, farewell, wanted)
    }

    /// Whether the value is removed at once at the end, and nothing is left in its place.
    var isUsual: Bool { grace == 0 && farewell == nil }

    /// The memory that it takes, about, in bytes.
    var weight: Int { 64 &+ (farewell?.payload.count ?? 0) }

    package static func == (left: Lease, right: Lease) -> Bool { left === right }

    /// Converts a grace period that a client gives in seconds to milliseconds.
    package static func grace(seconds: Double) throws(Refusal) -> Int64 {
        guard seconds >= 0, seconds <= Double(maximumGrace) / 1000 else {
            throw Refusal(
                .badRequest,
                "grace: expected seconds from 0 up to \(maximumGrace / 1000), found \(Lifetime.text(seconds: seconds))."
            )
        }
        return Int64((seconds * 1000).rounded())
    }
}

/// The ephemeral values of one reactor's clients; removes them when their connections end.
///
/// A value belongs to another client as soon as that client publishes it; its number tells. Runs on the reactor's
/// thread.
package final class Leases {
    /// A client's value of one topic.
    private struct Value {
        /// The number of the message that set it; 0 if none has been accepted yet.
        var seq: UInt64 = 0
        /// How many of its publications have no result yet.
        var open = 0
        /// Its weight and that of its farewell, in bytes.
        var bytes: Int
        var lease: Lease
    }

    private struct Values {
        private(set) var topics: [Topic: Value] = [:]
        private(set) var bytes = 0
        /// The turn in which lost values were last looked for.
        var lookedAt: MonotonicTime?

        subscript(topic: Topic) -> Value? {
            get { topics[topic] }
            set {
                let old = topics[topic]
                topics[topic] = newValue
                bytes += (newValue?.bytes ?? 0) - (old?.bytes ?? 0)
            }
        }
    }

    private let reactor: Reactor
    private let publications: Publications
    private let sequencer: Sequencer
    private let counters: ShardCounters
    /// By client number.
    private var clients: [UInt64: Values] = [:]
    /// The end of a grace that is under way.
    private struct Grace {
        /// The number of the value.
        let seq: UInt64
        let task: TimedTasks.ID
    }
    /// The graces that end early if another client takes the value over.
    private var graces: [Topic: Grace] = [:]
    // Unchecked, because each turn reads it, and nothing is called while it changes.
    @exclusivity(unchecked) private var ends = LeaseEnds()
    /// The time after which a refused removal is tried again, in nanoseconds.
    private static let pause: Int64 = 500_000_000
    /// The overhead of a value besides its topic and payloads, in bytes.
    private static let overhead = 128

    init(reactor: Reactor, publications: Publications, sequencer: Sequencer, counters: ShardCounters) {
        (self.reactor, self.publications, self.sequencer, self.counters) = (reactor, publications, sequencer, counters)
    }

    var isEmpty: Bool { clients.isEmpty }

    // MARK: Publishing

    /// Registers a value that a client is about to set, or to remove if the payload is empty.
    ///
    /// Throws if the value is beyond a limit.
    func take(
        _ draft: inout Draft, _ lease: Lease, by client: UInt64, _ limits: ExchangeSettings.Limits
    ) throws(Refusal) {
        let topic = draft.topic
        guard lease.farewell?.payload.count ?? 0 <= limits.message else {
            throw Refusal(.tooLarge, "farewell: the payload is longer than the limit of \(limits.message) bytes.")
        }
        if !draft.payload.isEmpty {
            let bytes =
                Self.overhead + topic.name.utf8.count + draft.payload.count + (draft.properties?.weight ?? 0)
                + (lease.farewell?.payload.count ?? 0)
            try checkRoom(for: bytes, at: topic, of: client, limits)
            var value = clients[client]?[topic] ?? Value(bytes: 0, lease: lease)
            value.open += 1
            value.bytes = max(value.bytes, bytes)
            clients[client, default: Values()][topic] = value
        }
        let (isRemoval, answer) = (draft.payload.isEmpty, draft.completion)
        draft.completion = { [self] result in
            if isRemoval { removed(topic, by: client, result) } else { concluded(topic, by: client, lease, result) }
            answer?(result)
        }
    }

    private func checkRoom(
        for bytes: Int, at topic: Topic, of client: UInt64, _ limits: ExchangeSettings.Limits
    ) throws(Refusal) {
        var limit: String?
        let other = clients[client]?[topic]?.bytes ?? 0
        if isFull(client, topic, bytes - other, limits) {
            // Other clients may have removed or replaced some of its values.
            forgetLost(of: client)
            limit =
                isFull(client, topic, bytes - other, limits)
                ? clients[client]?.topics.count ?? 0 >= limits.ephemeralValues ? "ephemeral_values" : "ephemeral_bytes"
                : nil
        }
        if limit == nil, sequencer.ephemerals.bytes + bytes - other > limits.ephemeralMemory {
            limit = "ephemeral_memory"
        }
        guard let limit else { return }
        counters.refusedEphemerals.add(1)
        throw Refusal(limit: "limits.\(limit)")
    }

    private func isFull(_ client: UInt64, _ topic: Topic, _ bytes: Int, _ limits: ExchangeSettings.Limits) -> Bool {
        guard let values = clients[client] else { return limits.ephemeralValues < 1 || bytes > limits.ephemeralBytes }
        let isNew = values[topic] == nil
        return isNew && values.topics.count >= limits.ephemeralValues || values.bytes + bytes > limits.ephemeralBytes
    }

    /// Forgets the values of a client that others have removed or replaced; only once a turn, because it looks at all
    /// of them, and a client may publish a thousand times beyond its limit in a turn.
    private func forgetLost(of client: UInt64) {
        guard let values = clients[client], values.lookedAt != reactor.now else { return }
        clients[client]?.lookedAt = reactor.now
        let found = sequencer.ephemeralSeqs(of: Array(values.topics.keys))
        for (topic, value) in values.topics where value.open == 0 && found[topic] != value.seq {
            clients[client]?[topic] = nil
        }
    }

    private func concluded(_ topic: Topic, by client: UInt64, _ lease: Lease, _ result: Result<Receipt, Refusal>) {
        guard var value = clients[client]?[topic] else {
            // The client has left meanwhile, or lost its right.
            if case .success(let receipt) = result { end(topic, receipt.seq, lease, by: client) }
            return
        }
        value.open -= 1
        if case .success(let receipt) = result, receipt.seq > value.seq {
            (value.seq, value.lease) = (receipt.seq, lease)
        }
        clients[client]?[topic] = value.open == 0 && value.seq == 0 ? nil : value
        if clients[client]?.topics.isEmpty == true { clients[client] = nil }
    }

    private func removed(_ topic: Topic, by client: UInt64, _ result: Result<Receipt, Refusal>) {
        guard case .success(let receipt) = result, let value = clients[client]?[topic], value.open == 0,
            value.seq < receipt.seq
        else { return }
        clients[client]?[topic] = nil
        if clients[client]?.topics.isEmpty == true { clients[client] = nil }
    }

    // MARK: Ends

    /// Ends the values of a client whose connection has ended.
    func left(_ client: UInt64) {
        guard let values = clients.removeValue(forKey: client) else { return }
        for (topic, value) in values.topics where value.seq > 0 { end(topic, value.seq, value.lease, by: client) }
    }

    /// Whether values wait for their end.
    var hasEnds: Bool { unsafe !ends.isEmpty }

    /// Ends some of the values that wait for it; called once a turn, before its drafts are handed over.
    func endSome() {
        let due = unsafe ends.take(atMost: sequencer.ownPublications)
        for end in due { if end.grace > 0 { wait(end) } else { publish(end) } }
    }

    /// Removes a client's values on topics where it has lost the right to them; without their farewells.
    func review(_ client: UInt64, _ mayHave: (Topic) -> Bool) {
        for (topic, value) in clients[client]?.topics ?? [:] where !mayHave(topic) {
            clients[client]?[topic] = nil
            if value.seq > 0 { add(LeaseEnds.End(topic: topic, seq: value.seq, client: client, farewell: nil)) }
        }
        if clients[client]?.topics.isEmpty == true { clients[client] = nil }
    }

    /// Removes a value whose client is not on this reactor; if that fails, the caller may try again.
    func end(_ message: Message, _ farewell: Lease.Farewell?) {
        publications.add(
            Draft(
                topic: message.topic, payload: farewell?.payload ?? [], kind: farewell?.kind ?? .binary,
                contentType: farewell?.contentType, isRetained: true, condition: .ended(message.number),
                origin: message.origin))
    }

    private func end(_ topic: Topic, _ seq: UInt64, _ lease: Lease, by client: UInt64) {
        add(
            LeaseEnds.End(topic: topic, seq: seq, client: client, farewell: lease.farewell, grace: lease.grace))
    }

    private func add(_ end: LeaseEnds.End) {
        unsafe ends.add(end)
        reactor.needsTurn()
    }

    /// Lets a value wait until its grace is over.
    private func wait(_ end: LeaseEnds.End) {
        let patience = end.grace * 1_000_000
        var due = end
        due.grace = 0
        switch sequencer.ownership(ofEphemeral: end.topic, end.seq) {
        case .lost: return
        case .uncertain: reactor.run(afterNanoseconds: patience) { [weak self, due] in self?.add(due) }
        case .held:
            let task = reactor.schedule(afterNanoseconds: patience) { [weak self, due] in
                self?.graces[due.topic] = nil
                self?.add(due)
            }
            if let earlier = graces.updateValue(Grace(seq: end.seq, task: task), forKey: end.topic) {
                reactor.cancel(earlier.task)
            }
        }
    }

    /// Ends the graces of values that other clients have replaced or removed.
    func delivered(_ batch: Batch) {
        if graces.isEmpty { return }
        for item in batch.items where item.message.isRetained {
            let message = item.message
            guard let grace = graces[message.topic], grace.seq < message.number else { continue }
            graces[message.topic] = nil
            reactor.cancel(grace.task)
        }
    }

    /// Removes a value, unless another client has replaced it.
    private func publish(_ end: LeaseEnds.End) {
        let farewell = end.farewell
        let draft = Draft(
            topic: end.topic, payload: farewell?.payload ?? [], kind: farewell?.kind ?? .binary,
            contentType: farewell?.contentType, isRetained: true, condition: .ended(end.seq), origin: end.client
        ) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success: counters.endedEphemerals.add(1)
            case .failure(let refusal) where refusal.code == .conflict: break
            case .failure:
                // No numbers are available now, or other reactors cannot keep up.
                reactor.run(afterNanoseconds: Self.pause) { [weak self] in self?.add(end) }
            }
        }
        publications.add(draft)
    }
}
