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
