internal import CLinux
internal import Glibc

/// A copy of a store on its way to another broker: an unnamed file, as large as the store.
///
/// Its methods wait for the disk: use a separate thread.
package final class OutgoingCopy: Sendable {
    private let descriptor: Int32
    private let write: @Sendable (_ descriptor: Int32) throws(StorageError) -> Void

    /// Creates the file, still empty, in the data directory.
    ///
    /// - Parameter write: fills the file.
    package init(
        in directory: String, _ write: @escaping @Sendable (_ descriptor: Int32) throws(StorageError) -> Void
    ) throws(StorageError) {
        self.write = write
        let path = "\(directory)/\(LMDBStore.fileName).going"
        _ = unsafe unlink(path)
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { try throwErrno("cannot make \(path)") }
        // However this process ends, no file is left.
        guard unsafe unlink(path) == 0 else { try throwErrno("cannot remove \(path)") }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Fills the file.
    package func fill() throws(StorageError) { try write(descriptor) }

    /// Its size, in bytes.
    package var size: Int {
        var status = stat()
        return unsafe fstat(descriptor, &status) == 0 ? status.st_size : 0
    }

    /// Up to `count` bytes from an offset on.
    package func piece(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let result = unsafe bytes.withUnsafeMutableBytes { bytes in
                unsafe pread(descriptor, bytes.baseAddress?.advanced(by: filled), count - filled, offset + filled)
            }
            if result < 0, errno == EINTR { continue }
            guard result >= 0 else { try throwErrno("cannot read the copy of the store") }
            if result == 0 { break }
            filled += result
        }
        bytes.removeLast(count - filled)
        return bytes
    }
}

/// A copy of another broker's store that arrives piece by piece, and replaces this broker's store at the next start.
///
/// Its methods wait for the disk: use a separate thread, one call at a time.
package final class IncomingCopy: Sendable {
    /// The name of a copy that is complete, in the data directory.
    static let fileName = "\(LMDBStore.fileName).copy"

    private let directory: String
    private let descriptor: Int32
    private var partial: String { "\(directory)/\(LMDBStore.fileName).coming" }

    /// Begins with an empty file in the data directory.
    package init(in directory: String) throws(StorageError) {
        self.directory = directory
        let path = "\(directory)/\(LMDBStore.fileName).coming"
        _ = unsafe unlink(path)
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { try throwErrno("cannot make \(path)") }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Appends received bytes.
    package func append(_ bytes: [UInt8]) throws(StorageError) {
        var written = 0
        while written < bytes.count {
            let result = unsafe bytes.withUnsafeBytes { bytes in
                unsafe write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if result < 0, errno == EINTR { continue }
            guard result > 0 else { try throwErrno("cannot write \(partial)") }
            written += result
        }
    }

    /// Checks the copy, and syncs it for the next start.
    package func finish() throws(StorageError) {
        try StoreFormat.check(partial)
        _ = try LMDBStore.finishBackup(partial, as: "\(directory)/\(Self.fileName)")
    }

    /// Removes the incomplete copy.
    package func discard() { _ = unsafe unlink(partial) }

    /// Replaces the store by a complete copy, if there is one.
    ///
    /// What the store before had is in the copy, or it is found in ``FormerStore``.
    static func takeOver(in directory: DataDirectory) throws(StorageError) {
        let copy = "\(directory.path)/\(fileName)"
        guard unsafe access(copy, F_OK) == 0 else { return }
        let target = "\(directory.path)/\(LMDBStore.fileName)"
        if unsafe access(target, F_OK) == 0 { try FormerStore.keep(in: directory, time: time(nil)) }
        // They belong to the store before.
        for suffix in ["-lock", "-mark", "-kept"] { try directory.remove(LMDBStore.fileName + suffix) }
        guard unsafe rename(copy, target) == 0 else { try throwErrno("cannot rename \(copy)") }
        try directory.sync()
    }
}
