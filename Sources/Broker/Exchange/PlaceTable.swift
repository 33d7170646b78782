internal import WSTransport

/// The places of several logs' numbers in this broker's sequence.
///
/// Each log has an entry for each record, which fills a part of the sequence. When there are too many entries, the
/// older half is thinned, so that old places are known less exactly. A place that is not known exactly is rounded down:
/// a client that resumes there gets everything after it, and messages that it already has are skipped by their numbers.
struct PlaceTable {
    /// Consecutive messages of a log.
    private struct Run {
        /// The place before the first of them.
        var begin: UInt64
        /// The place of the last of them.
        var end: UInt64
        /// The number of the last of them.
        var number: UInt64
    }

    /// How many runs of each log are remembered.
    static let maximumRuns = 16 * 1024

    let partitions: Partitions
    private var columns: [[Run]]
    private var newest: [UInt64]
    /// The place up to which the columns have all messages.
    private var end: UInt64

    /// - Parameter seq: the newest place.
    init(_ partitions: Partitions, from seq: UInt64) {
        self.partitions = partitions
        newest = Array(repeating: 0, count: partitions.count)
        columns = Array(repeating: [], count: partitions.count)
        end = seq
    }

    /// Adds the place of a message at the start; the messages of a log must be added in order.
    mutating func learn(_ number: UInt64, of partition: Int, at seq: UInt64) {
        let last = columns[partition].last
        guard seq > last?.end ?? 0, number > last?.number ?? 0 else { return }
        columns[partition].append(Run(begin: last?.end ?? 0, end: seq, number: number))
        if columns[partition].count > Self.maximumRuns { Self.thin(&columns[partition]) }
    }

    /// Sets how far a log is applied at the start, at a place.
    mutating func set(_ partition: Int, to number: UInt64, at seq: UInt64) {
        newest[partition] = number
        end = max(end, seq)
        learn(number, of: partition, at: seq)
    }

    /// How many of the newest messages are read at the start.
    private static let newestLookedAt: UInt64 = 64 * 1024

    /// Which messages to read at the start: all of the newest, and fewer the older they are, so that a broker with a
    /// long history starts quickly.
    static func windows(upTo seq: UInt64, _ partitions: Partitions) -> [(after: UInt64, count: Int)] {
        let few = 64 + 4 * partitions.count
        var windows: [(after: UInt64, count: Int)] = []
        var distance = newestLookedAt
        while distance < seq {
            windows.append((seq - distance, windows.isEmpty ? Int(newestLookedAt) : few))
            distance *= 2
        }
        if seq > 0 { windows.append((0, windows.isEmpty ? Int(newestLookedAt) : few)) }
        return windows.reversed()
    }

    /// Adds messages of a log, or numbers of it that no message has.
    ///
    /// - Parameters:
    ///   - places: the places after the first and up to the last; both are equal if there is no message.
    ///   - number: the last number.
    mutating func add(_ places: (after: UInt64, upTo: UInt64), upTo number: UInt64, of partition: Int) {
        newest[partition] = number
        end = max(end, places.upTo)
        // Numbers without messages, mainly of canaries, need no run once there is a later one.
        if let last = columns[partition].last, last.begin == last.end { columns[partition].removeLast() }
        columns[partition].append(Run(begin: places.after, end: places.upTo, number: number))
        if columns[partition].count > Self.maximumRuns { Self.thin(&columns[partition]) }
    }

    /// Joins runs of the older half with the next.
    private static func thin(_ runs: inout [Run]) {
        let half = runs.count / 2
        var thinned: [Run] = []
        thinned.reserveCapacity(runs.count)
        for place in stride(from: 0, to: half - 1, by: 2) {
            var run = runs[place + 1]
            run.begin = runs[place].begin
            thinned.append(run)
        }
        runs = thinned + runs[(half - half % 2)...]
    }

    /// The position after all applied messages: each log's newest number.
    var position: [UInt64] { newest }

    /// The position at a place, rounded down.
    func position(at seq: UInt64) -> [UInt64] {
        columns.indices.map { partition in
            let runs = columns[partition]
            let after = runs.partitionPoint { $0.end > seq }
            return after > 0 ? runs[after - 1].number : 0
        }
    }

    /// The place up to which a client has all messages of a log, if it has them up to a number; rounded down.
    ///
    /// Messages that have a place but are not in the columns yet come after it.
    func place(of number: UInt64, in partition: Int) -> UInt64 {
        let runs = columns[partition]
        let after = runs.partitionPoint { $0.number > number }
        return after < runs.count ? min(runs[after].begin, end) : end
    }
}
