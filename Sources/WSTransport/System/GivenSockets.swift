internal import Glibc

/// The listening sockets that were passed to this process, as systemd passes them (sd_listen_fds(3)).
///
/// Descriptors from 3 on; `LISTEN_FDS` is their number, `LISTEN_FDNAMES` has their names, and `LISTEN_PID` their
/// process.
package struct GivenSockets: Sendable {
    /// A socket and its name; `unknown` if it has none.
    package struct Socket: Equatable, Sendable {
        package let name: String
        package let descriptor: Int32
    }

    /// The sockets, in order.
    package let all: [Socket]

    private static let first: Int32 = 3

    /// The sockets passed to this process.
    package init() {
        func variable(_ name: String) -> String? { unsafe getenv(name).flatMap { unsafe String(cString: $0) } }
        self.init(
            process: variable("LISTEN_PID"), count: variable("LISTEN_FDS"), names: variable("LISTEN_FDNAMES"),
            own: getpid())
    }

    /// The sockets that these variables describe; none if they are for another process.
    init(process: String?, count: String?, names: String?, own: Int32) {
        guard let process, Int32(process) == own, let count = count.flatMap({ Int32($0) }), 1...1024 ~= count else {
            all = []
            return
        }
        let names = names?.split(separator: ":", omittingEmptySubsequences: false).map(String.init) ?? []
        all = (0..<count).map { index in
            let name = Int(index) < names.count ? names[Int(index)] : ""
            return Socket(name: name.isEmpty ? "unknown" : name, descriptor: Self.first + index)
        }
    }
}

extension Socket {
    /// Takes over a socket that another program has bound: makes it non-blocking, and not inherited by children.
    ///
    /// Throws `notASocket`, or `invalidArgument` if it does not listen for streams.
    ///
    /// - Returns: the address that it listens on.
    package static func adopt(_ descriptor: Int32) throws(Errno) -> SocketAddress {
        func option(_ name: Int32) throws(Errno) -> Int32 {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            _ = try valueOrErrno { unsafe getsockopt(descriptor, SOL_SOCKET, name, &value, &length) }
            return value
        }
        let type = try option(SO_TYPE)
        guard type == Int32(SOCK_STREAM.rawValue), try option(SO_ACCEPTCONN) == 1,
            let address = localAddress(descriptor)
        else { throw Errno(rawValue: EINVAL) }
        let flags = try valueOrErrno { fcntl(descriptor, F_GETFL) }
        _ = try valueOrErrno { fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
        _ = try valueOrErrno { fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        return address.path == nil ? address : boundPath(of: descriptor) ?? address
    }

    /// The path that a Unix socket is bound to; `nil` if it has none in the file system.
    private static func boundPath(of descriptor: Int32) -> SocketAddress? {
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let code = unsafe withUnsafeMutablePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        guard code == 0 else { return nil }
        let path = unsafe withUnsafeBytes(of: address.sun_path) { unsafe $0.prefix { $0 != 0 }.map { $0 } }
        return SocketAddress(path: String(decoding: path, as: UTF8.self))
    }
}
