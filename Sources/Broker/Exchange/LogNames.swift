internal import WSTransport

/// What the messages are called to which a log has given an order: their numbers, by their places in the broker's own line.
struct LogNames: Sendable {
    /// Which log it is.
    var partition = 0
    private var scale: UInt64 = 1
    private var offset: UInt64 = 0

    /// The numbers are the places.
    init() {}

    /// - Parameters:
    ///   - seq: the place in the line of the message that is the log's number `first`; those that follow it there follow it
    ///     here.
    init(_ partitions: Partitions, _ partition: Int, first: UInt64, at seq: UInt64) {
        guard partitions.count > 1 else { return }
        self.partition = partition
        scale = UInt64(partitions.count)
        offset = partitions.number(first, of: partition) &- seq &* scale
    }

    /// The number of the message at a place.
    func number(of seq: UInt64) -> UInt64 { seq &* scale &+ offset }
}

/// What is decided by one log, where several give the order: the logs whose messages are not being applied.
///
/// With one log nothing is here.
struct LogShelf {
    /// The keys, the time and the jumps of a log.
    private struct Aside {
        var keys = KeyTable()
        var time: Int64?
        var jumps = LogJumps()
    }

    /// Whose keys, time and jumps are in the ``Applying``; theirs are not here.
    private var current = 0
    private var aside: [Aside] = []
    /// Where the logs' numbers are in the line; `nil`: it is that of one log.
    var places: PlaceTable?

    init() {}

    /// - Parameters:
    ///   - seq: the newest place.
    ///   - store: its history says where older messages are.
    init(_ partitions: Partitions, from seq: UInt64, _ store: any MessageStore) throws(StorageError) {
        guard partitions.count > 1 else { return }
        aside = Array(repeating: Aside(), count: partitions.count)
        var places = PlaceTable(partitions, from: seq)
        for window in PlaceTable.windows(upTo: seq, partitions) {
            try store.readHistory { (history) throws(StorageError) in
                _ = try history.messages(
                    where: { _ in true }, after: window.after, upTo: seq, visiting: window.count, now: .min
                ) { message in
                    places.learn(message.number, of: partitions.partition(of: message.topic), at: message.seq)
                    return true
                }
            }
        }
        self.places = places
    }

    /// Has `applying` decide for another log.
    mutating func turn(to partition: Int, _ applying: inout Applying) {
        guard partition != current, partition < aside.count else { return }
        exchange(current, &applying)
        exchange(partition, &applying)
        current = partition
    }

    private mutating func exchange(_ partition: Int, _ applying: inout Applying) {
        swap(&applying.keys, &aside[partition].keys)
        swap(&applying.logTime, &aside[partition].time)
        swap(&applying.jumps, &aside[partition].jumps)
    }

    /// Where the numbers of a log have jumped.
    func jumps(of partition: Int, _ applying: Applying) -> LogJumps {
        partition == current || partition >= aside.count ? applying.jumps : aside[partition].jumps
    }

    /// How many keys the others remember, and the memory that they take, in bytes.
    var keys: (count: Int, bytes: Int) {
        aside.reduce((0, 0)) { ($0.0 + $1.keys.count, $0.1 + $1.keys.bytes) }
    }

    /// The longest time for which one of the others remembers keys, in milliseconds.
    var longestWindow: Int64 { aside.map(\.keys.rules.window).max() ?? 0 }

    mutating func adopt(_ rules: KeyRules) {
        for place in aside.indices { aside[place].keys.rules = rules }
    }
}

extension Sequencer.State {
    /// Has what comes next decided by the keys and the time of a log.
    @inline(__always)
    mutating func turn(to partition: Int) { shelf.turn(to: partition, &applying) }
}

/// The jumps in the numbers of a log, which occur when another process of its engine continues it.
///
/// No message has a number between the last one before a jump and the first one after it. A client that knows such a
/// number has received messages that are no longer in any log. A value.
package struct LogJumps: Equatable, Sendable {
    /// One jump.
    package struct Jump: Equatable, Sendable {
        /// The last number before it.
        package let closed: UInt64
        /// The number at which the log continues.
        package let begun: UInt64

        package init(closed: UInt64, begun: UInt64) { (self.closed, self.begun) = (closed, begun) }
    }

    /// How many jumps are remembered; the oldest are forgotten.
    package static let maximum = 64

    /// The jumps, in order.
    package private(set) var all: [Jump] = []

    package init() {}

    package mutating func add(_ jump: Jump) {
        all.append(jump)
        if all.count > Self.maximum { all.removeFirst() }
    }

    /// The jump that contains a number; `nil` if there is none.
    package func jump(over seq: UInt64) -> Jump? {
        guard let jump = all.last(where: { $0.closed < seq }), seq < jump.begun else { return nil }
        return jump
    }
}

/// The time of a log, as estimated by a reader: the latest time in its records of the last one or two minutes, plus the
/// time that has passed since.
///
/// A record arrives a little after the log has accepted it, so the record with the smallest delay counts. Older records
/// are forgotten, because clocks run at different speeds.
struct LogClock: Sendable {
    private var window: (begin: Int64, most: Int64)?
    private var before: Int64?

    /// How long a record counts at least, in milliseconds.
    private static let length: Int64 = 60_000

    /// How far the log's time is ahead of this broker's clock, when a record of `time` arrives at `now`; all in
    /// milliseconds.
    mutating func offset(_ time: Int64, at now: Int64) -> Int64 {
        let offset = time &- now
        guard let window, now &- window.begin < Self.length else {
            (before, window) = (window?.most, (now, offset))
            return max(offset, before ?? offset)
        }
        self.window?.most = max(window.most, offset)
        return max(window.most, offset, before ?? offset)
    }
}
