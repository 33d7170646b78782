internal import Synchronization

extension LMDBStore {
    package func readHistory<Result>(
        _ body: (any HistoryView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        // Read before the transaction begins, so that a loss is in one or the other.
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

    func message(_ seq: UInt64) throws(StorageError) -> Message? {
        let found = try reader.value(of: [UInt8](key: seq), in: store.history.log) { bytes throws(StorageError) in
            self.message(bytes, now: .min) { _ in true }
        }
        return found ?? nil
    }

    func newest(before time: Int64, upTo limit: UInt64) throws(StorageError) -> UInt64 {
        // Times rise with the numbers unless the clock was set back.
        var (low, high) = (UInt64(0), limit)
        while low < high {
            let middle = low + (high - low) / 2
            let cursor = try reader.cursor(over: store.history.log)
            let next = unsafe try cursor.seek([UInt8](key: middle + 1)).flatMap { entry -> (UInt64, Int64)? in
                let (key, value) = unsafe (Span(_unsafeElements: entry.key), Span(_unsafeElements: entry.value))
                guard key.count == 8, let record = HistoryRecord(value) else { return nil }
                return (key.bigEndian(at: 0), record.time)
            }
            if let next, next.0 <= limit, next.1 < time { low = next.0 } else { high = middle }
        }
        return low
    }

    func topics(
        matching filter: TopicFilter, after position: Topic?, visiting maximum: Int, _ body: (Topic) -> Bool
    ) throws(StorageError) -> ScanEnd {
        if let topic = filter.literalTopic {
            if position == nil, try self.topic(topic) != nil { _ = body(topic) }
            return .finished
        }
        let plan = SkipScan(filter)
        let cursor = try reader.cursor(over: store.history.topics)
        var target = position.map { RetainedKey($0).bytes + [0] } ?? plan.start
        var (visited, last): (Int, Topic?) = (0, position)
        while let entry = try cursor.copy(from: target) {
            if visited >= max(maximum, 1), let last { return .stopped(after: last) }
            visited += 1
            let topic = HistoryTopic(entry.value.span)?.topic
            last = topic ?? last
            target = entry.key + [0]
            switch RetainedKey.isHashed(entry.key.span) ? .match : plan.step(at: entry.key.span) {
            case .end: return .finished
            case .seek(let key): target = key
            case .match:
                guard let topic, filter.matches(topic) else { continue }
                if !body(topic) { return .stopped(after: topic) }
            }
        }
        return .finished
    }

    func last(
        _ count: Int, of topic: Topic, upTo limit: UInt64, _ body: (UInt64) -> Void
    ) throws(StorageError) {
        guard count > 0, let known = try self.topic(topic) else { return }
        let cursor = try reader.cursor(over: store.history.index)
        var entry = unsafe try cursor.seek(before: known.indexKey(limit + 1))
        var visited = 0
        while visited < count, let current = unsafe entry {
            let key = unsafe Span(_unsafeElements: current.key)
            guard key.count == 16, key.bigEndian(at: 0) == known.id else { return }
            body(key.bigEndian(at: 8))
            visited += 1
            unsafe entry = try cursor.previous()
        }
    }

    /// The message, if it is selected and has not expired.
    private func message(_ bytes: Span<UInt8>, now: Int64, where isWanted: (Topic) -> Bool) -> Message? {
        guard let record = HistoryRecord(bytes), let topic = record.topic(record: bytes) else {
            store.damagedRecords.add(1, ordering: .relaxed)
            return nil
        }
        guard !record.isExpired(at: now), isWanted(topic) else { return nil }
        return record.message(topic: topic, record: bytes)
    }
}
