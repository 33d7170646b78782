internal import Synchronization
internal import WSTransport

/// Limits the memory that clients use to `limits.memory`: input that waits, and unsent output.
///
/// The reactors count it where it changes. Any thread.
final class MemoryWatch: Sendable {
    private let figures: Figures
    private let remotes: [Remote]
    /// In bytes; `.max` if unlimited.
    private let limit: Atomic<Int>
    /// Whether a reactor has been asked to close connections, and has not done so yet.
    private let isAsked = Atomic<Bool>(false)
    private static let tooMuch = CloseCode(rawValue: 4429)

    init(_ limits: Settings.Limits, figures: Figures, remotes: [Remote]) {
        self.figures = figures
        self.remotes = remotes
        limit = Atomic(0)
        adopt(limits)
    }

    /// Applies a new limit.
    func adopt(_ limits: Settings.Limits) {
        let bytes = limits.memory.bytes ?? .max
        limit.store(bytes, ordering: .relaxed)
        figures.memoryLimit.store(bytes, ordering: .relaxed)
        check()
    }

    /// Whether more connections must be refused, because four fifths of the memory are in use.
    var isTight: Bool { figures.heldBytes > limit.load(ordering: .relaxed) / 5 * 4 }

    /// Watches `reactor` from now on, at the end of each turn in which its memory has grown.
    ///
    /// Called on that reactor's thread.
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

    /// If there is too much, asks the reactor that holds the most to close the connections that hold the most.
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
        // Shared memory is freed only with the last connection that uses it, so check again.
        if !holders.isEmpty { reactor.runSoon { [self] in check() } }
    }
}

/// Decides when many clients have gone permanently, so that their memory can be returned to the system.
///
/// Memory that connections have freed stays with the process: after 8,000 clients with TLS it is 129 MB. Returning all
/// but 8 MB of it takes 28 ms, during which other threads wait for memory of the same arena. So it is done once after
/// many clients have gone, and only when they have stayed away longer than clients that reconnect.
struct MemoryRelease {
    /// How many connections must have ended; at least half of all must have, too.
    static let minimum = 1000
    /// How long they must have been gone, in nanoseconds.
    static let patience: Int64 = 60_000_000_000

    /// The maximum number of connections since memory was last returned.
    private var most = 0
    /// Since when that many have been gone; `nil` if they are not.
    private var goneSince: MonotonicTime?

    /// Whether to return memory now; called every few seconds, and `true` once after each departure of many clients.
    mutating func isDue(connections: Int, now: MonotonicTime) -> Bool {
        most = max(most, connections)
        guard most - connections >= Self.minimum, connections <= most / 2 else {
            goneSince = nil
            return false
        }
        guard let since = goneSince else {
            goneSince = now
            return false
        }
        guard now.nanoseconds(since: since) >= Self.patience else { return false }
        most = connections
        goneSince = nil
        return true
    }
}
