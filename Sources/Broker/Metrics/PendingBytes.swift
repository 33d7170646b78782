internal import WSTransport

/// The bytes that were published to clients and that they have not received.
package struct PendingBytes: Sendable {
    /// The sum over all clients.
    package var bytes = 0
    /// The bytes of the client with the most.
    package var largest = 0

    package init(bytes: Int = 0, largest: Int = 0) { (self.bytes, self.largest) = (bytes, largest) }

    /// Adds the bytes of other clients.
    package mutating func add(_ other: Self) {
        bytes += other.bytes
        largest = max(largest, other.largest)
    }
}

/// Measures the pending bytes of all reactors' clients, without waiting long for a busy reactor.
///
/// Simultaneous requests share one measurement and one timer. Runs on its reactor's thread.
package final class PendingLook {
    // Stored with the reactor, like the shard.
    private unowned let shard: Shard
    private let everyone: ShardGroup
    /// How long the reactors may take to answer, in nanoseconds.
    package var patience: Int64
    private var waiting: [(PendingBytes?) -> Void] = []
    /// When the measurement in progress began; `nil` if there is none.
    private var asked: MonotonicTime?
    private var isLate = false
    private var hasTimer = false
    /// The text of the metrics, and the turn in which it was made.
    private var made: (text: [UInt8], turn: MonotonicTime)?

    /// - Parameter patience: how long the reactors may take to answer, in nanoseconds.
    package init(on shard: Shard, _ everyone: ShardGroup, patience: Int64 = 1_000_000_000) {
        self.shard = shard
        self.everyone = everyone
        self.patience = patience
    }

    /// Passes the result to `then`; `nil` if a reactor has not answered in time.
    package func look(_ then: @escaping (PendingBytes?) -> Void) {
        // A reactor that has not answered yet would not answer another request sooner.
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

    /// The text of the metrics, made once in a turn, however many ask for it.
    func text(_ make: () -> [UInt8]) -> [UInt8] {
        let now = shard.reactor.now
        if let made, made.turn.nanoseconds == now.nanoseconds { return made.text }
        let text = make()
        made = (text, now)
        return text
    }

    private func wait(_ nanoseconds: Int64) {
        hasTimer = true
        shard.reactor.run(afterNanoseconds: nanoseconds) { [weak self] in
            guard let self else { return }
            hasTimer = false
            guard let asked, !isLate else { return }
            let left = patience - MonotonicTime.now.nanoseconds(since: asked)
            // The timer may belong to an earlier measurement.
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
