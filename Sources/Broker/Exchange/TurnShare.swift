internal import WSTransport

/// Limits the commands that each client of a reactor may give in one turn.
///
/// A client may give 1,000, and fewer if others have used up much of the turn. So the length of a turn does not grow
/// with the number of clients that give many.
struct TurnShare {
    /// The most that one client gets, in commands.
    static let most = 1000
    /// The number that each client gets, however many the others had.
    static let least = 16
    /// The number that all clients share, besides ``least``: each gets an eighth of what is left.
    static let all = 8000
    /// What a filter to subscribe to, or to unsubscribe from, counts as, in commands.
    static let filter = 4
    /// What credentials count as: to verify the signature of a token takes some 50 microseconds.
    static let credentials = 64
    /// The most that the broker itself publishes in a turn because of what clients or time have ended, in messages.
    static let ownPublications = 256

    private var turn = MonotonicTime(nanoseconds: 0)
    private var taken = 0
    private var owner = UInt32.max
    private var left = 0

    /// Counts commands of the client in `slot`; returns whether it may give more.
    ///
    /// - Parameters:
    ///   - bytes: how long they are: for all clients together, a KiB counts as another command. It does not end the turn
    ///     of this one, because what a turn sends a client is not a backlog yet, and what two turns send it may be.
    ///   - turn: when the turn began.
    mutating func take(_ commands: Int, bytes: Int = 0, by slot: UInt32, in turn: MonotonicTime) -> Bool {
        if turn.nanoseconds != self.turn.nanoseconds {
            self.turn = turn
            taken = 0
            owner = .max
        }
        if slot != owner {
            owner = slot
            left = max(Self.least, min(Self.most, (Self.all - taken) / 8))
        }
        taken += commands &+ bytes &>> 10
        left -= commands
        return left > 0
    }

    /// Whether all clients together have given what they may in a turn: further ones begin in the next.
    ///
    /// - Parameter turn: when the turn began.
    func isUsedUp(in turn: MonotonicTime) -> Bool { turn.nanoseconds == self.turn.nanoseconds && taken >= Self.all }
}

/// Limits how much is read for all sessions that are behind in one turn of a reactor.
///
/// So many clients that ask for snapshots or history at once do not delay the others.
struct CatchUpShare {
    /// The maximum for all together, in bytes; it takes one or two milliseconds to read, encode and send.
    static let most = 256 << 10
    /// The least that a piece counts as, in bytes: even a search that finds nothing has a cost.
    static let least = 4 << 10
    /// How long all pieces together may take, in nanoseconds: the cost of a search does not show in what it finds.
    static let longest: Int64 = 4_000_000

    /// As ``longest``; tests that count pieces take the clock out.
    var longest = Self.longest
    private var turn = MonotonicTime(nanoseconds: 0)
    private var taken = 0
    private var spent: Int64 = 0

    /// Whether another piece may be read.
    ///
    /// - Parameter turn: when the turn began.
    mutating func isLeft(in turn: MonotonicTime) -> Bool {
        if turn.nanoseconds != self.turn.nanoseconds { (self.turn, taken, spent) = (turn, 0, 0) }
        return taken < Self.most && spent < longest
    }

    /// Counts a piece that was read.
    ///
    /// - Parameter nanoseconds: how long that took.
    mutating func take(_ bytes: Int, nanoseconds: Int64) {
        taken += max(bytes, Self.least)
        spent += max(0, nanoseconds)
    }
}

/// Counts the publications to each topic while an administrator asks for it.
///
/// A shard has one only while a request is open, so it costs nothing otherwise. Runs on the reactor's thread.
package final class TopicMeter {
    /// The count of one topic.
    package struct Count: Sendable {
        package var messages = 0
        /// Payload, in bytes.
        package var bytes = 0
    }

    /// The maximum number of topics; further ones are not counted.
    package static let maximumTopics = 100_000

    package private(set) var counts: [Topic: Count] = [:]
    private let filter: TopicFilter?

    /// - Parameter filter: counts only topics that it matches; `nil`: all.
    package init(filter: TopicFilter?) { self.filter = filter }

    func count(_ draft: Draft) {
        guard filter?.matches(draft.topic) ?? true else { return }
        guard counts.count < Self.maximumTopics || counts[draft.topic] != nil else { return }
        counts[draft.topic, default: Count()].messages += 1
        counts[draft.topic, default: Count()].bytes += draft.payload.count
    }
}
