internal import Synchronization
internal import WSTransport

/// Holds what clients have in memory to `limits.memory`: input that waits, and what they have not taken.
///
/// The reactors count it where it changes. Any thread.
final class MemoryWatch: Sendable {
    private let figures: Figures
    private let remotes: [Remote]
    /// In bytes; `.max`: unlimited.
    private let limit: Atomic<Int>
    /// Whether a reactor was asked to end connections, and has not done it yet.
    private let isAsked = Atomic<Bool>(false)
    private static let tooMuch = CloseCode(rawValue: 4429)

    init(_ limits: Settings.Limits, figures: Figures, remotes: [Remote]) {
        self.figures = figures
        self.remotes = remotes
        limit = Atomic(0)
        adopt(limits)
    }

    /// Takes over another limit.
    func adopt(_ limits: Settings.Limits) {
        let bytes = limits.memory.bytes ?? .max
        limit.store(bytes, ordering: .relaxed)
        figures.memoryLimit.store(bytes, ordering: .relaxed)
        check()
    }

    /// Whether there is no room for more connections: four fifths are in use.
    var isTight: Bool { figures.heldBytes > limit.load(ordering: .relaxed) / 5 * 4 }

    /// Looks after `reactor` from now on, at the end of each turn in which it has come to hold more.
    ///
    /// That reactor's thread.
    func begin(on reactor: Reactor) {
        let last = Counter()
        reactor.endOfTurn.append { [self, counters = reactor.counters] in
            let held = counters.heldBytes.current
            let isMore = held > last.current
            last.set(held)
            if isMore { check() }
            return false
        }
    }

    /// Has the reactor that holds the most end those of its connections that do.
    private func check() {
        guard figures.heldBytes > limit.load(ordering: .relaxed) else { return }
        guard !isAsked.exchange(true, ordering: .relaxed) else { return }
        let counters = figures.reactors
        let most = counters.indices.max { counters[$0].heldBytes.current < counters[$1].heldBytes.current }
        remotes[most ?? 0].run { [self] reactor in relieve(reactor) }
    }

    private func relieve(_ reactor: Reactor) {
        isAsked.store(false, ordering: .relaxed)
        var excess = figures.heldBytes - limit.load(ordering: .relaxed)
        let holders = reactor.holders().sorted { $0.bytes > $1.bytes }
        for (connection, bytes) in holders where excess > 0 {
            excess -= bytes
            reactor.counters.shed.add(1)
            guard let socket = connection.driver as? WebSocketConnection else {
                connection.reset()
                continue
            }
            let reason = "the broker is short of memory, and this connection held \(bytes) bytes"
            socket.closeEmpty(Self.tooMuch, reason: reason)
        }
        // What several share is given back only with the last of them.
        if !holders.isEmpty { reactor.runSoon { [self] in check() } }
    }
}
