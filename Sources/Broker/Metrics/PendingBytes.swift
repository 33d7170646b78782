internal import WSTransport

/// What clients have been sent and have not taken, in bytes.
package struct PendingBytes: Sendable {
    /// Of all of them.
    package var bytes = 0
    /// Of the one with the most.
    package var largest = 0

    package init(bytes: Int = 0, largest: Int = 0) { (self.bytes, self.largest) = (bytes, largest) }

    /// Adds those of other clients.
    package mutating func add(_ other: Self) {
        bytes += other.bytes
        largest = max(largest, other.largest)
    }
}

/// Finds out what the clients of all reactors have not taken, without waiting long for a reactor that is busy.
///
/// Those who ask at the same time share one question, and one timer. Runs on its reactor's thread.
package final class PendingLook {
    // Kept with the reactor, like the shard.
    private unowned let shard: Shard
    private let everyone: ShardGroup
    private let patience: Int64
    private var waiting: [(PendingBytes?) -> Void] = []
    /// When the question was asked that has no answer yet; `nil`: there is none.
    private var asked: MonotonicTime?
    private var isLate = false
    private var hasTimer = false

    /// - Parameter patience: how long the answers may take, in nanoseconds.
    package init(on shard: Shard, _ everyone: ShardGroup, patience: Int64 = 1_000_000_000) {
        self.shard = shard
        self.everyone = everyone
        self.patience = patience
    }

    /// Passes what was found to `then`; `nil`: a reactor has not answered in time.
    package func look(_ then: @escaping (PendingBytes?) -> Void) {
        // A reactor that owes an answer would not give another one sooner.
        if isLate { return then(nil) }
        waiting.append(then)
        guard asked == nil else { return }
        asked = .now
        everyone.ask(from: shard) { shard in
            let bytes = shard.reactor.pendingBytes()
            return PendingBytes(bytes: bytes.all, largest: bytes.largest)
        } then: { [weak self] parts in
            self?.asked = nil
            self?.isLate = false
            self?.answer(parts.reduce(into: PendingBytes()) { $0.add($1) })
        }
        if !hasTimer { wait(patience) }
    }

    private func wait(_ nanoseconds: Int64) {
        hasTimer = true
        shard.reactor.run(afterNanoseconds: nanoseconds) { [weak self] in
            guard let self else { return }
            hasTimer = false
            guard let asked, !isLate else { return }
            let left = patience - MonotonicTime.now.nanoseconds(since: asked)
            // The timer may be that of a question before.
            guard left <= 0 else { return wait(left) }
            isLate = true
            answer(nil)
        }
    }

    private func answer(_ pending: PendingBytes?) {
        let answered = waiting
        waiting = []
        for then in answered { then(pending) }
    }
}
