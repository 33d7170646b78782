internal import CLinux
internal import Glibc

/// The result of a restoration.
package struct Restoration: Sendable {
    /// The number of retained values.
    package let values: Int
    /// The number of messages of the history.
    package let messages: Int
    /// The new path of the previous store; `nil` if there was none.
    package let movedAside: String?
}

extension LMDBStore {
    /// Writes a copy of the state at one moment to a descriptor.
    ///
    /// Publishers and readers continue meanwhile. Takes as long as reading and writing that much: use a separate
    /// thread.
    package func copy(to descriptor: Int32) throws(StorageError) {
        try readers.use { (environment) throws(StorageError) in try environment.copy(to: descriptor) }
    }

    /// Throws ``StorageError/damaged(_:)`` if a file is not a complete copy of a store.
    package static func checkBackup(_ path: String) throws(StorageError) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { try throwErrno("cannot open \(path)") }
        guard status.st_size > 0 else { throw .damaged("an empty file") }
        try LMDBFileCheck.check(path)
    }

    /// Turns a received copy into a backup: checks it, and renames it when it is on disk.
    ///
    /// - Parameters:
    ///   - partial: the copy, in the directory of `target`.
    ///   - target: its final name.
    /// - Returns: its size in bytes.
    package static func finishBackup(_ partial: String, as target: String) throws(StorageError) -> Int {
        try checkBackup(partial)
        let size = try DataDirectory.makeLast(partial)
        guard unsafe rename(partial, target) == 0 else { try throwErrno("cannot rename \(partial)") }
        let folder = target.lastIndex(of: "/").map { $0 == target.startIndex ? "/" : String(target[..<$0]) }
        // A directory without permission to read cannot be synced.
        try? DataDirectory.sync(folder ?? ".")
        return size
    }

    /// Creates the directory of a backup, and those above it.
    package static func makeBackupDirectory(_ path: String) throws(StorageError) { try DataDirectory.make(path) }

    /// Replaces a store by a backup; no broker may be using the store.
    ///
    /// The restored store has a new epoch, so positions in the previous one do not apply to it. Its sequence numbers
    /// begin above those of the backup and of the previous store, which is moved aside.
    ///
    /// Throws ``StorageError/newer(_:)``, and changes nothing, if a newer version has written the backup. A store that
    /// a newer version has written is moved aside like any other: that is the way back to the version before.
    ///
    /// - Parameters:
    ///   - backup: the file, or a directory with `broker.mdb` in it.
    ///   - time: Unix seconds, for the name of the previous store.
    package static func restore(
        from backup: String, to path: String, time: Int
    ) throws(StorageError) -> Restoration {
        var status = stat()
        let isDirectory = unsafe stat(backup, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
        let source = isDirectory ? "\(backup)/\(fileName)" : backup
        guard unsafe access(source, R_OK) == 0 else { try throwErrno("cannot open \(source)") }
        try StoreFormat.check(source)
        try LMDBFileCheck.check(source)
        let directory = try DataDirectory(path, ownedByAnyone: true)
        try directory.giveToOwner("lock")
        let target = "\(path)/\(fileName)"
        let isThere = unsafe access(target, F_OK) == 0
        // A store that is damaged, or newer than this version, does not show how far its numbers went; numbers from the
        // present time are above them.
        let reserved = isThere ? (try? reservedSeq(of: target)) ?? StoreState.seq(ofTime: time) : 0
        let restoring = "\(target).restoring"
        for name in [restoring, "\(restoring)-lock"] { _ = unsafe unlink(name) }
        try DataDirectory.copy(source, to: restoring)
        let found: (values: Int, messages: Int)
        do throws(StorageError) {
            defer { _ = unsafe unlink("\(restoring)-lock") }
            found = try adopt(restoring, reservedSeq: reserved)
            _ = try DataDirectory.makeLast(restoring)
            try directory.giveToOwner("\(fileName).restoring")
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
        let numbers = max(try forgetOrder(write, in: meta), state.reservedSeq, reservedSeq)
        try write.set(state.restored(reservedSeq: numbers).bytes, for: StoreState.key, in: meta)
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
        guard let state = found ?? nil else { throw .damaged("its header record is missing or has another format") }
        return state.reservedSeq
    }
}
