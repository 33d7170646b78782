internal import WSTransport

/// The records of one broker that have not come back from the log, in order.
///
/// A record has a number once it is sent, and is the same whenever it is sent again. Turns that wait to be sent for the
/// first time share a record, because each record costs the engine and all brokers as much as many messages do. A value
/// without a lock.
struct OwnRecords: Sendable {
    /// The results of drafts that were refused at once; they follow those of earlier drafts.
    struct Refused: Sendable {
        let count: Int
        let refusal: Refusal
        let shard: Int
    }

    /// The drafts that one shard handed over together.
    struct Turn: Sendable {
        let shard: Int
        let count: Int
        /// When the turn that published them began; `nil` if not known.
        let began: MonotonicTime?
        var refused: [Refused] = []
    }

    struct Entry: Sendable {
        fileprivate(set) var record: UnsentRecord
        /// Whose drafts it has, in their order; at least one.
        fileprivate(set) var turns: [Turn]

        fileprivate mutating func refuse(_ refused: Refused) { turns[turns.count - 1].refused.append(refused) }
    }

    /// Those that have numbers: they were sent, perhaps in an earlier attempt.
    private var numbered = Fifo<Entry>()
    private var new = Fifo<Entry>()
    /// The number of the first of them.
    private(set) var first: UInt64 = 1
    /// How many of those with numbers were sent in this attempt.
    private var sent = 0
    /// Their size, in bytes.
    private(set) var size = 0

    /// How many there are.
    var count: Int { numbered.count + new.count }

    /// Adds what a shard handed over in one turn, or a canary.
    mutating func add(_ record: UnsentRecord, from shard: Int, at time: MonotonicTime) {
        new.append(Entry(record: record, turns: [Turn(shard: shard, count: record.count, began: time)]))
        size += record.size
    }

    /// Keeps the results of refused drafts until those of the earlier ones are known.
    ///
    /// - Returns: `false` if there are no earlier ones.
    mutating func refuse(_ refused: Refused) -> Bool {
        if !new.isEmpty {
            new.changeLast { $0.refuse(refused) }
        } else if !numbered.isEmpty {
            numbered.changeLast { $0.refuse(refused) }
        } else {
            return false
        }
        return true
    }

    /// The next record to send, with its number; `nil` if there is none, or as many are outstanding as may be.
    mutating func next(within limits: LogOrder.Limits) -> (number: UInt64, record: UnsentRecord)? {
        guard sent < limits.outstanding else { return nil }
        if sent == numbered.count, let entry = takeNew(within: limits) { numbered.append(entry) }
        guard let record = numbered[sent]?.record else { return nil }
        sent += 1
        return (first + UInt64(sent - 1), record)
    }

    /// Takes the oldest turns that were never sent, as many as one record may have.
    private mutating func takeNew(within limits: LogOrder.Limits) -> Entry? {
        guard var entry = new.popFirst() else { return nil }
        var (records, count, size) = ([entry.record], entry.record.count, entry.record.size)
        // A canary has its own record.
        while count > 0, let other = new.first, other.record.count > 0, other.record.format == entry.record.format,
            count + other.record.count <= limits.recordCount, size + other.record.size <= limits.recordSize
        {
            _ = new.popFirst()
            (count, size) = (count + other.record.count, size + other.record.size)
            records.append(other.record)
            entry.turns += other.turns
        }
        guard records.count > 1 else { return entry }
        entry.record = UnsentRecord(joining: records, in: entry.record.format)
        self.size += entry.record.size - size
        return entry
    }

    /// Has all be sent again.
    mutating func sendAgain() { sent = 0 }

    /// Has all from a number on be sent again.
    mutating func sendAgain(from number: UInt64) { sent = min(Int(number - first), numbered.count) }

    /// Removes the oldest record, which has come back; `nil` if that has another number.
    mutating func take(_ number: UInt64) -> Entry? {
        guard number == first, let entry = numbered.popFirst() else { return nil }
        first += 1
        sent = max(0, sent - 1)
        size -= entry.record.size
        return entry
    }

    /// Removes all; the numbers begin again.
    mutating func removeAll() -> [Entry] {
        var all: [Entry] = []
        while let entry = numbered.popFirst() ?? new.popFirst() { all.append(entry) }
        self = OwnRecords()
        return all
    }
}
