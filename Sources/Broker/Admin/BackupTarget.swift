internal import CLinux
internal import Glibc
internal import Synchronization

/// The file below `admin.backup_directory` that the broker writes a copy of its store to.
///
/// The file has a temporary name until it is complete. Below the directory no symbolic link is followed and no file is
/// replaced, whatever other processes do there meanwhile. Any thread; one at a time.
final class BackupTarget: Sendable {
    /// The path of the complete file.
    let path: String
    private let name: String
    private let directory: Int32
    private let descriptor: Int32
    private let check: @Sendable (_ path: String) throws(StorageError) -> Void
    private let trouble = Mutex<String?>(nil)
    private let written = Atomic<Int>(0)

    private var partial: String { name + ".partial" }
    /// The number of bytes written.
    var size: Int { written.load(ordering: .relaxed) }

    /// Creates the file.
    ///
    /// - Parameters:
    ///   - names: the components of the path, at least one; all but the last name existing directories.
    ///   - check: throws if a file is not a complete copy of a store.
    init(
        _ names: [String], in root: String, check: @escaping @Sendable (_ path: String) throws(StorageError) -> Void
    ) throws(Refusal) {
        path = root + (root.hasSuffix("/") ? "" : "/") + names.joined(separator: "/")
        name = names.last ?? ""
        self.check = check
        directory = try Self.directory(names.dropLast(), in: root)
        var status = stat()
        guard unsafe fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0 else {
            close(directory)
            throw Refusal(.conflict, "path: \(path) already exists.")
        }
        // An interrupted broker may have left the file; there is only one backup at a time.
        unsafe _ = unlinkat(directory, name + ".partial", 0)
        descriptor = unsafe openat(
            directory, name + ".partial", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let refusal = Self.refusal(path)
            close(directory)
            throw refusal
        }
    }

    deinit {
        close(descriptor)
        close(directory)
    }

    private static func directory(_ names: ArraySlice<String>, in root: String) throws(Refusal) -> Int32 {
        var current = unsafe open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard current >= 0 else { throw refusal("admin.backup_directory: \(root)") }
        for name in names {
            let next = unsafe openat(current, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            let refusal = next < 0 ? refusal("path: \(name)") : nil
            close(current)
            if let refusal { throw refusal }
            current = next
        }
        return current
    }

    private static func refusal(_ what: String) -> Refusal {
        switch errno {
        case ELOOP, ENOTDIR: Refusal(.forbidden, "\(what) is not a directory; links are not followed.")
        case ENOENT: Refusal(.notFound, "\(what): there is no such directory.")
        default: Refusal(.unavailable, "\(what): \(reason).")
        }
    }

    private static var reason: String { unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "not writable" }

    /// Writes the next piece; returns `false` if that fails.
    func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress.map { unsafe $0 + sent }, $0.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                let reason = Self.reason
                trouble.withLock { $0 = "\(path): \(reason)" }
                return false
            }
            sent += count
            written.wrappingAdd(count, ordering: .relaxed)
        }
        return true
    }

    /// Checks the copy, syncs it and gives it its name; removes it if anything has failed.
    ///
    /// - Parameter failure: why the copy is incomplete; `nil` if all of it was written.
    /// - Returns: why there is no copy; `nil` if it is complete.
    func finish(_ failure: String?) -> String? {
        let failure = trouble.withLock { $0 } ?? failure ?? settle()
        unsafe _ = unlinkat(directory, partial, 0)
        return failure
    }

    private func settle() -> String? {
        do throws(StorageError) {
            // Checked by descriptor, because another file may have the name by now.
            try check("/proc/self/fd/\(descriptor)")
        } catch {
            return "\(error)"
        }
        guard fsync(descriptor) == 0, unsafe linkat(directory, partial, directory, name, 0) == 0 else {
            return "\(path): \(Self.reason)"
        }
        // Some file systems cannot sync a directory.
        _ = fsync(directory)
        return nil
    }
}
