internal import WSTransport

/// What a publication costs because followers that are behind must be considered, one by one.
///
/// A message for a live follower costs some nanoseconds, one that is held for a follower that is behind about a
/// microsecond, which is as much as a command. So the publishers of a turn must be charged for it before they publish:
/// otherwise a thousand publications to a thousand such followers would take a second. The cost is that of the dearest
/// recent message, because followers that have caught up fall behind again together. Runs on the reactor's thread.
struct HoldingCost {
    /// What holding a message costs, and what it costs to note that the store will deliver it, in eighths of a command.
    static let held = 8
    static let noted = 1
    /// How long a cost counts that no message has had again until half of it is forgotten, in nanoseconds.
    private static let halfLife: Int64 = 4_000_000_000

    /// The cost of a publication, in commands.
    private(set) var commands = 0
    /// The number of the current message, and what it has cost so far, in eighths of a command.
    private var seq: UInt64 = 0
    private var current = 0
    /// The cost of the dearest message of this turn, in eighths of a command.
    private var most = 0
    /// How many followers have fallen behind in this turn: further messages will be held for them.
    private var fallen = 0
    /// When the cost was last as high.
    private var since = MonotonicTime(nanoseconds: 0)

    /// Whether there is anything to do at the end of a turn.
    var isSet: Bool { commands > 0 || most > 0 || fallen > 0 }

    /// Counts a message for one more follower.
    mutating func add(_ cost: Int, of message: UInt64) {
        if message != seq { (seq, current) = (message, 0) }
        current &+= cost
        most = max(most, current)
    }

    /// Counts a follower that has fallen behind, and for which messages will be held.
    mutating func fellBehind() { fallen += 1 }

    /// Ends a turn; returns by how much the cost has changed, in commands.
    ///
    /// - Parameter behind: how many followers are behind now.
    mutating func endTurn(behind: Int, now: MonotonicTime) -> Int {
        let old = commands
        let new = max(most / Self.held, fallen > 0 ? min(commands + fallen, behind) : 0)
        if new >= commands {
            (commands, since) = (new, now)
        } else if now.nanoseconds(since: since) >= Self.halfLife {
            (commands, since) = (commands / 2, now)
        }
        (most, fallen) = (0, 0)
        return commands - old
    }
}
