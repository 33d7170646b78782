internal import Glibc

/// Where a listener waits for connections.
///
/// Names are not resolved: the address of a name may change, and with it the clients that can reach the broker.
package enum ListenAddress: Sendable, Hashable {
    /// A TCP port of an address: IPv4, or IPv6 without brackets, in its canonical text. Port 0: any free one.
    case internet(host: String, port: UInt16)
    /// A socket in the file system; the path is absolute and fits `sockaddr_un`.
    case unix(path: String)
    /// The sockets that systemd passes by this name (`FileDescriptorName=`); `nil`: those that no other listener takes.
    case systemd(name: String?)

    /// Where a broker listens by default.
    package static let defaultAddress = ListenAddress.internet(host: "127.0.0.1", port: 8080)

    /// The maximum length of a Unix socket's path in bytes; `sun_path` has one more byte for the terminator.
    package static let maximumPathLength = 107

    /// Reads `127.0.0.1:8080`, `[::1]:8080`, `unix:/path`, `systemd` or `systemd:NAME`; `nil` when `text` is none of these.
    ///
    /// `localhost:8080` and `:8080` are that port of 127.0.0.1: a host that is left out lets in nobody from elsewhere.
    package init?(_ text: String) {
        if text.hasPrefix("unix:") {
            self.init(path: String(text.dropFirst(5)))
            return
        }
        if text == "systemd" || text.hasPrefix("systemd:") {
            self.init(passedAs: text.dropFirst(7))
            return
        }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")),
            let port = Self.port(text.utf8[text.utf8.index(after: colon)...])
        else { return nil }
        let host = text[..<colon]
        if host.isEmpty || host.lowercased() == "localhost" {
            self = .internet(host: "127.0.0.1", port: port)
        } else if host.hasPrefix("["), host.hasSuffix("]") {
            guard let host = Self.canonical(String(host.dropFirst().dropLast()), family: AF_INET6) else { return nil }
            self = .internet(host: host, port: port)
        } else {
            guard let host = Self.canonical(String(host), family: AF_INET) else { return nil }
            self = .internet(host: host, port: port)
        }
    }

    private init?(path: String) {
        guard path.hasPrefix("/"), path.utf8.count > 1, path.utf8.count <= Self.maximumPathLength,
            !path.utf8.contains(0)
        else { return nil }
        self = .unix(path: path)
    }

    /// - Parameter name: nothing, or what follows a colon: a name as systemd takes it.
    private init?(passedAs name: Substring) {
        guard !name.isEmpty else {
            self = .systemd(name: nil)
            return
        }
        let name = name.dropFirst()
        guard 1...255 ~= name.utf8.count, name.utf8.allSatisfy({ 0x21...0x7E ~= $0 && $0 != 0x3A }) else { return nil }
        self = .systemd(name: String(name))
    }

    /// Whether it is a path of the file system.
    package var isPath: Bool { if case .unix = self { true } else { false } }

    /// Whether only this machine can connect: 127.0.0.0/8, `::1`, a Unix socket.
    package var isLoopback: Bool {
        switch self {
        case .internet(let host, _): host.hasPrefix("127.") || host == "::1" || host.hasPrefix("::ffff:127.")
        // Known when the socket is: ``Settings/refusalToListen(on:)`` is asked again then.
        case .unix, .systemd: true
        }
    }

    private static func port(_ digits: Substring.UTF8View) -> UInt16? {
        guard 1...5 ~= digits.count, digits.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return UInt16(Substring(digits))
    }

    /// The address as the kernel prints it, so that every address has only one text.
    private static func canonical(_ host: String, family: Int32) -> String? {
        guard !host.utf8.contains(0) else { return nil }
        // As many bytes as either family needs.
        var address = SIMD16<UInt8>()
        guard unsafe inet_pton(family, host, &address) == 1 else { return nil }
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            guard let start = text.baseAddress,
                unsafe inet_ntop(family, &address, start, socklen_t(text.count)) != nil
            else { return nil }
            return unsafe String(cString: start)
        }
    }
}

extension ListenAddress: CustomStringConvertible {
    /// The text that ``init(_:)`` reads.
    package var description: String {
        switch self {
        case .internet(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        case .systemd(let name): name.map { "systemd:\($0)" } ?? "systemd"
        }
    }
}
