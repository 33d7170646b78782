internal import Glibc

/// What a store was restored to.
package struct Restoration: Sendable {
    /// Retained values.
    package let values: Int
    /// Messages of the history.
    package let messages: Int
    /// Where the store that was there before is now; `nil`: there was none.
    package let movedAside: String?
}

extension LMDBStore {
    /// Writes a copy of everything, as it is at one moment, to `broker.mdb` in a directory, which is made where there is
    /// none.
    ///
    /// Publishers and readers go on meanwhile. Takes as long as reading and writing that much: a thread of its own.
    ///
    /// - Returns: the copy's size in bytes.
    package func backup(to path: String) throws(StorageError) -> Int {
        try DataDirectory.make(path)
        let target = "\(path)/\(Self.fileName)"
        guard unsafe access(target, F_OK) != 0 else {
            throw .system(code: EEXIST, what: "there is a backup already: \(target)")
        }
        let partial = "\(target).partial"
        _ = unsafe unlink(partial)
        do throws(StorageError) {
            try readers.use { (environment) throws(StorageError) in try environment.copy(to: partial) }
            let size = try DataDirectory.makeLast(partial)
            guard unsafe rename(partial, target) == 0 else { try throwErrno("cannot rename \(partial)") }
            try DataDirectory.sync(path)
            return size
        } catch {
            _ = unsafe unlink(partial)
            if error == .full { throw .system(code: ENOSPC, what: "no space is left for \(target)") }
            throw error
        }
    }

    /// Puts a backup in the place of a store that no broker serves.
    ///
    /// The restored store is another one as far as positions go: its epoch is new. Its sequence numbers begin above
    /// those of the backup and of the store that was there, which is moved aside.
    ///
    /// - Parameter time: Unix seconds, for the name of what was there.
    package static func restore(
        from backup: String, to path: String, time: Int
    ) throws(StorageError) -> Restoration {
        let source = "\(backup)/\(fileName)"
        guard unsafe access(source, R_OK) == 0 else { try throwErrno("cannot open \(source)") }
        try LMDBFileCheck.check(source)
        let directory = try DataDirectory(path)
        let target = "\(path)/\(fileName)"
        let isThere = unsafe access(target, F_OK) == 0
        // A store that is damaged has no say.
        let reserved = isThere ? (try? reservedSeq(of: target)) ?? 0 : 0
        let restoring = "\(target).restoring"
        for name in [restoring, "\(restoring)-lock"] { _ = unsafe unlink(name) }
        try DataDirectory.copy(source, to: restoring)
        let found: (values: Int, messages: Int)
        do throws(StorageError) {
            defer { _ = unsafe unlink("\(restoring)-lock") }
            found = try adopt(restoring, reservedSeq: reserved)
            _ = try DataDirectory.makeLast(restoring)
        } catch {
            _ = unsafe unlink(restoring)
            throw error
        }
        var aside: String?
        if isThere { aside = try directory.keepAside(fileName, as: "replaced", time: time) }
        for name in ["\(fileName)-lock", "\(fileName)-mark"] { try directory.remove(name) }
        guard unsafe rename(restoring, target) == 0 else { try throwErrno("cannot rename \(restoring)") }
        try directory.sync()
        return Restoration(values: found.values, messages: found.messages, movedAside: aside)
    }

    /// Gives a copy a new epoch, and numbers above `reservedSeq`.
    private static func adopt(
        _ path: String, reservedSeq: UInt64
    ) throws(StorageError) -> (values: Int, messages: Int) {
        let environment = try LMDBEnvironment(path: path, mapSize: 1 << 40)
        // A parameter outlives the transaction in the call.
        return try adopt(environment, reservedSeq: reservedSeq)
    }

    private static func adopt(
        _ environment: LMDBEnvironment, reservedSeq: UInt64
    ) throws(StorageError) -> (values: Int, messages: Int) {
        let write = try LMDBWrite(environment)
        let meta = try write.database(named: "meta")
        let retained = try write.database(named: "retained")
        let log = try write.database(named: "history")
        let found = try write.value(of: StoreState.key, in: meta) { bytes throws(StorageError) in StoreState(bytes) }
        guard let state = found ?? nil else { throw .damaged("the backup is of another format") }
        let values = try write.size(of: retained).entries
        let messages = try write.size(of: log).entries
        try write.set(
            state.restored(reservedSeq: max(state.reservedSeq, reservedSeq)).bytes, for: StoreState.key, in: meta)
        try write.commit()
        return (values, messages)
    }

    private static func reservedSeq(of path: String) throws(StorageError) -> UInt64 {
        try LMDBFileCheck.check(path)
        let environment = try LMDBEnvironment(path: path, mapSize: 1 << 40)
        return try reservedSeq(in: environment)
    }

    private static func reservedSeq(in environment: LMDBEnvironment) throws(StorageError) -> UInt64 {
        let write = try LMDBWrite(environment)
        let meta = try write.database(named: "meta")
        let found = try write.value(of: StoreState.key, in: meta) { bytes throws(StorageError) in StoreState(bytes) }
        return (found ?? nil)?.reservedSeq ?? 0
    }
}
