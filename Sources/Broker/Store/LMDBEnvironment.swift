internal import CLMDB
internal import CLinux
internal import Glibc

/// An open LMDB environment in one file.
///
/// Its readers hold it, so it is closed last. The corresponding C type is `MDB_env`.
@safe final class LMDBEnvironment: Sendable {
    /// Set once in `init`; LMDB allows its use from any thread.
    nonisolated(unsafe) let handle: OpaquePointer

    /// Opens or creates the file at `path`, which must have passed ``LMDBFileCheck``.
    ///
    /// The whole map is reserved at once: without `MDB_WRITEMAP` the file grows only as pages are written, and an
    /// unused map costs address space only, while growing a map later would require every reader
    /// to leave it. If address space is limited, a smaller map is used.
    ///
    /// - Parameter mapSize: the maximum size of the file, in bytes.
    init(path: String, mapSize: Int) throws(StorageError) {
        var size = mapSize
        while true {
            do throws(StorageError) {
                unsafe handle = try Self.open(path: path, mapSize: size)
                return
            } catch .system(ENOMEM, _) where size > Self.smallestFallbackMap {
                size = max(size / 2, Self.smallestFallbackMap)
            } catch {
                throw error
            }
        }
    }

    deinit { unsafe mdb_env_close(handle) }

    private static let smallestFallbackMap = 64 << 20
    private static let maximumReaders: UInt32 = 1024
    private static let maximumDatabases: UInt32 = 16

    private static func open(path: String, mapSize: Int) throws(StorageError) -> OpaquePointer {
        var created: OpaquePointer?
        try unsafe checkLMDB(mdb_env_create(&created), "cannot create a store")
        guard let environment = unsafe created else { throw .system(code: ENOMEM, what: "cannot create a store") }
        do throws(StorageError) {
            try unsafe checkLMDB(mdb_env_set_mapsize(environment, mapSize), path)
            try unsafe checkLMDB(mdb_env_set_maxreaders(environment, maximumReaders), path)
            try unsafe checkLMDB(mdb_env_set_maxdbs(environment, maximumDatabases), path)
            let flags = UInt32(MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD)
            try unsafe checkLMDB(mdb_env_open(environment, path, flags, 0o600), path)
        } catch {
            unsafe mdb_env_close(environment)
            throw error
        }
        return unsafe environment
    }

    /// The file's descriptor, for `fstat`; -1 if there is none.
    var descriptor: Int32 {
        var descriptor: Int32 = -1
        return unsafe mdb_env_get_fd(handle, &descriptor) == 0 ? descriptor : -1
    }

    /// Writes a copy of the present state to a descriptor, without free pages.
    ///
    /// Takes as long as reading and writing that much; writers continue meanwhile.
    func copy(to descriptor: Int32) throws(StorageError) {
        try unsafe checkLMDB(mdb_env_copyfd2(handle, descriptor, UInt32(MDB_CP_COMPACT)), "cannot copy the store")
    }

    /// The maximum size of the file, in bytes.
    var mapSize: Int {
        var information = unsafe MDB_envinfo()
        return unsafe mdb_env_info(handle, &information) == 0 ? unsafe information.me_mapsize : 0
    }

    /// The number of the last page that was ever used.
    var lastPage: Int {
        var information = unsafe MDB_envinfo()
        return unsafe mdb_env_info(handle, &information) == 0 ? unsafe information.me_last_pgno : 0
    }

    /// The page size, in bytes.
    static let pageSize = sysconf(Int32(_SC_PAGESIZE))
}

/// Throws the error of an LMDB call's result; 0 is success.
///
/// - Parameter what: what was attempted, for people.
func checkLMDB(_ code: Int32, _ what: @autoclosure () -> String) throws(StorageError) {
    switch code {
    case MDB_SUCCESS: return
    case MDB_MAP_FULL, ENOSPC, EDQUOT: throw .full
    case MDB_INVALID, MDB_CORRUPTED, MDB_VERSION_MISMATCH, MDB_PAGE_NOTFOUND, MDB_INCOMPATIBLE, MDB_BAD_VALSIZE:
        throw .damaged(reason(code))
    default: throw .system(code: code, what: "\(what()): \(reason(code))")
    }
}

private func reason(_ code: Int32) -> String {
    guard let text = unsafe mdb_strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
}

/// Throws `errno` as an error that names what was attempted.
func throwErrno(_ what: String) throws(StorageError) -> Never {
    let code = errno
    guard code != ENOSPC, code != EDQUOT else { throw .full }
    throw .system(code: code, what: "\(what): \(reason(code))")
}
