internal import CLMDB
internal import Glibc

/// A database within an environment.
///
/// The corresponding C type is `MDB_dbi`.
struct LMDBDatabase: Sendable, Equatable {
    let number: MDB_dbi
}

/// An entry of a database; valid until the transaction ends or writes.
@unsafe struct LMDBEntry {
    let key: UnsafeBufferPointer<UInt8>
    let value: UnsafeBufferPointer<UInt8>
}

/// A write transaction, which is aborted unless it is committed.
///
/// It must end before its environment does. The corresponding C type is `MDB_txn`.
@safe struct LMDBWrite: ~Copyable {
    private let transaction: OpaquePointer

    init(_ environment: LMDBEnvironment) throws(StorageError) {
        var begun: OpaquePointer?
        try unsafe checkLMDB(mdb_txn_begin(environment.handle, nil, 0, &begun), "cannot start to write")
        guard let transaction = unsafe begun else { throw .system(code: ENOMEM, what: "cannot start to write") }
        unsafe self.transaction = transaction
    }

    deinit { unsafe mdb_txn_abort(transaction) }

    /// Commits the transaction; everything is on disk when this returns.
    consuming func commit() throws(StorageError) {
        let transaction = unsafe transaction
        let environment = unsafe mdb_txn_env(transaction)
        discard self
        let code = unsafe mdb_txn_commit(transaction)
        // A write on a full disk is short, which LMDB reports as EIO.
        if code == EIO, let environment = unsafe environment, unsafe isDiskFull(under: environment) { throw .full }
        try checkLMDB(code, "cannot commit")
    }

    /// Opens a database, or creates it.
    func database(named name: String) throws(StorageError) -> LMDBDatabase {
        var number: MDB_dbi = 0
        try unsafe checkLMDB(mdb_dbi_open(transaction, name, UInt32(MDB_CREATE), &number), "cannot open \(name)")
        return LMDBDatabase(number: number)
    }

    /// The result of `body` for the value of `key`; `nil` if there is none.
    func value<Result>(
        of key: [UInt8], in database: LMDBDatabase, _ body: (Span<UInt8>) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        try unsafe readValue(of: key, in: database, transaction, body)
    }

    func set(_ value: [UInt8], for key: [UInt8], in database: LMDBDatabase) throws(StorageError) {
        let code = unsafe withValues(key, value) { key, value in
            unsafe mdb_put(transaction, database.number, &key, &value, 0)
        }
        try checkLMDB(code, "cannot write")
    }

    func remove(_ key: [UInt8], in database: LMDBDatabase) throws(StorageError) {
        let code = unsafe withValues(key, []) { key, _ in unsafe mdb_del(transaction, database.number, &key, nil) }
        if code != MDB_NOTFOUND { try checkLMDB(code, "cannot remove") }
    }

    /// The first key of a database; `nil` if it is empty.
    func firstKey(in database: LMDBDatabase) throws(StorageError) -> [UInt8]? {
        guard let entry = unsafe try cursor(over: database).seek([]) else { return nil }
        return unsafe [UInt8](entry.key)
    }

    /// A cursor over a database; its entries are valid until the next write.
    func cursor(over database: LMDBDatabase) throws(StorageError) -> LMDBCursor {
        try unsafe LMDBCursor(transaction, over: database)
    }

    /// The number of entries in a database, and its size in bytes.
    func size(of database: LMDBDatabase) throws(StorageError) -> (entries: Int, bytes: Int) {
        try unsafe databaseSize(transaction, database)
    }
}

/// A read transaction with a cursor, which is reused.
///
/// One thread at a time uses it, between ``renew()`` and ``reset()``; between uses it holds no snapshot.
/// The corresponding C type is `MDB_txn`.
@safe final class LMDBReader: Sendable {
    /// Set once in `init`; with `MDB_NOTLS` a transaction may be used from any thread, one at a time.
    nonisolated(unsafe) private let transaction: OpaquePointer
    /// See `transaction`.
    nonisolated(unsafe) private let cursor: OpaquePointer
    private let environment: LMDBEnvironment

    /// Begins a transaction with a cursor over `database`.
    init(_ environment: LMDBEnvironment, cursorOver database: LMDBDatabase) throws(StorageError) {
        var begun: OpaquePointer?
        let flags = UInt32(MDB_RDONLY)
        try unsafe checkLMDB(mdb_txn_begin(environment.handle, nil, flags, &begun), "cannot start to read")
        guard let transaction = unsafe begun else { throw .system(code: ENOMEM, what: "cannot start to read") }
        var opened: OpaquePointer?
        let code = unsafe mdb_cursor_open(transaction, database.number, &opened)
        guard code == 0, let cursor = unsafe opened else {
            unsafe mdb_txn_abort(transaction)
            try checkLMDB(code, "cannot start to read")
            throw .system(code: ENOMEM, what: "cannot start to read")
        }
        self.environment = environment
        unsafe self.transaction = transaction
        unsafe self.cursor = cursor
    }

    deinit {
        unsafe mdb_cursor_close(cursor)
        unsafe mdb_txn_abort(transaction)
    }

    /// Takes a snapshot of the committed state.
    func renew() throws(StorageError) {
        try unsafe checkLMDB(mdb_txn_renew(transaction), "cannot start to read")
        try unsafe checkLMDB(mdb_cursor_renew(transaction, cursor), "cannot start to read")
    }

    /// Releases the snapshot, so that the writer may use its pages.
    func reset() { unsafe mdb_txn_reset(transaction) }

    /// The result of `body` for the value of `key`; `nil` if there is none.
    func value<Result>(
        of key: [UInt8], in database: LMDBDatabase, _ body: (Span<UInt8>) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        try unsafe readValue(of: key, in: database, transaction, body)
    }

    /// Moves to the first entry whose key is `key` or follows it; an empty `key` means the first of all.
    @unsafe func seek(_ key: [UInt8]) throws(StorageError) -> LMDBEntry? {
        try unsafe move(cursor, to: key)
    }

    /// Moves to the next entry.
    @unsafe func next() throws(StorageError) -> LMDBEntry? {
        try unsafe moveToNext(cursor)
    }

    /// A separate cursor over any database, which must end before ``reset()``.
    func cursor(over database: LMDBDatabase) throws(StorageError) -> LMDBCursor {
        try unsafe LMDBCursor(transaction, over: database)
    }

    /// The number of entries in a database, and its size in bytes.
    func size(of database: LMDBDatabase) throws(StorageError) -> (entries: Int, bytes: Int) {
        try unsafe databaseSize(transaction, database)
    }
}

extension LMDBDatabase {
    /// LMDB's database of free pages.
    static let freePages = LMDBDatabase(number: 0)
    /// LMDB's database of the other databases' roots.
    static let main = LMDBDatabase(number: 1)
}

@unsafe func bytes(of value: MDB_val) -> UnsafeBufferPointer<UInt8> {
    guard let start = unsafe value.mv_data else { return unsafe UnsafeBufferPointer(start: nil, count: 0) }
    return unsafe UnsafeBufferPointer(start: start.assumingMemoryBound(to: UInt8.self), count: value.mv_size)
}

/// Passes arrays to C, which does not write to them.
@unsafe func withValues<Result, Failure: Error>(
    _ key: [UInt8], _ value: [UInt8], _ body: (inout MDB_val, inout MDB_val) throws(Failure) -> Result
) throws(Failure) -> Result {
    try unsafe key.withUnsafeBufferPointer { (keyBytes) throws(Failure) in
        try unsafe value.withUnsafeBufferPointer { (valueBytes) throws(Failure) in
            var key = unsafe MDB_val(
                mv_size: keyBytes.count, mv_data: UnsafeMutableRawPointer(mutating: keyBytes.baseAddress))
            var value = unsafe MDB_val(
                mv_size: valueBytes.count, mv_data: UnsafeMutableRawPointer(mutating: valueBytes.baseAddress))
            return try unsafe body(&key, &value)
        }
    }
}

@unsafe private func readValue<Result>(
    of key: [UInt8], in database: LMDBDatabase, _ transaction: OpaquePointer,
    _ body: (Span<UInt8>) throws(StorageError) -> Result
) throws(StorageError) -> Result? {
    try unsafe withValues(key, []) { (key, value) throws(StorageError) in
        let code = unsafe mdb_get(transaction, database.number, &key, &value)
        if code == MDB_NOTFOUND { return nil }
        try checkLMDB(code, "cannot read")
        return try body(unsafe Span(_unsafeElements: bytes(of: value)))
    }
}

@unsafe private func databaseSize(
    _ transaction: OpaquePointer, _ database: LMDBDatabase
) throws(StorageError) -> (entries: Int, bytes: Int) {
    var size = MDB_stat()
    try unsafe checkLMDB(mdb_stat(transaction, database.number, &size), "cannot read")
    let pages = size.ms_branch_pages &+ size.ms_leaf_pages &+ size.ms_overflow_pages
    return (size.ms_entries, pages &* Int(size.ms_psize))
}

/// Whether the file system of the store is full.
@unsafe private func isDiskFull(under environment: OpaquePointer) -> Bool {
    var descriptor: Int32 = -1
    var status = statvfs()
    guard unsafe mdb_env_get_fd(environment, &descriptor) == 0, unsafe fstatvfs(descriptor, &status) == 0 else {
        return false
    }
    return status.f_bavail &* status.f_frsize < 1 << 20
}
