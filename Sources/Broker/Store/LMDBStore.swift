internal import Synchronization
internal import Glibc

// Databases: `meta` holds one record (StoreState.swift); `retained` the values (RetainedKey.swift,
// RetainedRecord.swift); `expiry` has a key without value for each value that will expire: the time (8 bytes,
// big-endian) and the key in `retained`. Each write removes a few that have expired, so they go away at the pace at
// which new ones can come; the rest goes when there is nothing else to do. HistoryRecord.swift describes the history's.

/// The retained values and the history in an LMDB file, `broker.mdb` in the data directory.
package final class LMDBStore: RetainedStore {
    /// The file's name in the data directory.
    package static let fileName = "broker.mdb"
    /// Nothing works in less, in bytes.
    package static let smallestMaximumSize = 1 << 20

    /// Why the file that was there before was moved aside; `nil`: it was not.
    package let damage: String?
    package let epoch: UInt64

    let environment: LMDBEnvironment
    let retained: LMDBDatabase
    let expiry: LMDBDatabase
    let damagedRecords = Atomic<Int>(0)
    let meta: LMDBDatabase
    let history: HistoryDatabases
    let work = Mutex(HistoryWork())
    private let limits: RetainedLimits
    private let reserved: Atomic<UInt64>
    /// What is committed; whoever writes holds it.
    private let state: Mutex<StoreState>
    private let idleReaders = Mutex<[LMDBReader]>([])
    /// Held last: the lock outlives the file's use.
    private let directory: DataDirectory

    private static let maximumIdleReaders = 16
    static let expiredPerWrite = 64
    private static let attempts = 8

    /// Opens the store in a directory, making what is not there.
    ///
    /// A damaged file is moved aside and a new one made.
    ///
    /// - Parameters:
    ///   - maximumSize: what the file may grow to, in bytes; at least ``smallestMaximumSize`` is taken.
    /// - Returns: the store and, where the file was damaged, the path it now has; ``damage`` says what was found.
    /// - Throws: ``StorageError/inUse(_:)`` where another process has the directory,
    /// ``StorageError/system(code:what:)`` naming
    ///   the path where the system refuses.
    package static func open(
        directory path: String, maximumSize: Int, limits: RetainedLimits = RetainedLimits()
    ) throws(StorageError) -> (store: LMDBStore, movedAside: String?) {
        let directory = try DataDirectory(path)
        let mapSize = min(max(maximumSize, smallestMaximumSize), 1 << 44) & ~0xFFFF
        do throws(StorageError) {
            return (try LMDBStore(directory, mapSize: mapSize, limits: limits, damage: nil), nil)
        } catch .damaged(let damage) {
            let aside = try directory.moveAside(fileName, time: time(nil))
            try directory.remove("\(fileName)-lock")
            return (try LMDBStore(directory, mapSize: mapSize, limits: limits, damage: damage), aside)
        } catch {
            throw error
        }
    }

    private init(
        _ directory: DataDirectory, mapSize: Int, limits: RetainedLimits, damage: String?
    ) throws(StorageError) {
        let path = "\(directory.path)/\(Self.fileName)"
        try LMDBFileCheck.check(path)
        environment = try LMDBEnvironment(path: path, mapSize: mapSize)
        let write = try LMDBWrite(environment)
        let isNew = try write.size(of: .main).entries == 0
        meta = try write.database(named: "meta")
        retained = try write.database(named: "retained")
        expiry = try write.database(named: "expiry")
        history = try HistoryDatabases(write)
        var state: StoreState
        if isNew {
            state = .new()
            // Numbers never fall, and those of a damaged store are not known: those of the time are above them, unless it
            // gave out more than a million a second. JSON reads them exactly until 2242.
            if damage != nil { state.reservedSeq = UInt64(max(time(nil), 0)) << 20 }
            try write.set(state.bytes, for: StoreState.key, in: meta)
        } else {
            let found = try write.value(of: StoreState.key, in: meta) { bytes throws(StorageError) in StoreState(bytes)
            }
            guard let found = found ?? nil else { throw .damaged("its own record is not there, or of another format") }
            state = found
            try Self.readHistory(of: &state, in: meta, write)
        }
        try write.commit()
        // The file's name has to last as well as what is in it.
        try directory.sync()
        self.state = Mutex(state)
        epoch = state.epoch
        reserved = Atomic(state.reservedSeq)
        self.limits = limits
        self.damage = damage
        self.directory = directory
    }

    /// What was numbered after the last commit, and not kept, is not known after a crash.
    private static func readHistory(
        of state: inout StoreState, in meta: LMDBDatabase, _ write: borrowing LMDBWrite
    ) throws(StorageError) {
        let found = try write.value(of: HistorySummary.key, in: meta) { bytes throws(StorageError) in
            HistorySummary(bytes)
        }
        guard let found else { return }
        guard let history = found else { throw .damaged("the record of the history") }
        state.history = history
        guard !history.coverages.isEmpty, history.completeUpTo < state.reservedSeq else { return }
        state.history.add(HistoryHole(low: history.completeUpTo, high: state.reservedSeq))
        state.history.completeUpTo = state.reservedSeq
        try write.set(state.history.bytes, for: HistorySummary.key, in: meta)
    }

    package var reservedSeq: UInt64 { reserved.load(ordering: .acquiring) }

    package func reserve(seqsUpTo seq: UInt64) throws(StorageError) {
        guard seq > reservedSeq else { return }
        try write { (_, state) throws(StorageError) in state.reservedSeq = max(state.reservedSeq, seq) }
    }

    package func probe() throws(StorageError) {
        try write { (_, state) throws(StorageError) in state.probes &+= 1 }
    }

    package func apply(_ messages: [Message], reserving seq: UInt64?) throws(StorageError) {
        let now = messages.lazy.map(\.time).max()
        for attempt in 1... {
            do throws(StorageError) {
                return try write { (write, state) throws(StorageError) in
                    if let seq { state.reservedSeq = max(state.reservedSeq, seq) }
                    if let now { _ = try self.removeExpired(at: now, write, &state) }
                    for message in messages where message.isRetained { try self.apply(message, write, &state) }
                    try self.keep(messages, write, &state)
                }
            } catch {
                // What has expired must not be what keeps new values out.
                guard let now, attempt < Self.attempts, error.isLackOfRoom, try removeExpired(at: now) > 0 else {
                    throw error
                }
            }
        }
    }

    private func removeExpired(at now: Int64) throws(StorageError) -> Int {
        var removed = 0
        try write { (write, state) throws(StorageError) in
            removed = try self.removeExpired(at: now, write, &state)
        }
        return removed
    }

    // MARK: Writing

    func write(
        _ body: (borrowing LMDBWrite, inout StoreState) throws(StorageError) -> Void
    ) throws(StorageError) {
        try state.withLock { (committed) throws(StorageError) in
            let write = try LMDBWrite(environment)
            var state = committed
            let lost = work.withLock { $0.lost }
            if let lost { state.history.add(lost) }
            try body(write, &state)
            if state != committed { try write.set(state.bytes, for: StoreState.key, in: meta) }
            if state.history != committed.history {
                try write.set(state.history.bytes, for: HistorySummary.key, in: meta)
            }
            try write.commit()
            committed = state
            work.withLock { if $0.lost == lost { $0.lost = nil } }
            reserved.store(state.reservedSeq, ordering: .releasing)
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

    private func forget(
        _ record: RetainedRecord?, _ key: [UInt8], _ write: borrowing LMDBWrite, _ state: inout StoreState
    ) throws(StorageError) {
        guard let record else { return }
        state.payloadBytes = max(0, state.payloadBytes &- record.payloadLength)
        if record.expiry != 0 { try write.remove(expiryKey(record.expiry, key), in: expiry) }
    }

    /// Removes some of the values that have expired, and says how many.
    func removeExpired(
        at now: Int64, _ write: borrowing LMDBWrite, _ state: inout StoreState
    ) throws(StorageError) -> Int {
        for removed in 0..<Self.expiredPerWrite {
            guard let entry = try write.firstKey(in: expiry) else { return removed }
            guard entry.count > 8 else {
                try write.remove(entry, in: expiry)
                continue
            }
            let time = Int64(bitPattern: entry[..<8].reduce(0) { $0 << 8 | UInt64($1) })
            guard time <= now else { return removed }
            let key = Array(entry[8...])
            let found = try write.value(of: key, in: retained) { bytes throws(StorageError) in RetainedRecord(bytes) }
            try write.remove(entry, in: expiry)
            guard let record = found ?? nil, record.expiry == time else { continue }
            try write.remove(key, in: retained)
            try forget(record, key, write, &state)
        }
        return Self.expiredPerWrite
    }

    /// The record of `topic`, or `nil` when it cannot be read.
    private func record(
        of topic: Topic, _ key: Span<UInt8>, _ bytes: Span<UInt8>
    ) throws(StorageError) -> RetainedRecord? {
        guard let record = RetainedRecord(bytes) else { return nil }
        guard !RetainedKey.isHashed(key) || record.topic(key: key, record: bytes) == topic else {
            throw .system(code: EEXIST, what: "another topic has the same hash")
        }
        return record
    }

    /// Refuses what would leave too few pages to work with.
    ///
    /// Removing a value takes new pages before it frees old ones, and old ones can be used only two transactions
    /// later: without pages kept back, a store that is full could not be emptied.
    func checkRoom(for length: Int, _ write: borrowing LMDBWrite) throws(StorageError) {
        let maximum = environment.mapSize
        let keptBack = min(max(maximum / 8, 256 << 10), 16 << 20)
        guard
            try usedBytes({ (database) throws(StorageError) in try write.size(of: database).bytes }) &+ length
                <= maximum &- keptBack
        else { throw .full }
    }

    /// What all databases take together, given what each takes.
    func usedBytes(_ size: (LMDBDatabase) throws(StorageError) -> Int) throws(StorageError) -> Int {
        var sum = 0
        for database in [.freePages, .main, meta, retained, expiry] + history.all { sum &+= try size(database) }
        return sum
    }

    private func expiryKey(_ expiry: Int64, _ key: [UInt8]) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: expiry >> $0) } + key
    }

    // MARK: Readers

    /// Runs `body` with a snapshot of what is committed.
    func read<Result>(_ body: (LMDBReader) throws(StorageError) -> Result) throws(StorageError) -> Result {
        let reader = try takeReader()
        defer { giveBack(reader) }
        return try body(reader)
    }

    /// A reader of what is committed now, to be given back.
    func takeReader() throws(StorageError) -> LMDBReader {
        guard let idle = idleReaders.withLock({ $0.popLast() }) else {
            return try LMDBReader(environment, cursorOver: retained)
        }
        try idle.renew()
        return idle
    }

    func giveBack(_ reader: LMDBReader) {
        reader.reset()
        idleReaders.withLock { if $0.count < Self.maximumIdleReaders { $0.append(reader) } }
    }
}

extension StorageError {
    fileprivate var isLackOfRoom: Bool {
        switch self {
        case .full, .limit: true
        case .damaged, .inUse, .system: false
        }
    }
}
