internal import Glibc
internal import Synchronization

extension LMDBStore {
    /// The maximum numbers that one call of ``maintain(now:)`` checks and removes.
    private static let topicsPerPiece = 64
    private static let trimsPerPiece = 1024

    /// The state of the history between transactions.
    struct HistoryWork: Sendable {
        var rules = HistoryRules()
        /// Messages that could not be stored since the last commit.
        var lost: HistoryHole?
        /// The first topic's key that was not brought within new rules yet; `nil` if all were.
        var sweep: [UInt8]?
    }

    package func adopt(_ rules: HistoryRules, from seq: UInt64) throws(StorageError) {
        try write { (_, state) throws(StorageError) in state.history.adopt(rules, from: seq) }
        work.withLock { work in
            work.rules = rules
            work.sweep = []
        }
    }

    package func lose(_ seq: UInt64) {
        work.withLock { work in
            work.lost = HistoryHole(low: work.lost?.low ?? seq - 1, high: max(work.lost?.high ?? 0, seq))
        }
    }

    package func seal(upTo seq: UInt64?) throws(StorageError) {
        try write { (_, state) throws(StorageError) in
            state.reservedSeq = min(state.reservedSeq, seq ?? .max)
            state.history.completeUpTo = complete(upTo: state.reservedSeq)
        }
    }

    /// Stores those messages of a batch that a rule selects.
    func keep(
        _ entries: [StoreEntry], now: Int64, _ write: borrowing LMDBWrite, _ state: inout StoreState
    ) throws(StorageError) {
        guard entries.contains(where: { $0.rule != nil }) else { return }
        var change = HistoryChange(history, state.history)
        for entry in entries {
            guard let rule = entry.rule else { continue }
            let message = entry.message
            guard let record = HistoryRecord.bytes(of: message) else {
                throw .system(code: EFBIG, what: "cannot store more than 4 GiB in one message")
            }
            try checkRoom(for: record.count, write)
            try change.append(message, record, under: rule, now: now, write)
            change.summary.completeUpTo = complete(upTo: max(change.summary.completeUpTo, message.seq))
        }
        try change.finish(write)
        state.history = change.summary
    }

    package func maintain(now: Int64) throws(StorageError) -> Bool {
        readers.takeViewsBack()
        guard try isMaintenanceDue(now) else { return false }
        var isMore = false
        try write { (write, state) throws(StorageError) in
            isMore = try self.forgetKeys(at: now, write)
            var change = HistoryChange(history, state.history)
            var budget = Self.trimsPerPiece
            let rules = work.withLock { $0.rules }
            if try trimDue(rules, now, &budget, &change, write) { isMore = true }
            if try sweep(rules, now, &budget, &change, write) { isMore = true }
            try change.finish(write)
            state.history = change.summary
        }
        return isMore
    }

    private func isMaintenanceDue(_ now: Int64) throws(StorageError) -> Bool {
        if work.withLock({ $0.sweep != nil || $0.lost != nil }) { return true }
        do throws(StorageError) {
            return try read { (reader) throws(StorageError) in
                let cursor = try reader.cursor(over: history.schedule)
                if let first = try cursor.copy(from: []), first.key.count >= 8,
                    Int64(bitPattern: first.key.span.bigEndian(at: 0)) <= now
                {
                    return true
                }
                let keys = try reader.cursor(over: publishKeys)
                guard let first = try keys.copy(from: []) else { return false }
                let key = StoredKey(key: first.key.span, value: first.value.span)
                return key.map { $0.time <= now - keyWindow.load(ordering: .relaxed) } ?? true
            }
        } catch {
            // A write opens the file again, so that readers need not wait for the next publication.
            guard error.isBusy || error.isClosed else { throw error }
            return true
        }
    }

    /// Checks the topics whose oldest message may be too old; returns whether there are more.
    private func trimDue(
        _ rules: HistoryRules, _ now: Int64, _ budget: inout Int, _ change: inout HistoryChange,
        _ write: borrowing LMDBWrite
    ) throws(StorageError) -> Bool {
        var due: [(key: [UInt8], value: [UInt8])] = []
        var start: [UInt8] = []
        while due.count < Self.topicsPerPiece {
            let cursor = try write.cursor(over: history.schedule)
            guard let entry = try cursor.copy(from: start), entry.key.count == 16,
                Int64(bitPattern: entry.key.span.bigEndian(at: 0)) <= now
            else { break }
            due.append(entry)
            start = entry.key + [0]
        }
        var isDone = due.count < Self.topicsPerPiece
        for entry in due {
            let found = try topic(at: entry.value, write)
            guard let found, found.scheduleKey == entry.key else {
                try write.remove(entry.key, in: history.schedule)
                continue
            }
            let rule = rules.rule(for: found.topic)
            if try !change.trim(entry.value, found.topic, to: rule, now: now, budget: &budget, write) {
                isDone = false
                break
            }
        }
        return !isDone
    }

    /// Brings some more topics within new rules; returns whether there are more.
    private func sweep(
        _ rules: HistoryRules, _ now: Int64, _ budget: inout Int, _ change: inout HistoryChange,
        _ write: borrowing LMDBWrite
    ) throws(StorageError) -> Bool {
        guard var position = work.withLock({ $0.sweep }) else { return false }
        for _ in 0..<Self.topicsPerPiece {
            let entry: (key: [UInt8], value: [UInt8])?
            do {
                let cursor = try write.cursor(over: history.topics)
                entry = try cursor.copy(from: position)
            }
            guard let entry else {
                work.withLock { $0.sweep = nil }
                return false
            }
            if let found = HistoryTopic(entry.value.span) {
                let rule = rules.rule(for: found.topic)
                if try change.isDue(found, under: rule, now: now, write),
                    try !change.trim(entry.key, found.topic, to: rule, now: now, budget: &budget, write)
                {
                    break
                }
            }
            position = entry.key + [0]
        }
        let next = position
        work.withLock { $0.sweep = next }
        return true
    }

    private func topic(at key: [UInt8], _ write: borrowing LMDBWrite) throws(StorageError) -> HistoryTopic? {
        let found = try write.value(of: key, in: history.topics) { bytes throws(StorageError) in HistoryTopic(bytes) }
        return found ?? nil
    }
}
