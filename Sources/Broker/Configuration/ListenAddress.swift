internal import Glibc

/// The address of a listener.
///
/// Names are not resolved: the address of a name may change, and with it the clients that can reach the broker.
package enum ListenAddress: Sendable, Hashable {
    /// A TCP port of an address: IPv4, or IPv6 without brackets, in canonical form; port 0 for any free one.
    case internet(host: String, port: UInt16)
    /// A Unix socket; the path is absolute and fits `sockaddr_un`.
    case unix(path: String)
    /// The sockets that systemd passes with this name (`FileDescriptorName=`); `nil` for those that no other listener
    /// takes.
    case systemd(name: String?)

    /// The default address.
    package static let defaultAddress = ListenAddress.internet(host: "127.0.0.1", port: 8080)

    /// The maximum length of a Unix socket's path in bytes; `sun_path` has one more byte for the terminator.
    package static let maximumPathLength = 107

    /// Parses `127.0.0.1:8080`, `[::1]:8080`, `unix:/path`, `systemd` or `systemd:NAME`; `nil` if `text` is none of
    /// these.
    ///
    /// `localhost:8080` and `:8080` mean 127.0.0.1, so that an omitted host never exposes the broker.
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

    /// - Parameter name: empty, or the part after the colon: a name that systemd accepts.
    private init?(passedAs name: Substring) {
        guard !name.isEmpty else {
            self = .systemd(name: nil)
            return
        }
        let name = name.dropFirst()
        guard 1...255 ~= name.utf8.count, name.utf8.allSatisfy({ 0x21...0x7E ~= $0 && $0 != 0x3A }) else { return nil }
        self = .systemd(name: String(name))
    }

    /// Whether it is the path of a Unix socket.
    package var isPath: Bool { if case .unix = self { true } else { false } }

    /// Whether only this machine can connect: 127.0.0.0/8, `::1`, a Unix socket.
    package var isLoopback: Bool {
        switch self {
        case .internet(let host, _): host.hasPrefix("127.") || host == "::1" || host.hasPrefix("::ffff:127.")
        // The socket's own address is checked when it is known, by ``Settings/refusalToListen(on:)``.
        case .unix, .systemd: true
        }
    }

    private static func port(_ digits: Substring.UTF8View) -> UInt16? {
        guard 1...5 ~= digits.count, digits.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return UInt16(Substring(digits))
    }

    /// The address as the kernel prints it, so that each address has only one text.
    private static func canonical(_ host: String, family: Int32) -> String? {
        guard !host.utf8.contains(0) else { return nil }
        // Large enough for both families.
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
    /// The text that ``init(_:)`` parses.
    package var description: String {
        switch self {
        case .internet(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        case .systemd(let name): name.map { "systemd:\($0)" } ?? "systemd"
        }
    }
}
