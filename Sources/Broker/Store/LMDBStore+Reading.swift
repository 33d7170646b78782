internal import Glibc
internal import Synchronization

extension LMDBStore {
    package func value(of topic: Topic, now: Int64) throws(StorageError) -> Message? {
        try read { (reader) throws(StorageError) in try value(of: topic, now: now, reader) }
    }

    private func value(of topic: Topic, now: Int64, _ reader: LMDBReader) throws(StorageError) -> Message? {
        let key = RetainedKey(topic).bytes
        let found = try reader.value(of: key, in: retained) { bytes throws(StorageError) -> Message? in
            guard let record = RetainedRecord(bytes) else { throw self.damagedRecord(topic) }
            if record.isExpired(at: now) { return nil }
            guard let storedTopic = record.topic(key: key.span, record: bytes) else {
                throw self.damagedRecord(topic)
            }
            guard storedTopic == topic else {
                throw .system(code: EEXIST, what: "another topic has the same hash")
            }
            guard let message = record.message(topic: topic, record: bytes) else { throw self.damagedRecord(topic) }
            return message
        }
        return found ?? nil
    }

    package func view() throws(StorageError) -> any RetainedView { LMDBView(self, try readers.takeForView()) }

    package func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd {
        try read { (reader) throws(StorageError) in
            try scan(filter, after: position, visiting: maximum, now: now, reader, body)
        }
    }

    /// Scans the values that `reader` sees.
    func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ reader: LMDBReader,
        _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd {
        if let topic = filter.literalTopic {
            if let position, !RetainedKey(position).bytes.lexicographicallyPrecedes(RetainedKey(topic).bytes) {
                return .finished
            }
            let message: Message?
            do throws(StorageError) {
                message = try value(of: topic, now: now, reader)
            } catch .damaged {
                return .finished
            } catch {
                throw error
            }
            guard let message, !body(message) else { return .finished }
            return .stopped(after: topic)
        }
        return try scan(reader, filter, after: position, visiting: max(maximum, 1), now: now, body)
    }

    private func scan(
        _ reader: LMDBReader, _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64,
        _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd {
        let plan = SkipScan(filter)
        var entry = unsafe try first(reader, from: plan.start, after: position)
        var visited = 0
        var last: LMDBEntry?
        while let current = unsafe entry {
            let key = unsafe Span(_unsafeElements: current.key)
            let value = unsafe Span(_unsafeElements: current.value)
            // A position needs a name; if a damaged record hides it, the scan continues until there is one.
            if visited >= maximum, let previous = unsafe last, let topic = unsafe topic(of: previous) {
                return .stopped(after: topic)
            }
            visited += 1
            var target: [UInt8]?
            let isHashed = RetainedKey.isHashed(key)
            switch isHashed ? .match : plan.step(at: key) {
            case .end: return .finished
            case .seek(let key): target = key
            case .match:
                guard let record = RetainedRecord(value), let topic = record.topic(key: key, record: value) else {
                    damagedRecords.add(1, ordering: .relaxed)
                    break
                }
                if record.isExpired(at: now) || isHashed && !filter.matches(topic) { break }
                guard let message = record.message(topic: topic, record: value) else {
                    damagedRecords.add(1, ordering: .relaxed)
                    break
                }
                if !body(message) { return .stopped(after: topic) }
            }
            unsafe last = current
            if let target { unsafe entry = try reader.seek(target) } else { unsafe entry = try reader.next() }
            guard unsafe entry.map({ unsafe memoryOrder(current.key, $0.key) < 0 }) ?? true else {
                throw .damaged("order of keys")
            }
        }
        return .finished
    }

    @unsafe private func first(
        _ reader: LMDBReader, from start: [UInt8], after position: Topic?
    ) throws(StorageError) -> LMDBEntry? {
        guard let position else { return unsafe try reader.seek(start) }
        let key = RetainedKey(position).bytes
        guard !key.lexicographicallyPrecedes(start) else { return unsafe try reader.seek(start) }
        let entry = unsafe try reader.seek(key)
        guard let found = unsafe entry, unsafe found.key.elementsEqual(key) else { return unsafe entry }
        return unsafe try reader.next()
    }

    private func topic(of entry: LMDBEntry) -> Topic? {
        let key = unsafe Span(_unsafeElements: entry.key)
        let value = unsafe Span(_unsafeElements: entry.value)
        guard RetainedKey.isHashed(key) else { return RetainedKey.plainTopic(key) }
        return RetainedRecord(value)?.topic(key: key, record: value)
    }

    private func damagedRecord(_ topic: Topic) -> StorageError {
        damagedRecords.add(1, ordering: .relaxed)
        return .damaged("the retained value of \(topic.name)")
    }

    package func statistics() throws(StorageError) -> StoreStatistics {
        try read { (reader) throws(StorageError) in
            let stored = try reader.value(of: StoreState.key, in: meta) { bytes throws(StorageError) in
                StoreState(bytes)
            }
            let history = try reader.value(of: HistorySummary.key, in: meta) { bytes throws(StorageError) in
                HistorySummary(bytes)
            }
            let views = readers.viewFigures
            return StoreStatistics(
                values: try reader.size(of: retained).entries, payloadBytes: (stored ?? nil)?.payloadBytes ?? 0,
                usedBytes: try usedBytes { (database) throws(StorageError) in try reader.size(of: database).bytes },
                maximumBytes: try readers.mapSize(), damagedRecords: damagedRecords.load(ordering: .relaxed),
                reopenings: reopeningCount, historyMessages: (history ?? nil)?.messages ?? 0,
                historyBytes: (history ?? nil)?.payloadBytes ?? 0, views: views.now, viewsTakenBack: views.takenBack,
                fileBytes: (try readers.environment().lastPage &+ 1) &* LMDBEnvironment.pageSize)
        }
    }
}

@unsafe private func memoryOrder(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Int {
    let common = min(left.count, right.count)
    if common > 0, let first = left.baseAddress, let second = right.baseAddress {
        let order = unsafe memcmp(first, second, common)
        if order != 0 { return Int(order) }
    }
    return left.count - right.count
}
