internal import WSTransport

/// How many commands each client of a reactor may give in one turn.
///
/// A client has 1,000, and less where others have had much of the same turn: so a turn does not grow with the number of
/// those that give many.
struct TurnShare {
    /// What one client gets at most, in commands.
    static let most = 1000
    /// What each gets, whatever the others had.
    static let least = 16
    /// What all have together, but for ``least``: each gets an eighth of what is left of it.
    static let all = 8000

    private var turn = MonotonicTime(nanoseconds: 0)
    private var taken = 0
    private var owner = UInt32.max
    private var left = 0

    /// Counts commands of the client in `slot`; whether it may give more.
    ///
    /// - Parameter turn: when the turn began.
    mutating func take(_ commands: Int, by slot: UInt32, in turn: MonotonicTime) -> Bool {
        if turn.nanoseconds != self.turn.nanoseconds {
            self.turn = turn
            taken = 0
            owner = .max
        }
        if slot != owner {
            owner = slot
            left = max(Self.least, min(Self.most, (Self.all - taken) / 8))
        }
        taken += commands
        left -= commands
        return left > 0
    }
}

/// How much is read for the clients that are behind in one turn of a reactor.
///
/// A crowd that asks for snapshots or for history at once does not hold the others up.
struct CatchUpShare {
    /// What all together may be sent, in bytes: so much is read, encoded and sent in one or two milliseconds.
    static let most = 256 << 10
    /// A piece counts as this at least, in bytes, as looking for something costs also where there is nothing.
    static let least = 4 << 10

    private var turn = MonotonicTime(nanoseconds: 0)
    private var taken = 0

    /// Whether another piece may be read.
    ///
    /// - Parameter turn: when the turn began.
    mutating func isLeft(in turn: MonotonicTime) -> Bool {
        if turn.nanoseconds != self.turn.nanoseconds { (self.turn, taken) = (turn, 0) }
        return taken < Self.most
    }

    /// A piece was read.
    mutating func take(_ bytes: Int) { taken += max(bytes, Self.least) }
}
