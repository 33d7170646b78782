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
        let pending = state.pending
        let begin = Self.place(after: seq, in: pending)
        let end = min(pending.count, begin + Self.maximumTail)
        return Tail(
            committedUpTo: pending.first.map { $0.seq - 1 } ?? state.next - 1,
            messages: Array(pending[begin..<end])[...], isWhole: end == pending.count)
    }

    /// How many of the messages, which are in order, are not after `seq`.
    static func place(after seq: UInt64, in messages: ContiguousArray<Message>) -> Int {
        var low = 0
        var high = messages.count
        while low < high {
            let middle = (low + high) / 2
            if messages[middle].seq <= seq { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// What is not on disk yet of what is kept after `seq`.
    func tail(after seq: UInt64) -> Tail { state.withLock { tail($0, after: seq) } }

    /// The same, with the shard's mailbox at the same point of the order, whose newest number is the first value.
    func tail(
        after seq: UInt64, emptying mailbox: Mailbox<Letter>
    ) -> (newest: UInt64, letters: [Letter], tail: Tail) {
        state.withLock { ($0.next - 1, mailbox.drain(), tail($0, after: seq)) }
    }
}
