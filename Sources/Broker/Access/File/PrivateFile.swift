internal import CLinux
internal import Glibc
internal import WSTransport

/// Reads files with secrets only if no other user can, and replaces them atomically.
package enum PrivateFile {
    /// Why a file cannot be read or written: a sentence without the file's name.
    package struct Trouble: Error, Sendable {
        package let message: String

        init(_ message: String) { self.message = message }

        /// The system's last error.
        fileprivate static var ofSystem: Trouble { Trouble(Errno.current.description) }
    }

    /// Reads a file; `nil` if it does not exist.
    ///
    /// Refuses a file that is not regular, is larger than `maximum` bytes, or is accessible to other users. A file of
    /// root that its group may read is accepted, as with Debian's `ssl-cert`.
    ///
    /// - Parameter isSecret: `false` if other users may read the file and its group may write it.
    package static func read(
        _ path: String, atMost maximum: Int, isSecret: Bool = true
    ) throws(Trouble) -> [UInt8]? {
        let file: FileDescriptor
        do throws(Errno) { file = try .reading(path) } catch {
            if error.rawValue == ENOENT { return nil }
            throw Trouble(error.description)
        }
        var status = stat()
        guard unsafe fstat(file.rawValue, &status) == 0 else { throw .ofSystem }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Trouble("expected a regular file") }
        let forbidden: mode_t = status.st_uid == 0 ? 0o037 : 0o077
        guard !isSecret || status.st_mode & forbidden == 0 else {
            let mode = String(status.st_mode & 0o777, radix: 8)
            throw Trouble("others may read or write it (mode \(mode)): chmod go-rwx")
        }
        // A user that can write a file of keys can sign tokens.
        guard status.st_mode & 0o002 == 0 else {
            throw Trouble("others may write it (mode \(String(status.st_mode & 0o777, radix: 8))): chmod o-w")
        }
        guard status.st_size <= maximum else { throw Trouble("expected at most \(maximum) bytes") }
        do throws(Errno) {
            let bytes = try file.readToEnd(atMost: maximum)
            if bytes.count <= maximum { return bytes }
        } catch {
            throw Trouble(error.description)
        }
        throw Trouble("expected at most \(maximum) bytes")
    }

    /// Replaces a file atomically; the new file has mode 0600.
    ///
    /// The new file is on disk before it replaces the old one, so after a power cut either of them exists in full.
    /// Symbolic links are followed; the owner stays the same.
    package static func replace(_ path: String, with bytes: [UInt8]) throws(Trouble) {
        let path = resolved(path)
        let new = "\(path).new"
        // An interrupted writer may have left the file; active writers hold the lock.
        unsafe unlink(new)
        let descriptor = unsafe open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .ofSystem }
        do throws(Trouble) {
            defer { close(descriptor) }
            // A file that root writes for an unprivileged broker stays the property of that broker.
            if geteuid() == 0, let owner = owner(of: path) { _ = fchown(descriptor, owner.user, owner.group) }
            try write(bytes, to: descriptor)
            guard fsync(descriptor) == 0, unsafe rename(new, path) == 0 else { throw .ofSystem }
        } catch {
            unsafe unlink(new)
            throw error
        }
        let directory = unsafe open(directory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        // Some file systems cannot sync a directory.
        _ = fsync(directory)
        close(directory)
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) throws(Trouble) {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress.map { unsafe $0 + sent }, $0.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .ofSystem }
            sent += count
        }
    }

    private static func resolved(_ path: String) -> String {
        guard let found = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(found) }
        return unsafe String(cString: found)
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func owner(of path: String) -> (user: uid_t, group: gid_t)? {
        var status = stat()
        if unsafe stat(path, &status) != 0 {
            guard unsafe stat(directory(of: path), &status) == 0 else { return nil }
        }
        return (status.st_uid, status.st_gid)
    }

    /// A lock on a directory, for programs that replace files in it.
    package struct Turn {
        private let descriptor: Int32

        /// Takes the lock, and waits for other programs that hold it.
        package init(to path: String) throws(Trouble) {
            descriptor = unsafe open(
                PrivateFile.directory(of: PrivateFile.resolved(path)), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else { throw .ofSystem }
            while flock(descriptor, LOCK_EX) != 0 {
                guard errno == EINTR else { throw .ofSystem }
            }
        }

        /// Releases the lock by closing its descriptor.
        package func end() { _ = Glibc.close(descriptor) }
    }
}

/// A value that changes when a file is written or replaced.
package struct FileStamp: Equatable, Sendable {
    private let node: UInt64
    private let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    /// Whether there was no file.
    package var isMissing: Bool { size < 0 }

    /// Whether there is a file without content.
    var isEmpty: Bool { size == 0 }

    /// The stamp of a file now; a missing file has a stamp, too.
    package init(_ path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            (node, size, seconds, nanoseconds) = (0, -1, 0, 0)
            return
        }
        node = UInt64(status.st_ino)
        size = Int(status.st_size)
        seconds = Int(status.st_mtim.tv_sec)
        nanoseconds = Int(status.st_mtim.tv_nsec)
    }
}
