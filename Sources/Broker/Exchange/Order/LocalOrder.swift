internal import Synchronization
package import WSTransport

/// The order of a single broker: the order in which its reactors take one lock.
///
/// A batch gets its numbers and is applied in the same call, so that its results are in the mailboxes when ``submit(_:from:at:)``
/// returns. Nothing is read from the disk under the lock. A refused draft takes no number.
package final class LocalOrder: Order {
    private struct Numbers {
        /// How many numbers are reserved at once.
        let block: UInt64
        /// The number of the next message.
        var next: UInt64
        /// The last number that may be used.
        var reserved: UInt64
        var isReserving = false
        var isClosed = false
        var storeThread: StoreThread?

        /// The numbers that may be used now.
        var free: Range<UInt64> { isClosed || reserved < next ? next..<next : next..<reserved + 1 }

        /// Why no numbers are available.
        var exhaustion: Refusal {
            isClosed
                ? Refusal(.unavailable, "The broker is shutting down.")
                : Refusal(.storageFull, "The store accepts no writes, so no message can get a number.")
        }

        /// The number up to which to reserve now, half a block ahead; `nil` if there are enough, or a reservation is
        /// under way.
        mutating func takeTarget() -> (thread: StoreThread, target: UInt64)? {
            guard !isReserving, !isClosed, next + block / 2 > reserved, let storeThread else { return nil }
            isReserving = true
            return (storeThread, reserved + block)
        }
    }

    /// Applies the drafts in the order given here.
    package let sequencer: Sequencer
    private let numbers: Mutex<Numbers>

    /// Continues after all numbers that were ever reserved in `store`, and reserves the first block.
    ///
    /// If the store has no room for that, publications are refused until it has; stored values can be read.
    ///
    /// - Parameter block: how many numbers are reserved on disk at once, so that after a crash none is used twice; 2²⁴
    ///   of 2⁵³ (what JSON can hold).
    package init(
        store: any MessageStore, rules: HistoryRules = HistoryRules(), block: UInt64 = 1 << 24
    ) throws(StorageError) {
        sequencer = try Sequencer(store: store, rules: rules)
        let first = sequencer.newest + 1
        var numbers = Numbers(block: block, next: first, reserved: first - 1)
        do throws(StorageError) {
            try store.reserve(seqsUpTo: first + block)
            numbers.reserved = first + block
        } catch .full {
            // The store's thread tries again.
        } catch {
            throw error
        }
        self.numbers = Mutex(numbers)
    }

    /// Connects the store's thread: from here on messages are stored and numbers reserved.
    package func attach(_ thread: StoreThread) {
        numbers.withLock { $0.storeThread = thread }
        sequencer.attach(thread)
    }

    package var obstacle: Refusal? {
        numbers.withLock { numbers in numbers.free.isEmpty ? numbers.exhaustion : nil }
    }

    package func close() -> UInt64 {
        numbers.withLock { numbers in
            numbers.isClosed = true
            return numbers.next - 1
        }
    }

    package func submit(_ drafts: [Draft], from shard: Int, at time: MonotonicTime) {
        give(drafts, from: shard, isInTurn: true, began: time)
    }

    /// Numbers drafts and applies them, in several parts if stored values must be looked up.
    ///
    /// - Parameters:
    ///   - isInTurn: whether the shard empties its mailbox without being woken.
    ///   - began: when the turn that published them began; `nil` if not known.
    ///   - body: gets each part after it has been posted to the mailboxes; `nil` if it is not needed. It must not call
    ///     the order.
    func give(
        _ drafts: [Draft], from shard: Int, isInTurn: Bool, began: MonotonicTime? = nil,
        _ body: ((Batch) -> Void)? = nil
    ) {
        let time = WallClock.unixMilliseconds
        var stored = Sequencer.StoredValues()
        var expectation = sequencer.expect(drafts)
        var place = 0
        while true {
            let (count, wanted) = numbers.withLock { numbers in
                let part = Sequencer.Part(
                    first: place, shard: shard, isInTurn: isInTurn, numbers: numbers.free, time: time,
                    began: began)
                // A span, so that reading a draft does not copy it.
                let done = sequencer.apply(drafts.span, part, numbers.exhaustion, stored, &expectation, body)
                numbers.next += UInt64(done.accepted)
                return (done.count, numbers.takeTarget())
            }
            if let wanted { reserve(wanted.target, on: wanted.thread) }
            place += count
            guard place < drafts.count else { return sequencer.conclude(expectation) }
            sequencer.lookUp(drafts.span, from: place, &stored)
        }
    }

    /// Called outside the lock, because a closed store calls back at once.
    private func reserve(_ target: UInt64, on thread: StoreThread) {
        thread.reserve(seqsUpTo: target) { [self] result in
            numbers.withLock { numbers in
                // After a failure, the next publication tries again.
                numbers.isReserving = false
                if case .success = result { numbers.reserved = max(numbers.reserved, target) }
            }
        }
    }
}
