internal import WSTransport

/// Removes the subscriptions of sessions that have left, so many each turn that others do not wait.
///
/// A hundred clients with a thousand filters each may leave at once. What is not removed yet matches, but reaches nobody:
/// its session is no longer found, and until all of it is removed, neither the session's number nor the slot of its
/// connection is given to another. Runs on the reactor's thread.
struct Departures {
    /// A session that has left.
    private struct Departure {
        let number: UInt32
        let connection: StreamConnection?
        var subscriptions: ArraySlice<Subscription>
    }

    /// How many subscriptions a turn removes; a few milliseconds with filters of 31 levels.
    static let most = 1000
    /// A turn removes this part of what waits if that is more: else what waits could grow without bound.
    private static let part = 32

    private var waiting: ArraySlice<Departure> = []
    /// How many subscriptions wait.
    private(set) var count = 0
    /// How many may still be removed in this turn.
    private var left = most

    init() {}

    /// Whether `count` subscriptions may be removed at once.
    mutating func takes(_ count: Int) -> Bool {
        guard count <= left else { return false }
        left -= count
        return true
    }

    /// Keeps what a session has subscribed to until its turn comes.
    mutating func add(_ subscriptions: [Subscription], session number: UInt32, on connection: StreamConnection?) {
        count += subscriptions.count
        waiting.append(Departure(number: number, connection: connection, subscriptions: subscriptions[...]))
    }

    /// Begins another turn.
    mutating func beginTurn() { left = Self.most }

    /// The subscriptions to remove in this turn, and the sessions of which nothing remains then.
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
