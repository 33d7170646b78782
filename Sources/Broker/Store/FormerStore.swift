internal import CLinux
internal import Glibc

/// A store that a copy of another broker's has replaced, kept until it is known whether it has what no other has.
///
/// It lies in a directory of its own within the data directory, so that it can be opened beside the store.
package struct FormerStore: Sendable {
    private static let prefix = "\(LMDBStore.fileName).former-"

    /// The data directory.
    private let directory: String
    /// The name of its own directory in that.
    private let name: String

    private var path: String { "\(directory)/\(name)" }

    /// Moves the present store away.
    static func keep(in directory: DataDirectory, time: Int) throws(StorageError) {
        var (name, attempt) = ("\(prefix)\(time)", 1)
        while unsafe mkdir("\(directory.path)/\(name)", 0o700) != 0 {
            guard errno == EEXIST, attempt < 1000 else { try throwErrno("cannot make \(directory.path)/\(name)") }
            attempt += 1
            name = "\(prefix)\(time)-\(attempt)"
        }
        let file = "\(directory.path)/\(LMDBStore.fileName)"
        guard unsafe rename(file, "\(directory.path)/\(name)/\(LMDBStore.fileName)") == 0 else {
            try throwErrno("cannot move \(file)")
        }
        try DataDirectory.sync("\(directory.path)/\(name)")
        try directory.sync()
    }

    /// Those in a data directory, the oldest first.
    package static func all(in path: String) -> [FormerStore] {
        guard let directory = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(directory) }
        var found: [FormerStore] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name.hasPrefix(prefix) { found.append(FormerStore(directory: path, name: name)) }
        }
        return found.sorted { ($0.name.utf8.count, $0.name) < ($1.name.utf8.count, $1.name) }
    }

    /// Opens it; `nil`: it is not whole.
    package func open(maximumSize: Int) throws(StorageError) -> LMDBStore? {
        guard unsafe access("\(path)/\(LMDBStore.fileName)", F_OK) == 0 else { return nil }
        let (store, movedAside) = try LMDBStore.open(directory: path, maximumSize: maximumSize)
        guard movedAside == nil else {
            store.close()
            return nil
        }
        return store
    }

    /// Removes it, when it is closed.
    package func discard() throws(StorageError) {
        for suffix in ["", "-lock", "-mark", "-kept"] { try remove(LMDBStore.fileName + suffix) }
        try remove("lock")
        guard unsafe rmdir(path) == 0 || errno == ENOENT else { try throwErrno("cannot remove \(path)") }
        try DataDirectory.sync(directory)
    }

    /// Keeps it for people, when it is closed; returns where.
    package func keepForPeople() throws(StorageError) -> String {
        let target = "\(directory)/\(LMDBStore.fileName).undone-\(name.dropFirst(Self.prefix.count))"
        guard unsafe rename("\(path)/\(LMDBStore.fileName)", target) == 0 else {
            try throwErrno("cannot rename \(path)")
        }
        try discard()
        return target
    }

    private func remove(_ file: String) throws(StorageError) {
        guard unsafe unlink("\(path)/\(file)") == 0 || errno == ENOENT else {
            try throwErrno("cannot remove \(path)/\(file)")
        }
    }
}
