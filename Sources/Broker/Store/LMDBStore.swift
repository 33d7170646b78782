internal import Synchronization
internal import WSTransport
internal import Glibc

// Databases: `meta` holds one record (StoreState.swift); `retained` the values (RetainedKey.swift,
// RetainedRecord.swift); `expiry` has a key without value for each value that will expire: the time (8 bytes,
// big-endian) and the key in `retained` (LMDBStore+Expiry.swift). HistoryRecord.swift describes the history's.

/// The retained values and the history in an LMDB file, `broker.mdb` in the data directory.
package final class LMDBStore: MessageStore {
    /// The file's name in the data directory.
    package static let fileName = "broker.mdb"
    /// The smallest size that works, in bytes.
    package static let smallestMaximumSize = 1 << 20
    static let maximumViewGrowth = 16 << 20
    /// Approximately how much a commit writes in addition to messages, in bytes.
    private static let commitSize = 64 << 10

    /// Why the previous file was moved aside; `nil` if it was not.
    package let damage: String?
    package var epoch: UInt64 { knownEpoch.load(ordering: .acquiring) }
    let knownEpoch: Atomic<UInt64>

    /// How long the check of the file's pages took, in nanoseconds; `nil` if it was not needed.
    package let checkNanoseconds: Int64?

    let readers: LMDBReaders
    let meta: LMDBDatabase
    let retained: LMDBDatabase
    let expiry: LMDBDatabase
    let publishKeys: LMDBDatabase
    let history: HistoryDatabases
    let damagedRecords = Atomic<Int>(0)
    let work = Mutex(HistoryWork())
    let expiryWork: Mutex<ExpiryWork>
    /// How long the keys of publications are kept, in milliseconds.
    let keyWindow = Atomic<Int64>(KeyRules().window)
    let limits: RetainedLimits
    private let reopenings = Atomic<Int>(0)
    private let reserved: Atomic<UInt64>
    /// The committed state; the writer holds the lock.
    private let state: Mutex<StoreState>
    private let mark: StoreMark
    private let keptMark: KeptMark
    /// The first message that must be kept but is in memory only; `.max` if there is none.
    private let forgone = Atomic<UInt64>(.max)
    private let path: String
    private let mapSize: Int
    /// Held last: the lock outlives the file's use.
    private let directory: DataDirectory

    /// Opens the store in a directory, creating what is missing.
    ///
    /// A damaged file is moved aside and a new one created. A store of an older format is read, and new records are
    /// written in the new format (StoreFormat.swift).
    ///
    /// - Parameters:
    ///   - maximumSize: the maximum size of the file, in bytes, and at least ``smallestMaximumSize``.
    ///   - maximumViews: the maximum number of views at a time.
    ///   - viewGrowth: how much may be written before a view is taken back, in bytes; by default a sixteenth of
    ///     `maximumSize` at most.
    /// - Returns: the store, and the new path of the old file if that was damaged; ``damage`` says why.
    /// - Throws: ``StorageError/newer(_:)`` if a newer version has written the file, which is then not changed;
    ///   ``StorageError/inUse(_:)`` if another process uses the directory; ``StorageError/system(code:what:)`` with the
    ///   path if a system call fails.
    package static func open(
        directory path: String, maximumSize: Int, limits: RetainedLimits = RetainedLimits(), maximumViews: Int = 64,
        viewGrowth: Int? = nil
    ) throws(StorageError) -> (store: LMDBStore, movedAside: String?) {
        try checkFormat(directory: path)
        let directory = try DataDirectory(path)
        try IncomingCopy.takeOver(in: directory)
        let mapSize = min(max(maximumSize, smallestMaximumSize), 1 << 44) & ~0xFFFF
        let growth = viewGrowth ?? min(mapSize / 16, maximumViewGrowth)
        do throws(StorageError) {
            return (try LMDBStore(directory, mapSize, limits, maximumViews, growth, damage: nil), nil)
        } catch .damaged(let damage) {
            let aside = try directory.moveAside(fileName, time: time(nil))
            try directory.remove("\(fileName)-lock")
            return (try LMDBStore(directory, mapSize, limits, maximumViews, growth, damage: damage), aside)
        } catch .full {
            throw .system(code: ENOSPC, what: "cannot create the store in \(path): no space is left on the disk")
        } catch {
            throw error
        }
    }

    /// Throws ``StorageError/newer(_:)`` if a newer version has written the store in a directory; changes nothing.
    package static func checkFormat(directory path: String) throws(StorageError) {
        try StoreFormat.check("\(path.isEmpty ? "." : path)/\(fileName)")
    }

    private init(
        _ directory: DataDirectory, _ mapSize: Int, _ limits: RetainedLimits, _ maximumViews: Int, _ viewGrowth: Int,
        damage: String?
    ) throws(StorageError) {
        let path = "\(directory.path)/\(Self.fileName)"
        let mark = StoreMark("\(path)-mark")
        checkNanoseconds = try Self.check(path, mark)
        let environment = try LMDBEnvironment(path: path, mapSize: mapSize)
        // An interrupted start may have moved a store aside without creating this one.
        let isReplacement = damage != nil || directory.hasAside(Self.fileName)
        let keptMark = KeptMark("\(path)-kept")
        let (databases, state, expiry) = try Self.open(environment, start: keptMark, isReplacement: isReplacement)
        // The file's name must be as durable as its content.
        try directory.sync()
        mark.note(environment.descriptor)
        (meta, retained, self.expiry, publishKeys, history) = databases
        expiryWork = Mutex(ExpiryWork(next: expiry))
        readers = LMDBReaders(
            environment, cursorOver: retained, maximumViews: maximumViews, viewGrowth: viewGrowth)
        self.state = Mutex(state)
        knownEpoch = Atomic(state.epoch)
        reserved = Atomic(state.reservedSeq)
        self.mark = mark
        self.keptMark = keptMark
        self.path = path
        self.mapSize = mapSize
        self.limits = limits
        self.damage = damage
        self.directory = directory
    }

    /// Checks the file before it is mapped, unless it is unchanged since the broker last wrote it.
    private static func check(_ path: String, _ mark: StoreMark) throws(StorageError) -> Int64? {
        if mark.matches(path) { return nil }
        // LMDB would take it for a new store. The other file is made after a new store has got its first pages.
        if FileStamp(path).isEmpty, !FileStamp("\(path)-kept").isMissing { throw .damaged("the file is empty") }
        // From here on the mark does not count: only this process's writes do.
        mark.forget()
        let begin = MonotonicTime.now
        try LMDBFileCheck.check(path)
        return MonotonicTime.now.nanoseconds(since: begin)
    }

    private typealias Databases = (
        meta: LMDBDatabase, retained: LMDBDatabase, expiry: LMDBDatabase, keys: LMDBDatabase, history: HistoryDatabases
    )

    /// Opens the databases and reads the state.
    ///
    /// - Parameters:
    ///   - mark: the mark of the previous process, which may have committed less than it numbered; `nil` if there was
    ///     none.
    ///   - isReplacement: for a new store, whether there was another store before.
    private static func open(
        _ environment: LMDBEnvironment, start mark: KeptMark?, isReplacement: Bool
    ) throws(StorageError) -> (databases: Databases, state: StoreState, nextExpiry: Int64) {
        let write = try LMDBWrite(environment)
        let isNew = try write.size(of: .main).entries == 0
        let databases = (
            meta: try write.database(named: "meta"), retained: try write.database(named: "retained"),
            expiry: try write.database(named: "expiry"), keys: try write.database(named: "keys"),
            history: try HistoryDatabases(write)
        )
        var state: StoreState
        if isNew {
            state = .new()
            // Numbers never fall, and those of the previous store are unknown.
            if isReplacement { state.reservedSeq = StoreState.seq(ofTime: time(nil)) }
            try write.set(state.bytes, for: StoreState.key, in: databases.meta)
        } else {
            let found = try write.value(of: StoreState.key, in: databases.meta) { bytes throws(StorageError) in
                (state: StoreState(bytes), isCurrent: StoreState.isCurrent(bytes))
            }
            guard let found, let known = found.state else {
                throw .damaged("its header record is missing or has another format")
            }
            state = known
            // From here on records may have the newest format.
            if !found.isCurrent { try write.set(state.bytes, for: StoreState.key, in: databases.meta) }
            try readHistory(of: &state, in: databases.meta, start: mark, write)
        }
        let next = try firstExpiry(in: databases.expiry, write)
        try write.commit()
        return (databases, state, next)
    }

    /// Reads the history's state.
    ///
    /// Messages that were numbered after the last commit are a hole after a crash, unless the mark says that there were
    /// none.
    private static func readHistory(
        of state: inout StoreState, in meta: LMDBDatabase, start mark: KeptMark?, _ write: borrowing LMDBWrite
    ) throws(StorageError) {
        let found = try write.value(of: HistorySummary.key, in: meta) { bytes throws(StorageError) in
            HistorySummary(bytes)
        }
        guard let found else { return }
        guard let history = found else { throw .damaged("the record of the history") }
        state.history = history
        guard let mark else { return }
        let isComplete = mark.takeOver(completeUpTo: history.completeUpTo, reserved: state.reservedSeq)
        // No client that read about them is left.
        state.history.forgetFormerRules()
        guard !state.history.coverages.isEmpty, history.completeUpTo < state.reservedSeq else { return }
        if !isComplete {
            state.history.add(HistoryHole(low: history.completeUpTo, high: state.reservedSeq))
        }
        state.history.completeUpTo = state.reservedSeq
        try write.set(state.history.bytes, for: HistorySummary.key, in: meta)
    }

    /// Records that nothing more will be written, so that the next start need not check the file.
    package func close() {
        state.withLock { _ in
            if let environment = try? readers.environment() { mark.note(environment.descriptor, isClosed: true) }
        }
    }

    package func forgo(from seq: UInt64) {
        // Such messages are never settled, so the mark is not written any more.
        let (isFirst, _) = forgone.compareExchange(expected: .max, desired: seq, ordering: .acquiringAndReleasing)
        if isFirst { keptMark.expect(1) }
    }

    /// The number up to which a record may say that the history is complete.
    func complete(upTo seq: UInt64) -> UInt64 { min(seq, forgone.load(ordering: .acquiring) - 1) }

    package func expectKept(_ count: Int) { keptMark.expect(count) }
    package var isAtRest: Bool { keptMark.isNoted }

    package func settleKept(_ count: Int) { keptMark.settle(count) }

    package func rest() {
        state.withLock { committed in
            guard work.withLock({ $0.lost == nil }) else { return }
            keptMark.rest(completeUpTo: committed.history.completeUpTo, reserved: committed.reservedSeq)
        }
    }

    package var reservedSeq: UInt64 { reserved.load(ordering: .acquiring) }

    package func reserve(seqsUpTo seq: UInt64) throws(StorageError) {
        guard seq > reservedSeq else { return }
        try write { (_, state) throws(StorageError) in state.reservedSeq = max(state.reservedSeq, seq) }
    }

    package func probe() throws(StorageError) {
        try write { (_, state) throws(StorageError) in state.probes &+= 1 }
    }

    /// How many times the file was opened again after a failure of LMDB.
    var reopeningCount: Int { reopenings.load(ordering: .relaxed) }

    // MARK: Writing

    /// Runs `body` in a transaction, and commits it with the resulting state.
    func write(
        _ body: (borrowing LMDBWrite, inout StoreState) throws(StorageError) -> Void
    ) throws(StorageError) {
        try state.withLock { (committed) throws(StorageError) in
            do throws(StorageError) {
                readers.takeViewsBack()
                do throws(StorageError) {
                    try attempt(&committed, body)
                } catch {
                    // Pages freed since a view began cannot be reused while it exists.
                    guard error == .full, readers.takeViewsBack(all: true) > 0 else { throw error }
                    try attempt(&committed, body)
                }
            } catch {
                guard try mustReopen(after: error) else { throw error }
                try reopen(&committed)
                // A write that was not begun can be retried; a failed one was reported as failed.
                guard error.isPanic || error.isClosed else { throw error }
                try attempt(&committed, body)
            }
        }
    }

    private func attempt(
        _ committed: inout StoreState,
        _ body: (borrowing LMDBWrite, inout StoreState) throws(StorageError) -> Void
    ) throws(StorageError) {
        let environment = try readers.environment()
        let write = try LMDBWrite(environment)
        var state = committed
        let lost = work.withLock { $0.lost }
        if let lost { state.history.add(lost) }
        try body(write, &state)
        if state != committed { try write.set(state.bytes, for: StoreState.key, in: meta) }
        if state.history != committed.history {
            try write.set(state.history.bytes, for: HistorySummary.key, in: meta)
        }
        let next = try Self.firstExpiry(in: expiry, write)
        try write.commit()
        expiryWork.withLock { $0.next = next }
        mark.note(environment.descriptor)
        readers.count(written: Self.commitSize)
        committed = state
        work.withLock { if $0.lost == lost { $0.lost = nil } }
        reserved.store(state.reservedSeq, ordering: .releasing)
    }

    /// Whether LMDB has failed permanently: that happens if it cannot write a meta page, and the error comes with the
    /// next transaction only.
    private func mustReopen(after error: StorageError) throws(StorageError) -> Bool {
        if error.isPanic || error.isClosed { return true }
        guard case .system = error else { return false }
        do throws(StorageError) {
            _ = try LMDBWrite(try readers.environment())
            return false
        } catch {
            return error.isPanic
        }
    }

    /// Opens the file again, whatever its state.
    func reopen() throws(StorageError) {
        try state.withLock { (committed) throws(StorageError) in try reopen(&committed) }
    }

    private func reopen(_ committed: inout StoreState) throws(StorageError) {
        var found = committed
        try readers.reopen { () throws(StorageError) in
            let environment = try LMDBEnvironment(path: path, mapSize: mapSize)
            let (databases, state, next) = try Self.open(environment, start: nil, isReplacement: false)
            guard state.epoch == committed.epoch, databases.meta == meta, databases.retained == retained,
                databases.expiry == expiry, databases.keys == publishKeys, databases.history == history
            else { throw .damaged("the file was replaced while it was open") }
            found = state
            expiryWork.withLock { $0.next = next }
            return environment
        }
        reopenings.add(1, ordering: .relaxed)
        committed = found
        reserved.store(found.reservedSeq, ordering: .releasing)
    }

    /// Calls `body` with a snapshot of the committed state.
    func read<Result>(_ body: (LMDBReader) throws(StorageError) -> Result) throws(StorageError) -> Result {
        let reader = try readers.take()
        defer { readers.giveBack(reader) }
        return try body(reader)
    }
}
