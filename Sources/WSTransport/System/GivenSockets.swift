internal import Glibc

/// Listening sockets that the process was started with, as systemd passes them (sd_listen_fds(3)).
///
/// Descriptors from 3 on; `LISTEN_FDS` counts them, `LISTEN_FDNAMES` names them, and `LISTEN_PID` says whose they are.
package struct GivenSockets: Sendable {
    /// A socket and the name that it was given, `unknown` if none.
    package struct Socket: Equatable, Sendable {
        package let name: String
        package let descriptor: Int32
    }

    /// Those that were passed, in their order.
    package let all: [Socket]

    private static let first: Int32 = 3

    /// Those of this process.
    package init() {
        func variable(_ name: String) -> String? { unsafe getenv(name).flatMap { unsafe String(cString: $0) } }
        self.init(
            process: variable("LISTEN_PID"), count: variable("LISTEN_FDS"), names: variable("LISTEN_FDNAMES"),
            own: getpid())
    }

    /// Those that these variables tell of; none if they are meant for another process.
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
    /// Takes over a socket that another program has bound: from now on it does not block, and no child inherits it.
    ///
    /// Throws `notASocket`, or `invalidArgument` if it does not listen for streams.
    ///
    /// - Returns: where it listens.
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

    /// Where a Unix socket is bound; `nil` for one without a path in the file system.
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
