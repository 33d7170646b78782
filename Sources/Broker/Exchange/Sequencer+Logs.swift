internal import Synchronization
internal import WSTransport

/// An order that comes from one or several logs.
extension Sequencer {
    /// Sets the time at which a log took what is applied from now on, in Unix milliseconds.
    func follow(logTime time: Int64, of partition: Int = 0) {
        state.withLock { state in
            state.turn(to: partition)
            state.applying.logTime = time
        }
    }

    /// Begins to take the order from a log, at `time`.
    ///
    /// - Parameter seq: the number of the log up to which it is applied.
    func beginFollowing(logTime time: Int64, of partition: Int = 0, at seq: UInt64 = 0) {
        follow(logTime: time, of: partition)
        let thread = state.withLock { state in
            let newest = state.newest
            state.shelf.places?.set(partition, to: partitions.number(seq, of: partition), at: newest)
            return state.storeThread
        }
        thread?.follow()
    }

    /// Records that the log has been applied up to a mark, up to which messages may be stored.
    ///
    /// Numbers without a message count as the newest, too, so that all readers of the log have the same positions.
    func note(_ mark: OrderMark) {
        let thread = state.withLock { state in
            state.newest = max(state.newest, mark.seq)
            return state.storeThread
        }
        thread?.note(mark)
    }

    /// Records that one of several logs has been applied up to a number.
    ///
    /// - Parameter before: the newest place before its messages were applied.
    func reach(_ seq: UInt64, of partition: Int, from before: UInt64) {
        state.withLock { state in
            let places = (after: before, upTo: state.newest)
            state.shelf.places?.add(places, upTo: partitions.number(seq, of: partition), of: partition)
        }
    }

    // MARK: Positions of several logs

    /// The position in several logs at a place; `nil`: the place is the position.
    package func position(at seq: UInt64) -> [UInt64]? {
        guard partitions.count > 1 else { return nil }
        return state.withLock { state in
            seq >= state.newest ? state.shelf.places?.position : state.shelf.places?.position(at: seq)
        }
    }

    /// The places up to which a client has everything of each log that is at a position; rounded down.
    func places(of position: [UInt64]) -> [UInt64] {
        state.withLock { state in
            guard let places = state.shelf.places else { return [] }
            return position.indices.map { places.place(of: position[$0], in: $0) }
        }
    }
}

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
