import Synchronization

@testable import Broker
@testable import WSTransport

extension LocalOrder {
    /// The results of drafts: the number, and whether the message was passed to the store.
    func sequence(_ drafts: [Draft], from shard: Int) -> [Result<(seq: UInt64, isQueued: Bool), Refusal>] {
        var results: [Result<(seq: UInt64, isQueued: Bool), Refusal>] = []
        give(drafts, from: shard, isInTurn: true) { batch in
            var items = batch.items[...]
            for place in 0..<batch.count {
                if let refused = batch.refusals?.list.first(where: { $0.place == place }) {
                    guard case .refused(let refusal) = refused.rejection else { continue }
                    results.append(.failure(refusal))
                } else if let item = items.popFirst() {
                    results.append(.success((item.message.seq, item.isQueued)))
                }
            }
        }
        return results
    }

    var newest: UInt64 { sequencer.newest }

    func value(of topic: Topic) throws(Refusal) -> Message? { try sequencer.value(of: topic) }

    @discardableResult
    func join(_ mailbox: Mailbox<ShardEvent>, shard: Int) -> Inbox { sequencer.join(mailbox, shard: shard) }

    func settled(_ settlement: StoreThread.Settlement) { sequencer.settled(settlement) }

    func probeStore(_ then: @escaping @Sendable (String?) -> Void) { sequencer.probeStore(then) }

    func position(emptying mailbox: Mailbox<ShardEvent>, matching filter: TopicFilter) -> Sequencer.Position {
        sequencer.position(emptying: mailbox, matching: filter)
    }

    func position(
        emptying mailbox: Mailbox<ShardEvent>, matching filter: TopicFilter, known: inout Sequencer.KnownView
    ) -> Sequencer.Position {
        sequencer.position(emptying: mailbox, matching: filter, known: &known)
    }
}

/// An order that answers some turns later, like a log that several brokers share.
///
/// Drafts wait for one to three turns of the shard's reactor, and then go to the inner order.
final class DelayedOrder: Order {
    /// What a log has of a draft.
    private struct Proposal: Sendable {
        let topic: Topic
        let payload: [UInt8]
        let kind: Message.Kind
        let contentType: String?
        let properties: MessageProperties?
        let isRetained: Bool
        let timeToLive: Int64?
        let condition: Draft.Condition
        let origin: UInt64
        let key: PublishKey?

        init(_ draft: Draft) {
            (topic, payload, kind) = (draft.topic, draft.payload.array, draft.kind)
            (contentType, properties, isRetained) = (draft.contentType, draft.properties, draft.isRetained)
            (timeToLive, condition, origin) = (draft.timeToLive, draft.condition, draft.origin)
            key = draft.key
        }

        var draft: Draft {
            var draft = Draft(topic: topic, payload: payload, kind: kind)
            (draft.contentType, draft.properties, draft.isRetained) = (contentType, properties, isRetained)
            (draft.timeToLive, draft.condition, draft.origin) = (timeToLive, condition, origin)
            draft.key = key
            return draft
        }
    }

    private struct State {
        /// What has no number yet, in the order in which it was handed over.
        var waiting: [(proposals: [Proposal], shard: Int)] = []
        var count = 0
    }

    private let inner: LocalOrder
    private let remotes: [Int: Remote]
    private let state = Mutex(State())

    /// - Parameter remotes: those of the shards, by index.
    init(_ inner: LocalOrder, remotes: [Int: Remote]) {
        self.inner = inner
        self.remotes = remotes
    }

    var obstacle: Refusal? { inner.obstacle }

    func submit(_ drafts: [Draft], from shard: Int, at time: MonotonicTime) {
        let proposals = drafts.map(Proposal.init)
        let count = state.withLock { state in
            state.waiting.append((proposals, shard))
            state.count += 1
            return state.count
        }
        pass(turns: 1 + count % 3, shard)
    }

    private func pass(turns: Int, _ shard: Int) {
        remotes[shard]?.run { [self] _ in
            if turns > 1 { pass(turns: turns - 1, shard) } else { giveNext() }
        }
    }

    /// Gives the oldest its number, of whichever shard it is: another's turns may be over sooner.
    private func giveNext() {
        // One at a time, so that the order within is that of handing over.
        state.withLock { state in
            guard !state.waiting.isEmpty else { return }
            let (proposals, shard) = state.waiting.removeFirst()
            inner.give(proposals.map(\.draft), from: shard, isInTurn: false)
        }
    }

    func close() -> UInt64 {
        while state.withLock({ !$0.waiting.isEmpty }) { giveNext() }
        return inner.close()
    }
}
