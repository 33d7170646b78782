internal import Glibc

/// The databases of the history.
struct HistoryDatabases: Sendable, Equatable {
    let log: LMDBDatabase
    let index: LMDBDatabase
    let topics: LMDBDatabase
    let trims: LMDBDatabase
    let schedule: LMDBDatabase

    init(_ write: borrowing LMDBWrite) throws(StorageError) {
        log = try write.database(named: "history")
        index = try write.database(named: "history-index")
        topics = try write.database(named: "history-topics")
        trims = try write.database(named: "history-trims")
        schedule = try write.database(named: "history-schedule")
    }

    var all: [LMDBDatabase] { [log, index, topics, trims, schedule] }
}

/// The changes of one transaction in the history.
///
/// A topic's record is read and written once in a transaction, however many of its messages change.
struct HistoryChange {
    private struct Touched {
        let before: HistoryTopic?
        var now: HistoryTopic
        var rule: HistoryRule?
    }

    private let databases: HistoryDatabases
    private var touched: [[UInt8]: Touched] = [:]
    var summary: HistorySummary

    /// The maximum number of messages that one message removes; after a limit was lowered, ``LMDBStore/maintain(now:)``
    /// removes the rest.
    private static let trimsPerMessage = 8
    /// The minimum time between two checks of a topic's age, in milliseconds.
    private static let pace: Int64 = 1000

    init(_ databases: HistoryDatabases, _ summary: HistorySummary) {
        self.databases = databases
        self.summary = summary
    }

    /// Stores a message, whose record is `record`.
    ///
    /// - Parameter now: the time from which its age is counted; the message's own time is the system clock's, which may
    ///   jump.
    mutating func append(
        _ message: Message, _ record: [UInt8], under rule: HistoryRule, now: Int64, _ write: borrowing LMDBWrite
    ) throws(StorageError) {
        let key = RetainedKey(message.topic).bytes
        var change =
            try load(key, message.topic, write)
            ?? Touched(before: nil, now: HistoryTopic(id: message.seq, topic: message.topic))
        change.rule = rule
        var place: [UInt8] = []
        place.appendLittleEndian(UInt64(bitPattern: now))
        place.appendLittleEndian(UInt64(message.payload.count))
        try write.set(record, for: [UInt8](key: message.seq), in: databases.log)
        try write.set(place, for: change.now.indexKey(message.seq), in: databases.index)
        change.now.messages += 1
        change.now.payloadBytes += message.payload.count
        summary.messages += 1
        summary.payloadBytes += message.payload.count
        var budget = Self.trimsPerMessage
        // Age is checked when it is due; adding a message needs no read for it.
        while budget > 0,
            rule.isOver(
                messages: change.now.messages, bytes: change.now.payloadBytes, oldest: .max, now: now)
        {
            guard try removeOldest(&change.now, write) else { break }
            budget -= 1
        }
        touched[key] = change
    }

    /// Brings a topic within a rule's limits; a `rule` of `nil` removes everything.
    ///
    /// - Parameter budget: the maximum number of messages to remove; reduced by the number that was removed.
    /// - Returns: whether the topic is within the limits now.
    mutating func trim(
        _ key: [UInt8], _ topic: Topic, to rule: HistoryRule?, now: Int64, budget: inout Int,
        _ write: borrowing LMDBWrite
    ) throws(StorageError) -> Bool {
        guard var change = try load(key, topic, write) else { return true }
        change.rule = rule
        defer { touched[key] = change }
        while change.now.messages > 0 {
            guard let oldest = try oldest(of: change.now, write) else {
                // The index contradicts the record, which is corrected.
                change.now.messages = 0
                break
            }
            let isOver = rule.map { rule in
                rule.isOver(
                    messages: change.now.messages, bytes: change.now.payloadBytes, oldest: oldest.time, now: now)
            }
            guard isOver ?? true else {
                if let end = rule?.end(of: oldest.time) {
                    change.now.scheduled = max(end, now + Self.pace)
                } else {
                    change.now.scheduled = 0
                }
                return true
            }
            guard budget > 0 else {
                change.now.scheduled = now
                return false
            }
            guard try removeOldest(&change.now, write) else { break }
            budget -= 1
        }
        return true
    }

    /// Whether a topic exceeds `rule`, or must be checked for its age at another time than scheduled.
    func isDue(_ topic: HistoryTopic, under rule: HistoryRule?, now: Int64, _ write: borrowing LMDBWrite)
        throws(StorageError) -> Bool
    {
        guard let rule else { return true }
        guard let oldest = try oldest(of: topic, write) else { return true }
        if rule.isOver(messages: topic.messages, bytes: topic.payloadBytes, oldest: oldest.time, now: now) {
            return true
        }
        guard let end = rule.end(of: oldest.time) else { return topic.scheduled != 0 }
        return topic.scheduled == 0 || topic.scheduled > end + Self.pace
    }

    /// Writes the topics' records.
    mutating func finish(_ write: borrowing LMDBWrite) throws(StorageError) {
        for (key, change) in touched {
            var now = change.now
            let before = change.before
            if now.messages == 0 {
                now.scheduled = 0
            } else if now.scheduled == 0, let rule = change.rule, rule.maximumAge != nil,
                let oldest = try oldest(of: now, write), let end = rule.end(of: oldest.time)
            {
                now.scheduled = end
            }
            if let before, before.scheduled != 0, before.scheduled != now.scheduled || now.messages == 0 {
                try write.remove(before.scheduleKey, in: databases.schedule)
            }
            if let before, before.trimmedUpTo != 0, before.trimmedUpTo != now.trimmedUpTo || now.messages == 0 {
                try write.remove([UInt8](key: before.trimmedUpTo), in: databases.trims)
            }
            guard now.messages > 0 else {
                if before != nil { try write.remove(key, in: databases.topics) }
                summary.forget(now.topic, upTo: now.trimmedUpTo)
                continue
            }
            if now.scheduled != 0, now.scheduled != before?.scheduled ?? 0 {
                try write.set(key, for: now.scheduleKey, in: databases.schedule)
            }
            if now.trimmedUpTo != 0, now.trimmedUpTo != before?.trimmedUpTo ?? 0 {
                try write.set(
                    Array(now.topic.name.utf8), for: [UInt8](key: now.trimmedUpTo), in: databases.trims)
            }
            if now != before { try write.set(now.bytes, for: key, in: databases.topics) }
        }
        touched = [:]
    }

    private func load(
        _ key: [UInt8], _ topic: Topic, _ write: borrowing LMDBWrite
    ) throws(StorageError) -> Touched? {
        if let known = touched[key] {
            guard known.now.topic == topic else {
                throw .system(code: EEXIST, what: "another topic has the same hash")
            }
            return known
        }
        let found = try write.value(of: key, in: databases.topics) { bytes throws(StorageError) in
            HistoryTopic(bytes)
        }
        guard let found else { return nil }
        guard let found else { throw .damaged("the summary of the history of \(topic)") }
        guard found.topic == topic else { throw .system(code: EEXIST, what: "another topic has the same hash") }
        return Touched(before: found, now: found)
    }

    private func oldest(
        of topic: HistoryTopic, _ write: borrowing LMDBWrite
    ) throws(StorageError) -> (seq: UInt64, time: Int64, length: Int)? {
        let cursor = try write.cursor(over: databases.index)
        guard let entry = try cursor.copy(from: topic.indexKey(0)), entry.key.count == 16, entry.value.count == 16,
            entry.key.span.bigEndian(at: 0) == topic.id
        else { return nil }
        let value = entry.value.span
        return (
            entry.key.span.bigEndian(at: 8), Int64(bitPattern: value.littleEndian(UInt64.self, at: 0)),
            Int(clamping: value.littleEndian(UInt64.self, at: 8))
        )
    }

    /// Returns `false` if the topic has no message.
    private mutating func removeOldest(
        _ topic: inout HistoryTopic, _ write: borrowing LMDBWrite
    ) throws(StorageError) -> Bool {
        guard let oldest = try oldest(of: topic, write) else { return false }
        try write.remove(topic.indexKey(oldest.seq), in: databases.index)
        try write.remove([UInt8](key: oldest.seq), in: databases.log)
        topic.messages -= 1
        topic.payloadBytes = max(0, topic.payloadBytes - oldest.length)
        topic.trimmedUpTo = max(topic.trimmedUpTo, oldest.seq)
        topic.trimmed += 1
        summary.messages = max(0, summary.messages - 1)
        summary.payloadBytes = max(0, summary.payloadBytes - oldest.length)
        summary.trimmedUpTo = max(summary.trimmedUpTo, oldest.seq)
        summary.trims += 1
        return true
    }
}
