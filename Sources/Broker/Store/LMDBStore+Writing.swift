internal import Glibc

extension LMDBStore {
    private static let attempts = 8

    package func apply(_ entries: [StoreEntry], reserving seq: UInt64?, now: Int64) throws(StorageError) {
        try apply(entries, reserving: seq, reaching: nil, now: now)
    }

    func apply(
        _ entries: [StoreEntry], reserving seq: UInt64?, reaching mark: OrderMark?, now: Int64
    ) throws(StorageError) {
        for attempt in 1... {
            do throws(StorageError) {
                readers.count(written: entries.reduce(0) { $0 + $1.message.payload.count })
                return try write { (write, state) throws(StorageError) in
                    if let seq { state.reservedSeq = max(state.reservedSeq, seq) }
                    for entry in entries where entry.message.isRetained && !entry.message.isEphemeral {
                        try self.apply(entry.message, write, &state)
                    }
                    try self.keep(entries, now: now, write, &state)
                    try self.keepKeys(of: entries, write)
                    if let mark { try self.reach(mark, entries, write, &state) }
                }
            } catch {
                // Expired values must not keep new ones out.
                guard mark == nil, attempt < Self.attempts, error.isLackOfRoom, try makeRoom(at: now) > 0 else {
                    throw error
                }
            }
        }
    }

    private func apply(
        _ message: Message, _ write: borrowing LMDBWrite, _ state: inout StoreState
    ) throws(StorageError) {
        let key = RetainedKey(message.topic).bytes
        let found = try write.value(of: key, in: retained) { bytes throws(StorageError) in
            try self.record(of: message.topic, key.span, bytes)
        }
        let oldLength = (found ?? nil)?.payloadLength ?? 0
        guard !message.payload.isEmpty else {
            guard found != nil else { return }
            try write.remove(key, in: retained)
            try forget(found ?? nil, key, write, &state)
            return
        }
        guard let record = RetainedRecord.bytes(of: message, isKeyHashed: RetainedKey.isHashed(key.span)) else {
            throw .system(code: EFBIG, what: "cannot store more than 4 GiB under one topic")
        }
        try limits.check(
            messages: write.size(of: retained).entries &+ 1,
            payloadBytes: state.payloadBytes &- oldLength &+ message.payload.count,
            addingMessage: found == nil, addingBytes: message.payload.count &- oldLength)
        try checkRoom(for: record.count, write)
        try forget(found ?? nil, key, write, &state)
        try write.set(record, for: key, in: retained)
        if message.expiry != 0 { try write.set([], for: expiryKey(message.expiry, key), in: expiry) }
        state.payloadBytes &+= message.payload.count
    }

    func forget(
        _ record: RetainedRecord?, _ key: [UInt8], _ write: borrowing LMDBWrite, _ state: inout StoreState
    ) throws(StorageError) {
        guard let record else { return }
        state.payloadBytes = max(0, state.payloadBytes &- record.payloadLength)
        if record.expiry != 0 { try write.remove(expiryKey(record.expiry, key), in: expiry) }
    }

    /// The record of `topic`; `nil` if it cannot be read.
    private func record(
        of topic: Topic, _ key: Span<UInt8>, _ bytes: Span<UInt8>
    ) throws(StorageError) -> RetainedRecord? {
        guard let record = RetainedRecord(bytes) else { return nil }
        guard !RetainedKey.isHashed(key) || record.topic(key: key, record: bytes) == topic else {
            throw .system(code: EEXIST, what: "another topic has the same hash")
        }
        return record
    }

    /// Refuses a write that would leave too few pages to work with.
    ///
    /// Removing a value takes new pages before it frees old ones, and old ones can be used only two transactions
    /// later: without reserved pages a full store could not be emptied.
    func checkRoom(for length: Int, _ write: borrowing LMDBWrite) throws(StorageError) {
        let maximum = try readers.mapSize()
        let keptBack = min(max(maximum / 8, 256 << 10), 16 << 20)
        guard
            try usedBytes({ (database) throws(StorageError) in try write.size(of: database).bytes }) &+ length
                <= maximum &- keptBack
        else { throw .full }
    }

    /// The size of all databases together, given that of each.
    func usedBytes(_ size: (LMDBDatabase) throws(StorageError) -> Int) throws(StorageError) -> Int {
        var sum = 0
        for database in [.freePages, .main, meta, retained, expiry, publishKeys] + history.all {
            sum &+= try size(database)
        }
        return sum
    }

    private func expiryKey(_ expiry: Int64, _ key: [UInt8]) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: expiry >> $0) } + key
    }
}

extension StorageError {
    fileprivate var isLackOfRoom: Bool {
        switch self {
        case .full, .limit: true
        case .busy, .damaged, .inUse, .newer, .system: false
        }
    }
}
