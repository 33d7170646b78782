internal import CLinux
internal import Glibc

/// An open file descriptor, closed when this value ends.
package struct FileDescriptor: ~Copyable {
    package let rawValue: Int32

    package init(adopting rawValue: Int32) { self.rawValue = rawValue }

    deinit { _ = Glibc.close(rawValue) }

    /// Gives up the descriptor without closing it.
    package consuming func release() -> Int32 {
        let raw = rawValue
        discard self
        return raw
    }

    /// Reads up to `count` bytes to `address`; 0 means end of stream.
    ///
    /// The corresponding C function is `read`.
    package func read(into bytes: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        try valueOrErrno { unsafe Glibc.read(rawValue, bytes.baseAddress, bytes.count) }
    }

    /// Opens a file for reading; does not wait for the writer of a pipe.
    ///
    /// The corresponding C function is `open`.
    package static func reading(_ path: String) throws(Errno) -> FileDescriptor {
        FileDescriptor(adopting: try valueOrErrno { unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) })
    }

    /// Reads to the end; if there are more than `maximum` bytes, returns more than that, but not all.
    package func readToEnd(atMost maximum: Int) throws(Errno) -> [UInt8] {
        try Self.readToEnd(rawValue, atMost: maximum)
    }

    /// The same for a descriptor that remains open.
    package static func readToEnd(_ descriptor: Int32, atMost maximum: Int) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(maximum, 65_535) + 1)
        while bytes.count <= maximum {
            let count = try valueOrErrno {
                unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }

    /// The text of a small file, as the kernel provides them: its first 4 KiB; `nil` if it cannot be read.
    package static func text(of path: String) -> String? {
        do throws(Errno) {
            return String(decoding: try reading(path).readToEnd(atMost: 4096).prefix(4096), as: UTF8.self)
        } catch {
            return nil
        }
    }

    /// Opens a file for appending; if there is none, it is created for its owner only.
    ///
    /// The corresponding C function is `open`. A pipe without a reader is an error, and is not waited for.
    package static func appending(to path: String) throws(Errno) -> FileDescriptor {
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        let raw = try valueOrErrno { unsafe open(path, flags, mode_t(0o600)) }
        // From now on writing blocks, on a thread that may block.
        _ = fcntl(raw, F_SETFL, O_WRONLY | O_APPEND)
        return FileDescriptor(adopting: raw)
    }

    /// Writes all of `bytes`, however long that takes.
    ///
    /// The corresponding C function is `write`.
    package func writeAll(_ bytes: [UInt8]) throws(Errno) {
        var written = 0
        while written < bytes.count {
            written += try valueOrErrno {
                unsafe bytes.withUnsafeBytes { all in
                    let rest = unsafe UnsafeRawBufferPointer(rebasing: all[written...])
                    return unsafe Glibc.write(rawValue, rest.baseAddress, rest.count)
                }
            }
        }
    }

    /// Sends as many of `bytes` as the socket accepts now; never raises `SIGPIPE`.
    ///
    /// The corresponding C function is `send`.
    package func send(_ bytes: UnsafeRawBufferPointer) throws(Errno) -> Int {
        try valueOrErrno {
            unsafe Glibc.send(rawValue, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
        }
    }

    /// Sends as much of several pieces as the socket accepts now; never raises `SIGPIPE`.
    ///
    /// The corresponding C function is `sendmsg`.
    func send(_ pieces: UnsafeMutableBufferPointer<iovec>) throws(Errno) -> Int {
        var message = unsafe msghdr()
        unsafe message.msg_iov = pieces.baseAddress
        unsafe message.msg_iovlen = pieces.count
        return try valueOrErrno {
            unsafe sendmsg(rawValue, &message, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
        }
    }
}
