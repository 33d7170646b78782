internal import CLMDB
internal import Glibc
internal import Synchronization

/// A position in a database within a transaction, which the cursor must not outlive.
///
/// The corresponding C type is `MDB_cursor`.
@safe struct LMDBCursor: ~Copyable {
    private let cursor: OpaquePointer

    @unsafe init(_ transaction: OpaquePointer, over database: LMDBDatabase) throws(StorageError) {
        var opened: OpaquePointer?
        try unsafe checkLMDB(mdb_cursor_open(transaction, database.number, &opened), "cannot read")
        guard let cursor = unsafe opened else { throw .system(code: ENOMEM, what: "cannot read") }
        unsafe self.cursor = cursor
    }

    deinit { unsafe mdb_cursor_close(cursor) }

    /// Moves to the first entry whose key is `key` or follows it; an empty `key` means the first of all.
    @unsafe func seek(_ key: [UInt8]) throws(StorageError) -> LMDBEntry? {
        try unsafe move(cursor, to: key)
    }

    /// Moves to the next entry.
    @unsafe func next() throws(StorageError) -> LMDBEntry? {
        try unsafe moveToNext(cursor)
    }

    /// Moves to the last entry whose key comes before `key`.
    @unsafe func seek(before key: [UInt8]) throws(StorageError) -> LMDBEntry? {
        unsafe try seek(key) == nil ? moveToLast(cursor) : previous()
    }

    /// Moves to the previous entry.
    @unsafe func previous() throws(StorageError) -> LMDBEntry? {
        try unsafe moveToPrevious(cursor)
    }

    /// The first entry whose key is `key` or follows it, copied.
    func copy(from key: [UInt8]) throws(StorageError) -> (key: [UInt8], value: [UInt8])? {
        guard let entry = unsafe try seek(key) else { return nil }
        return unsafe ([UInt8](entry.key), [UInt8](entry.value))
    }
}

/// Moves a cursor to the first entry whose key is `key` or follows it; an empty `key` means the first of all.
@unsafe func move(_ cursor: OpaquePointer, to key: [UInt8]) throws(StorageError) -> LMDBEntry? {
    try unsafe withValues(key, []) { (key, _) throws(StorageError) in
        try unsafe move(cursor, key.mv_size == 0 ? MDB_FIRST : MDB_SET_RANGE, &key)
    }
}

/// Moves a cursor to the next entry.
@unsafe func moveToNext(_ cursor: OpaquePointer) throws(StorageError) -> LMDBEntry? {
    var key = unsafe MDB_val()
    return try unsafe move(cursor, MDB_NEXT, &key)
}

/// Moves a cursor to the previous entry.
@unsafe func moveToPrevious(_ cursor: OpaquePointer) throws(StorageError) -> LMDBEntry? {
    var key = unsafe MDB_val()
    return try unsafe move(cursor, MDB_PREV, &key)
}

/// Moves a cursor to the last entry of its database.
@unsafe func moveToLast(_ cursor: OpaquePointer) throws(StorageError) -> LMDBEntry? {
    var key = unsafe MDB_val()
    return try unsafe move(cursor, MDB_LAST, &key)
}

@unsafe private func move(
    _ cursor: OpaquePointer, _ operation: MDB_cursor_op, _ key: inout MDB_val
) throws(StorageError) -> LMDBEntry? {
    var value = unsafe MDB_val()
    let code = unsafe mdb_cursor_get(cursor, &key, &value, operation)
    if code == MDB_NOTFOUND { return nil }
    try checkLMDB(code, "cannot read")
    return unsafe LMDBEntry(key: bytes(of: key), value: bytes(of: value))
}

/// The values as seen by one read transaction.
///
/// The store takes the transaction back if the file must be opened again, or if the view prevents too much reuse or
/// lasts too long, even during use. The view then shows the present values.
final class LMDBView: RetainedView {
    private let store: LMDBStore
    private let lent: Mutex<LMDBReader?>
    private let number: Int

    /// - Parameter taken: from ``LMDBReaders/takeForView(lastPage:)``; this object returns it.
    init(_ store: LMDBStore, _ taken: (reader: LMDBReader, number: Int)) {
        self.store = store
        lent = Mutex(taken.reader)
        number = taken.number
        store.readers.remember(self, as: number)
    }

    deinit { letGo() }

    /// Returns the transaction early; waits for a scan in progress.
    ///
    /// Any thread.
    ///
    /// - Returns: `false` if the transaction was returned before.
    @discardableResult
    func letGo() -> Bool {
        lent.withLock { lent in
            guard let reader = lent else { return false }
            lent = nil
            store.readers.forget(view: number)
            store.readers.giveBack(reader)
            return true
        }
    }

    func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd {
        let end: ScanEnd? = try lent.withLock { (lent) throws(StorageError) in
            guard let lent else { return nil }
            return try store.scan(filter, after: position, visiting: maximum, now: now, lent, body)
        }
        if let end { return end }
        return try store.scan(filter, after: position, visiting: maximum, now: now, body)
    }
}
