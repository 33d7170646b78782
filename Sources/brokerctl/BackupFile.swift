internal import Broker
internal import CLinux
internal import Glibc

/// A copy of a store that is being written; it has a temporary name until it is complete.
struct BackupFile {
    /// Its final name; `nil` if it goes to standard output.
    let path: String?
    private let partial: String
    private let descriptor: Int32
    private var isThere = true

    /// Creates the file.
    ///
    /// - Parameter destination: a file, a directory, or `-`.
    init(_ destination: String) throws(Failure) {
        if destination == "-" {
            guard !Output.isTerminal else { throw .usage("backup -: a store is binary; redirect standard output") }
            path = nil
            (partial, descriptor) = try Self.makeTemporary()
            return
        }
        let target = try Self.target(destination)
        guard unsafe access(target, F_OK) != 0 else { throw .failed("the file exists already: \(target)") }
        path = target
        partial = target + ".partial"
        // Left by an interrupted backup.
        _ = unsafe unlink(partial)
        descriptor = unsafe open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .failed("\(partial): \(Self.reason)") }
    }

    private static func target(_ destination: String) throws(Failure) -> String {
        var status = stat()
        let isThere = unsafe stat(destination, &status) == 0
        if isThere, status.st_mode & S_IFMT == S_IFDIR {
            return (destination.hasSuffix("/") ? destination : destination + "/") + LMDBStore.fileName
        }
        guard destination.hasSuffix("/") else { return destination }
        do throws(StorageError) { try LMDBStore.makeBackupDirectory(destination) } catch { throw .failed("\(error)") }
        return destination + LMDBStore.fileName
    }

    private static func makeTemporary() throws(Failure) -> (String, Int32) {
        let folder = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        var name = Array("\(folder)/broker-backup-XXXXXX".utf8CString)
        let descriptor = unsafe mkstemp(&name)
        guard descriptor >= 0 else { throw .failed("\(folder): \(reason)") }
        let path = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return (String(decoding: path, as: UTF8.self), descriptor)
    }

    private static var reason: String { unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "not writable" }

    /// Writes the next piece.
    func write(_ bytes: [UInt8]) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress.map { unsafe $0 + sent }, $0.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .failed("\(partial): \(Self.reason)") }
            sent += count
        }
    }

    /// Checks the received file, and moves it to its final name; returns its size in bytes.
    mutating func finish() throws(Failure) -> Int {
        do throws(StorageError) {
            if let path {
                let size = try LMDBStore.finishBackup(partial, as: path)
                isThere = false
                return size
            }
            try LMDBStore.checkBackup(partial)
        } catch .damaged(let what) {
            throw .failed("the received copy is damaged: \(what)")
        } catch {
            throw .failed("\(error)")
        }
        return try pour()
    }

    /// Writes the whole file to standard output; the file is unlinked first, whatever happens.
    private mutating func pour() throws(Failure) -> Int {
        let source = unsafe open(partial, O_RDONLY | O_CLOEXEC)
        guard source >= 0 else { throw .failed("\(partial): \(Self.reason)") }
        defer { close(source) }
        remove()
        var size = 0
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = unsafe read(source, &bytes, bytes.count)
            if count == 0 { return size }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .failed("\(partial): \(Self.reason)") }
            size += count
            Output.write(Array(bytes[..<count]))
        }
    }

    /// Removes an existing file that is not a backup.
    mutating func remove() {
        if isThere { _ = unsafe unlink(partial) }
        isThere = false
    }
}
