internal import CLinux
internal import Glibc

/// The directory with the broker's files, locked against other processes while this value exists.
final class DataDirectory: Sendable {
    /// The path as given.
    let path: String
    private let lock: Int32

    /// Creates the directory if it does not exist (mode 0700), and takes its lock.
    ///
    /// - Parameter ownedByAnyone: whether another user may own the directory, because the superuser maintains it.
    init(_ path: String, ownedByAnyone: Bool = false) throws(StorageError) {
        let path = path.isEmpty ? "." : path
        try Self.make(path)
        if let obstacle = Self.obstacle(at: path, ownedByAnyone: ownedByAnyone) {
            throw .system(code: EPERM, what: obstacle)
        }
        let lockPath = path + "/lock"
        // A link could make any file of this user the lock, which is truncated and written.
        let descriptor = unsafe open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else {
            guard errno != ELOOP else { throw .system(code: ELOOP, what: "\(lockPath) is a symbolic link") }
            try throwErrno("cannot open \(lockPath)")
        }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw .system(code: EINVAL, what: "\(lockPath) is not a regular file")
        }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code == EINTR { continue }
            defer { close(descriptor) }
            guard code != EWOULDBLOCK else { throw .inUse("\(path)\(Self.holder(of: descriptor))") }
            errno = code
            try throwErrno("cannot lock \(lockPath)")
        }
        // The process id, for people who find the directory locked; the lock does not depend on it.
        let owner = Array("\(getpid())\n".utf8)
        if ftruncate(descriptor, 0) == 0 { _ = unsafe pwrite(descriptor, owner, owner.count, 0) }
        lock = descriptor
        self.path = path
    }

    deinit {
        // A process that is just being started has a copy of the descriptor until it executes its program.
        _ = flock(lock, LOCK_UN)
        close(lock)
    }

    /// Why an existing directory is not fit for data, as a sentence; `nil` if it is fit, or does not exist.
    ///
    /// Users with write permission could replace the broker's files by their own files or links.
    static func obstacle(at path: String, ownedByAnyone: Bool = false) -> String? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        let user = geteuid()
        guard status.st_mode & S_IFMT == S_IFDIR else { return "the data directory \(path) is not a directory" }
        guard status.st_uid == user || ownedByAnyone && user == 0 else {
            return "the data directory \(path) belongs to another user (\(status.st_uid), and this is \(user))"
        }
        guard status.st_mode & 0o022 == 0 else {
            let mode = String(status.st_mode & 0o777, radix: 8)
            return
                "others may write to the data directory \(path) (mode \(mode)): chmod go-w, or name one in it that is "
                + "not there yet"
        }
        return nil
    }

    /// The directory that a file or directory is in.
    static func parent(of path: String) -> String {
        let trimmed = path.last == "/" ? path.dropLast() : path[...]
        return trimmed.lastIndex(of: "/").map { $0 == trimmed.startIndex ? "/" : String(trimmed[..<$0]) } ?? "."
    }

    /// Whether a group may enter a directory; `nil` if the directory does not exist.
    static func isOpen(_ path: String, to group: UInt32) -> Bool? {
        var status = stat()
        guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
        return status.st_mode & (status.st_gid == group ? 0o010 : 0o001) != 0
    }

    /// Whether there is a directory at a path.
    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Renames a file so that its name says what happened to it, and when; returns the new path.
    ///
    /// - Parameter time: Unix seconds.
    func moveAside(_ name: String, as state: String = "damaged", time: Int) throws(StorageError) -> String {
        let source = "\(path)/\(name)"
        let target = aside(name, state, time)
        guard unsafe rename(source, target) == 0 else { try throwErrno("cannot rename \(source)") }
        try sync()
        return target
    }

    /// Gives a file that is about to be replaced a second name, so that after a power cut at any moment the file exists
    /// under one of its names.
    ///
    /// On a file system without hard links, such as FAT, the file is moved, as by ``moveAside(_:as:time:)``.
    func keepAside(_ name: String, as state: String, time: Int) throws(StorageError) -> String {
        let target = aside(name, state, time)
        guard unsafe link("\(path)/\(name)", target) == 0 else {
            return try moveAside(name, as: state, time: time)
        }
        try sync()
        return target
    }

    private func aside(_ name: String, _ state: String, _ time: Int) -> String {
        let first = "\(path)/\(name).\(state)-\(time)"
        var target = first
        var attempt = 1
        while unsafe access(target, F_OK) == 0 {
            attempt += 1
            target = "\(first)-\(attempt)"
        }
        return target
    }

    /// Whether an earlier file of that name was moved aside, and still exists.
    func hasAside(_ name: String) -> Bool {
        guard let directory = unsafe opendir(path) else { return false }
        defer { unsafe closedir(directory) }
        let beginnings = ["damaged", "replaced"].map { "\(name).\($0)-" }
        while let entry = unsafe readdir(directory) {
            let found = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if beginnings.contains(where: found.hasPrefix) { return true }
        }
        return false
    }

    /// Gives a file that the superuser has created to the owner of the directory, whose broker will open it.
    func giveToOwner(_ name: String) throws(StorageError) {
        guard geteuid() == 0 else { return }
        let file = "\(path)/\(name)"
        var (folder, status) = (stat(), stat())
        let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { try throwErrno("cannot open \(file)") }
        defer { close(descriptor) }
        guard unsafe stat(path, &folder) == 0, unsafe fstat(descriptor, &status) == 0 else {
            try throwErrno("cannot look at \(file)")
        }
        // The owner of the directory could put a hard link to any file in its place, and must not get that file.
        guard status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1 else {
            throw .system(code: EPERM, what: "\(file) is not a regular file with one name")
        }
        guard fchown(descriptor, folder.st_uid, folder.st_gid) == 0 else { try throwErrno("cannot chown \(file)") }
    }

    /// Removes a file if it exists.
    func remove(_ name: String) throws(StorageError) {
        let file = "\(path)/\(name)"
        guard unsafe unlink(file) == 0 || errno == ENOENT else { try throwErrno("cannot remove \(file)") }
    }

    /// Makes the names in the directory durable.
    func sync() throws(StorageError) { try Self.sync(path) }

    /// Makes the names in a directory durable.
    static func sync(_ path: String) throws(StorageError) {
        let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { try throwErrno("cannot open \(path)") }
        defer { close(descriptor) }
        // Some file systems cannot sync a directory, and say so with EINVAL.
        guard fsync(descriptor) == 0 || errno == EINVAL else { try throwErrno("cannot sync \(path)") }
    }

    /// Creates a directory and its missing parents, and makes their names durable.
    static func make(_ path: String) throws(StorageError) {
        let parent = parent(of: path)
        if unsafe mkdir(path, 0o700) != 0 {
            switch errno {
            case EEXIST:
                var status = stat()
                guard unsafe stat(path, &status) == 0 else { try throwErrno("cannot open \(path)") }
                guard status.st_mode & S_IFMT == S_IFDIR else {
                    errno = ENOTDIR
                    try throwErrno("cannot open \(path)")
                }
            case ENOENT where parent != "." && parent != "/":
                try make(parent)
                guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else { try throwErrno("cannot make \(path)") }
            default:
                try throwErrno("cannot make \(path)")
            }
        }
        // The stored data must not be lost with its name. The directory above cannot be synced without permission to
        // read it.
        try? sync(parent)
    }

    private static func holder(of descriptor: Int32) -> String {
        var digits = [UInt8](repeating: 0, count: 20)
        let count = unsafe pread(descriptor, &digits, digits.count, 0)
        let number = digits.prefix(max(count, 0)).prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        return number.isEmpty ? "" : " (by process \(String(decoding: number, as: UTF8.self)))"
    }
}

/// Operations on whole files.
extension DataDirectory {
    /// Copies a file to a new one.
    static func copy(_ source: String, to target: String) throws(StorageError) {
        let input = unsafe open(source, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { try throwErrno("cannot open \(source)") }
        defer { close(input) }
        let output = unsafe open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard output >= 0 else { try throwErrno("cannot make \(target)") }
        defer { close(output) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = unsafe read(input, &bytes, bytes.count)
            if count == 0 { return }
            guard count > 0 else {
                if errno == EINTR { continue }
                try throwErrno("cannot read \(source)")
            }
            var written = 0
            while written < count {
                let result = unsafe bytes.withUnsafeBytes { bytes in
                    unsafe write(output, bytes.baseAddress?.advanced(by: written), count - written)
                }
                if result < 0, errno == EINTR { continue }
                guard result >= 0 else {
                    let code = errno
                    _ = unsafe unlink(target)
                    errno = code
                    try throwErrno("cannot write \(target)")
                }
                written += result
            }
        }
    }

    /// Syncs a private file, and returns its length.
    static func makeLast(_ path: String) throws(StorageError) -> Int {
        let file = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { try throwErrno("cannot open \(path)") }
        defer { close(file) }
        var status = stat()
        guard fchmod(file, 0o600) == 0, fsync(file) == 0, unsafe fstat(file, &status) == 0 else {
            try throwErrno("cannot sync \(path)")
        }
        return status.st_size
    }
}
