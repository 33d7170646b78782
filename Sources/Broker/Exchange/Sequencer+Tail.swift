internal import Synchronization
internal import WSTransport

/// The newest end of the history.
extension Sequencer {
    /// What is to be kept and is not on disk yet.
    struct Tail {
        /// Up to this number, everything that is kept is on disk.
        let committedUpTo: UInt64
        /// The first messages after that and after the number that was asked for, in order.
        let messages: ArraySlice<Message>
        /// Whether these are all of them.
        let isWhole: Bool
    }

    /// So many messages are taken over at once; who needs more waits for the disk.
    private static let maximumTail = 1024

    private func tail(_ state: borrowing State, after seq: UInt64) -> Tail {
        let found = state.pending.messages(after: seq, atMost: Self.maximumTail)
        return Tail(
            committedUpTo: state.pending.first.map { $0.seq - 1 } ?? state.order.newest,
            messages: found.messages[...], isWhole: found.isWhole)
    }

    /// The newest number, with the shard's mailbox at the same point of the order.
    func newest(emptying mailbox: Mailbox<Letter>) -> (newest: UInt64, letters: [Letter]) {
        state.withLock { ($0.order.newest, mailbox.drain()) }
    }

    /// What is not on disk yet of what is kept after `seq`.
    func tail(after seq: UInt64) -> Tail { state.withLock { tail($0, after: seq) } }

    /// The same, with the shard's mailbox at the same point of the order, whose newest number is the first value.
    func tail(
        after seq: UInt64, emptying mailbox: Mailbox<Letter>
    ) -> (newest: UInt64, letters: [Letter], tail: Tail) {
        state.withLock { ($0.order.newest, mailbox.drain(), tail($0, after: seq)) }
    }
}
