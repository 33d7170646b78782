internal import WSTransport

/// Removes the subscriptions of sessions that have left, a bounded number each turn, so that other clients do not wait.
///
/// A hundred clients with a thousand filters each may leave at once. A subscription that is not removed yet still
/// matches, but its session is no longer found, so it reaches no client. The session's number and the slot of its
/// connection are reused only after all its subscriptions are removed. Runs on the reactor's thread.
struct Departures {
    /// A session that has left.
    private struct Departure {
        let number: UInt32
        let connection: StreamConnection?
        var subscriptions: ArraySlice<Subscription>
    }

    /// How many subscriptions a turn removes: a few milliseconds of work with filters of 31 levels.
    static let most = 1000
    /// A turn removes this fraction of the waiting subscriptions, if that is more; otherwise their number could grow
    /// without bound.
    private static let part = 32

    private var waiting: ArraySlice<Departure> = []
    /// How many subscriptions wait.
    private(set) var count = 0
    /// How many more may be removed in this turn.
    private var left = most

    init() {}

    /// Whether `count` subscriptions may be removed now, which then count for this turn.
    mutating func takes(_ count: Int) -> Bool {
        guard count <= left else { return false }
        left -= count
        return true
    }

    /// Adds the subscriptions of a session that has left, to be removed in later turns.
    mutating func add(_ subscriptions: [Subscription], session number: UInt32, on connection: StreamConnection?) {
        count += subscriptions.count
        waiting.append(Departure(number: number, connection: connection, subscriptions: subscriptions[...]))
    }

    /// Begins a new turn.
    mutating func beginTurn() { left = Self.most }

    /// Takes the subscriptions to remove in this turn, and the sessions that have none left after that.
    mutating func take() -> (subscriptions: [Subscription], ended: [(number: UInt32, connection: StreamConnection?)]) {
        var room = max(left, count / Self.part)
        var taken: [Subscription] = []
        var ended: [(number: UInt32, connection: StreamConnection?)] = []
        left = 0
        while room > 0, let first = waiting.first {
            let part = first.subscriptions.prefix(room)
            taken += part
            room -= part.count
            if part.count < first.subscriptions.count {
                waiting[waiting.startIndex].subscriptions = first.subscriptions.dropFirst(part.count)
            } else {
                ended.append((first.number, first.connection))
                waiting.removeFirst()
            }
        }
        if waiting.isEmpty { waiting = [] }
        count -= taken.count
        return (taken, ended)
    }
}
