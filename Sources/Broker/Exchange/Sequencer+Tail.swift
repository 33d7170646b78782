internal import Synchronization
internal import WSTransport

/// The end of the history that is not on disk yet.
extension Sequencer {
    /// The messages that a rule keeps and that are not on disk yet.
    struct Tail {
        /// Up to this number, every kept message is on disk.
        let committedUpTo: UInt64
        /// The first messages after that and after the number requested, in order.
        let messages: [Message]
        /// Whether these are all of them.
        let isWhole: Bool
    }

    /// How many messages are read at once; a session that needs more waits for the disk.
    private static let maximumTail = 1024

    private func tail(_ state: borrowing State, after seq: UInt64) -> Tail {
        let found = state.pending.messages(after: seq, atMost: Self.maximumTail)
        return Tail(
            committedUpTo: state.pending.first.map { $0.seq - 1 } ?? state.newest,
            messages: found.messages, isWhole: found.isWhole)
    }

    /// Those of the given messages that a rule keeps and that are not on disk yet.
    func pending(of seqs: [UInt64]) -> Set<UInt64> {
        state.withLock { state in
            guard let first = state.pending.first?.seq else { return [] }
            return Set(seqs.filter { $0 >= first && state.pending.contains($0) })
        }
    }

    /// The newest number, and the content of the shard's mailbox at the same position in the order.
    func newest(emptying mailbox: Mailbox<ShardEvent>) -> (newest: UInt64, events: [ShardEvent]) {
        state.withLock { ($0.newest, mailbox.drain()) }
    }

    /// The kept messages after `seq` that are not on disk yet.
    func tail(after seq: UInt64) -> Tail { state.withLock { tail($0, after: seq) } }

    /// The same, with the newest number and the content of the shard's mailbox at the same position in the order.
    func tail(
        after seq: UInt64, emptying mailbox: Mailbox<ShardEvent>
    ) -> (newest: UInt64, events: [ShardEvent], tail: Tail) {
        state.withLock { ($0.newest, mailbox.drain(), tail($0, after: seq)) }
    }
}
