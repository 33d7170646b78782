internal import CLinux
internal import Glibc

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
