internal import Synchronization

// The database `expiry` tells which value expires next. A value stays until the message that removes it has its place
// in the order, so that every client learns of it once; expired values are removed earlier only to make room for a new
// one.

extension LMDBStore {
    /// How many expired values one write removes to make room.
    static let expiredPerWrite = 64
    /// How many values may be removed before that is announced.
    private static let maximumGone = 16 * 1024

    /// The times at which values expire, between transactions.
    struct ExpiryWork: Sendable {
        /// When the first value expires, in Unix milliseconds; `.max` if none does.
        var next = Int64.max
        /// Values that were removed, and whose removal is not announced yet.
        var gone: [ExpiredValue] = []
    }

    package var nextExpiry: Int64 { expiryWork.withLock { $0.gone.isEmpty ? $0.next : .min } }

    /// When the first value expires, in Unix milliseconds; `.max` if none does.
    static func firstExpiry(
        in expiry: LMDBDatabase, _ write: borrowing LMDBWrite
    ) throws(StorageError) -> Int64 {
        guard let key = try write.firstKey(in: expiry) else { return .max }
        return time(of: key) ?? .min
    }

    /// The time in a key of `expiry`; `nil` if the key is malformed.
    private static func time(of key: [UInt8]) -> Int64? {
        key.count > 8 ? Int64(bitPattern: key.span.bigEndian(at: 0)) : nil
    }

    package func expired(by now: Int64, atMost maximum: Int) throws(StorageError) -> [ExpiredValue] {
        var (found, broken) = try read { (reader) throws(StorageError) in try expired(by: now, maximum, reader) }
        if !broken.isEmpty {
            try write { [broken] (write, _) throws(StorageError) in
                for key in broken { try write.remove(key, in: expiry) }
            }
        }
        expiryWork.withLock { work in
            found += work.gone
            work.gone = []
        }
        return found
    }

    /// The expired values, and the keys of `expiry` that belong to none.
    private func expired(
        by now: Int64, _ maximum: Int, _ reader: LMDBReader
    ) throws(StorageError) -> (values: [ExpiredValue], broken: [[UInt8]]) {
        var values: [ExpiredValue] = []
        var broken: [[UInt8]] = []
        let cursor = try reader.cursor(over: expiry)
        var start: [UInt8] = []
        while values.count + broken.count < maximum, let entry = try cursor.copy(from: start)?.key {
            start = entry + [0]
            guard let time = Self.time(of: entry) else {
                broken.append(entry)
                continue
            }
            guard time <= now else { break }
            let key = Array(entry[8...])
            let found = try reader.value(of: key, in: retained) { bytes throws(StorageError) in
                Self.expiredValue(key, bytes, time)
            }
            if let value = found ?? nil { values.append(value) } else { broken.append(entry) }
        }
        return (values, broken)
    }

    /// The value in a record if it expires at `time`, else `nil`, also for a record that cannot be read.
    private static func expiredValue(_ key: [UInt8], _ bytes: Span<UInt8>, _ time: Int64) -> ExpiredValue? {
        guard let record = RetainedRecord(bytes), record.expiry == time,
            let topic = record.topic(key: key.span, record: bytes)
        else { return nil }
        return ExpiredValue(topic: topic, seq: record.number(record: bytes))
    }

    /// Removes some expired values to make room, and returns how many.
    func makeRoom(at now: Int64) throws(StorageError) -> Int {
        guard expiryWork.withLock({ $0.gone.count < Self.maximumGone }) else { return 0 }
        var removed = 0
        var gone: [ExpiredValue] = []
        try write { (write, state) throws(StorageError) in
            (removed, gone) = (0, [])
            while removed < Self.expiredPerWrite, let entry = try write.firstKey(in: expiry) {
                let time = Self.time(of: entry)
                if let time, time > now { break }
                removed += 1
                try write.remove(entry, in: expiry)
                guard let time else { continue }
                let key = Array(entry[8...])
                let found = try write.value(of: key, in: retained) { bytes throws(StorageError) in
                    (RetainedRecord(bytes), Self.expiredValue(key, bytes, time))
                }
                guard let (record, value) = found, let record, record.expiry == time else { continue }
                try write.remove(key, in: retained)
                try forget(record, key, write, &state)
                if let value { gone.append(ExpiredValue(topic: value.topic, seq: value.seq, isGone: true)) }
            }
        }
        expiryWork.withLock { $0.gone += gone }
        return removed
    }
}
