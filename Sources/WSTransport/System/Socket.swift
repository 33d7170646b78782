internal import CLinux
internal import Glibc

/// Creates and configures sockets.
///
/// Each verb names its C function.
package enum Socket {
    /// Makes a listening, non-blocking socket.
    ///
    /// The corresponding C functions are `socket`, `bind`, `listen`.
    ///
    /// - Parameters:
    ///   - sharesPort: whether several sockets may listen on the address (`SO_REUSEPORT`); the kernel distributes
    ///     connections.
    ///   - isIPv6Only: whether `::` accepts no IPv4 connections; other addresses accept only their own family anyway.
    ///   - mode: the permissions of the file at a path.
    ///   - group: the group of the file at a path; `nil` for the process's group.
    package static func listening(
        on address: SocketAddress, sharesPort: Bool, isIPv6Only: Bool = false, mode: UInt32 = 0o600,
        group: UInt32? = nil
    ) throws(Errno) -> FileDescriptor {
        let descriptor = try make(address.domain)
        let raw = descriptor.rawValue
        if address.path == nil {
            try set(raw, SOL_SOCKET, SO_REUSEADDR, 1)
            if sharesPort { try set(raw, SOL_SOCKET, SO_REUSEPORT, 1) }
            if address.domain == AF_INET6 {
                let isOne = isIPv6Only || !address.isUnspecified
                try set(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, isOne ? 1 : 0)
            }
        } else {
            // Set at once, whatever the umask is: the file gets the mode of the socket.
            _ = try valueOrErrno { fchmod(raw, 0o600) }
        }
        try unsafe address.withSockaddr { (pointer, length) throws(Errno) in
            _ = try valueOrErrno { unsafe bind(raw, pointer, length) }
        }
        if let path = address.path {
            if let group { _ = try valueOrErrno { unsafe chown(path, uid_t.max, group) } }
            if mode != 0o600 { _ = try valueOrErrno { unsafe chmod(path, mode) } }
        }
        _ = try valueOrErrno { listen(raw, 4096) }
        return descriptor
    }

    /// Two sockets that are connected with each other, each without an owner.
    ///
    /// The corresponding C function is `socketpair`.
    static func pair() throws(Errno) -> (Int32, Int32) {
        var pair: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        _ = try valueOrErrno { unsafe socketpair(AF_UNIX, type, 0, &pair) }
        return (pair[0], pair[1])
    }

    /// Makes another descriptor of the same socket.
    ///
    /// The corresponding C function is `fcntl` with `F_DUPFD_CLOEXEC`.
    package static func duplicate(_ descriptor: Int32) throws(Errno) -> FileDescriptor {
        FileDescriptor(adopting: try valueOrErrno { fcntl(descriptor, F_DUPFD_CLOEXEC, 0) })
    }

    /// Closes a descriptor that has no owner.
    package static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

    /// Starts to connect without waiting; the socket becomes writable when it is done.
    ///
    /// The corresponding C function is `connect`.
    ///
    /// - Parameter source: the address to connect from; `nil`: the system chooses.
    package static func connecting(
        to address: SocketAddress, from source: SocketAddress? = nil
    ) throws(Errno) -> FileDescriptor {
        let descriptor = try make(address.domain)
        if let source {
            // `connect` chooses the port, because it knows both ends; otherwise the number of ports would limit the
            // number of connections.
            try set(descriptor.rawValue, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1)
            try unsafe source.withSockaddr { (pointer, length) throws(Errno) in
                _ = try valueOrErrno { unsafe bind(descriptor.rawValue, pointer, length) }
            }
        }
        try unsafe address.withSockaddr { (pointer, length) throws(Errno) in
            do throws(Errno) {
                _ = try valueOrErrno { unsafe connect(descriptor.rawValue, pointer, length) }
            } catch {
                if error != .inProgress { throw error }
            }
        }
        if address.path == nil { setNoDelay(descriptor.rawValue) }
        return descriptor
    }

    /// Accepts the next waiting connection, and returns it with its peer; throws `wouldBlock` if there is none.
    ///
    /// The corresponding C function is `accept4`.
    package static func accept(from listener: borrowing FileDescriptor) throws(Errno) -> (Int32, SocketAddress?) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let raw = listener.rawValue
        let accepted = try valueOrErrno {
            unsafe withUnsafeMutablePointer(to: &storage) { storage in
                unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe accept4(
                        raw, __SOCKADDR_ARG(__sockaddr__: address), &length,
                        Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
                }
            }
        }
        return (accepted, SocketAddress(storage))
    }

    /// Makes the socket send small pieces at once: the reactor's turn has already combined them.
    package static func setNoDelay(_ descriptor: Int32) {
        try? set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    }

    /// Makes the kernel probe a silent peer, for protocols without a probe of their own.
    ///
    /// - Parameters: idle and timeout in whole seconds, at least 1.
    package static func setKeepAlive(_ descriptor: Int32, idleSeconds: Int, timeoutSeconds: Int) {
        try? set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        try? set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, Int32(clamping: max(1, idleSeconds)))
        try? set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, Int32(clamping: max(1, timeoutSeconds / 2)))
        try? set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 2)
    }

    /// Makes the next close a reset, so that nothing waits in the kernel for a peer that has gone.
    package static func setResetOnClose(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        unsafe _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Sends as much as the socket accepts now, without waiting and without `SIGPIPE`; a negative result is an error.
    ///
    /// The corresponding C function is `send`.
    @inline(__always)
    static func send(_ bytes: UnsafeRawPointer, _ count: Int, to descriptor: Int32) -> Int {
        unsafe plain_send(descriptor, bytes, count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }

    /// Announces that nothing more will be sent.
    ///
    /// The corresponding C function is `shutdown`.
    package static func shutDownSending(_ descriptor: Int32) { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// The error with which a connection attempt ended, if any.
    package static func pendingError(_ descriptor: Int32) -> Errno? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &length) == 0 else { return .current }
        return value == 0 ? nil : Errno(rawValue: value)
    }

    /// The address that a socket is bound to; tells which port the kernel chose.
    package static func localAddress(_ descriptor: Int32) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = unsafe withUnsafeMutablePointer(to: &storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        return code == 0 ? SocketAddress(storage) : nil
    }

    /// The process at the other end of a Unix socket, as the kernel knows it; `nil` for another kind of socket.
    ///
    /// The corresponding option is `SO_PEERCRED`.
    package static func peerCredentials(_ descriptor: Int32) -> (pid: Int32, uid: UInt32, gid: UInt32)? {
        var values: InlineArray<3, UInt32> = [0, .max, .max]
        var length = socklen_t(MemoryLayout.size(ofValue: values))
        let code = unsafe getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &values, &length)
        // For an Internet socket the kernel returns no process.
        guard code == 0, values[0] != 0 else { return nil }
        return (Int32(bitPattern: values[0]), values[1], values[2])
    }

    private static func make(_ domain: Int32) throws(Errno) -> FileDescriptor {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        return FileDescriptor(adopting: try valueOrErrno { socket(domain, type, 0) })
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) throws(Errno) {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        _ = try valueOrErrno { unsafe setsockopt(descriptor, level, name, &value, size) }
    }
}
