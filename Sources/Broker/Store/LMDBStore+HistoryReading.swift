internal import Synchronization

extension LMDBStore {
    package func readHistory<Result>(
        _ body: (any HistoryView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        // Before the transaction begins, so that a loss is in one or the other.
        let lost = work.withLock { $0.lost }
        return try read { (reader) throws(StorageError) in
            let found = try reader.value(of: HistorySummary.key, in: meta) { bytes throws(StorageError) in
                HistorySummary(bytes)
            }
            var summary = found.flatMap { $0 } ?? HistorySummary()
            if let lost { summary.add(lost) }
            return try body(LMDBHistoryView(store: self, reader: reader, summary: summary))
        }
    }
}

/// The history as seen by one read transaction.
private struct LMDBHistoryView: HistoryView {
    let store: LMDBStore
    let reader: LMDBReader
    let summary: HistorySummary

    func holds(_ seq: UInt64) throws(StorageError) -> Bool {
        try reader.value(of: [UInt8](key: seq), in: store.history.log) { _ throws(StorageError) in true } ?? false
    }

    private func topic(_ topic: Topic) throws(StorageError) -> HistoryTopic? {
        let key = RetainedKey(topic).bytes
        let found = try reader.value(of: key, in: store.history.topics) { bytes throws(StorageError) in
            HistoryTopic(bytes)
        }
        guard let found, let found, found.topic == topic else { return nil }
        return found
    }

    func trim(of topic: Topic) throws(StorageError) -> HistoryTrim? { try self.topic(topic)?.trim }

    func trims(
        after seq: UInt64, visiting maximum: Int, _ body: (Topic, HistoryTrim) -> Void
    ) throws(StorageError) -> Bool {
        let cursor = try reader.cursor(over: store.history.trims)
        var entry = unsafe try cursor.seek([UInt8](key: seq + 1))
        var visited = 0
        while let current = unsafe entry {
            guard visited < maximum else { return false }
            visited += 1
            let name = unsafe [UInt8](current.value)
            if let topic = storedTopic(name), let trim = try trim(of: topic) { body(topic, trim) }
            unsafe entry = try cursor.next()
        }
        return true
    }

    func messages(
        of topic: Topic, after seq: UInt64, upTo limit: UInt64, visiting maximum: Int, now: Int64,
        _ body: (Message) -> Bool
    ) throws(StorageError) -> HistoryEnd {
        guard let known = try self.topic(topic) else { return .finished }
        let cursor = try reader.cursor(over: store.history.index)
        var entry = unsafe try cursor.seek(known.indexKey(seq + 1))
        var visited = 0
        var last = seq
        while let current = unsafe entry {
            let key = unsafe Span(_unsafeElements: current.key)
            guard key.count == 16, key.bigEndian(at: 0) == known.id, key.bigEndian(at: 8) <= limit else { break }
            guard visited < max(maximum, 1) else { return .stopped(after: last) }
            visited += 1
            last = key.bigEndian(at: 8)
            let found = try reader.value(of: [UInt8](key: last), in: store.history.log) {
                bytes throws(StorageError) in self.message(bytes, now: now, where: { $0 == topic })
            }
            if let found, let message = found, !body(message) { return .stopped(after: last) }
            unsafe entry = try cursor.next()
        }
        return .finished
    }

    func messages(
        where isWanted: (Topic) -> Bool, after seq: UInt64, upTo limit: UInt64, visiting maximum: Int, now: Int64,
        _ body: (Message) -> Bool
    ) throws(StorageError) -> HistoryEnd {
        let cursor = try reader.cursor(over: store.history.log)
        var entry = unsafe try cursor.seek([UInt8](key: seq + 1))
        var visited = 0
        var last = seq
        while let current = unsafe entry {
            let key = unsafe Span(_unsafeElements: current.key)
            guard key.count == 8, key.bigEndian(at: 0) <= limit else { break }
            guard visited < max(maximum, 1) else { return .stopped(after: last) }
            visited += 1
            last = key.bigEndian(at: 0)
            let value = unsafe Span(_unsafeElements: current.value)
            if let message = message(value, now: now, where: isWanted), !body(message) { return .stopped(after: last) }
            unsafe entry = try cursor.next()
        }
        return .finished
    }

    /// The message, if it is wanted and has not expired.
    private func message(_ bytes: Span<UInt8>, now: Int64, where isWanted: (Topic) -> Bool) -> Message? {
        guard let record = HistoryRecord(bytes), let topic = record.topic(record: bytes) else {
            store.damagedRecords.add(1, ordering: .relaxed)
            return nil
        }
        guard !record.isExpired(at: now), isWanted(topic) else { return nil }
        return record.message(topic: topic, record: bytes)
    }
}
