internal import WSTransport

/// The last entries of the log that this broker has read, up to a size, to restore them to an engine that lacks them.
struct LogRing {
    /// An entry in the engine's form.
    struct Entry {
        let place: LogPosition
        /// Names and values, in turn.
        let fields: [[UInt8]]

        /// Its approximate size, in bytes.
        var size: Int { fields.reduce(64) { $0 + $1.count + 16 } }
    }

    private let capacity: Int
    private var entries = Fifo<Entry>()
    private(set) var size = 0

    /// - Parameter capacity: in bytes.
    init(capacity: Int) { self.capacity = capacity }

    mutating func append(_ entry: Entry) {
        entries.append(entry)
        size += entry.size
        while size > capacity, let oldest = entries.popFirst() { size -= oldest.size }
    }

    /// The entries after a position, in order, up to a number and a size; at least one, if there is one.
    func entries(after place: LogPosition, atMost count: Int, size limit: Int) -> [Entry] {
        var found: [Entry] = []
        var size = 0
        var next = (0..<entries.count).partitionPoint { entries[$0].map { $0.place > place } ?? true }
        while found.count < count, size < limit, let entry = entries[next] {
            found.append(entry)
            size += entry.size
            next += 1
        }
        return found
    }
}

/// The extent of the log, from the entries that this broker has read, to find the place at which it may be trimmed.
struct LogWindow {
    private struct Mark {
        let place: LogPosition
        /// The size of all earlier entries, in bytes.
        let size: Int
        /// The time of the log, in Unix milliseconds.
        let time: Int64
    }

    private let keptBytes: Int
    private let keptAge: Int64
    private var marks = Fifo<Mark>()
    private var size = 0
    private var time: Int64 = 0
    private var last: Mark?

    /// The distance between two marks, in bytes or milliseconds.
    private static let pace = (bytes: 64 << 10, time: Int64(10_000))
    /// How many times the usual amount is kept for a broker that has not read it yet.
    private static let patience = 4

    init(keptBytes: Int, keptAge: Int64) { (self.keptBytes, self.keptAge) = (max(keptBytes, Self.pace.bytes), keptAge) }

    /// - Parameter time: when the engine accepted it, in Unix milliseconds; `nil` if that is not known.
    mutating func add(_ place: LogPosition, size bytes: Int, time: Int64?) {
        self.time = max(self.time, time ?? 0)
        if last.map({ size - $0.size >= Self.pace.bytes || self.time - $0.time >= Self.pace.time }) ?? true {
            let mark = Mark(place: place, size: size, time: self.time)
            (last, size) = (mark, size + bytes)
            marks.append(mark)
        } else {
            size += bytes
        }
    }

    /// The position before which the log is no longer needed; `nil` if all of it is needed.
    ///
    /// - Parameter slowest: the position up to which all brokers have read it.
    mutating func cut(slowest: LogPosition) -> LogPosition? {
        var cut: LogPosition?
        while let next = marks[1] {
            let isBeyond = size - next.size >= keptBytes || time - next.time >= keptAge
            let isUnread = next.place > slowest && size - next.size < keptBytes * Self.patience
            guard isBeyond, !isUnread else { break }
            cut = next.place
            _ = marks.popFirst()
        }
        return cut
    }
}
