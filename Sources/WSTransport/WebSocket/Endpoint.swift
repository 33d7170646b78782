internal import CLinux
internal import Glibc

/// The address of a server, as a client names it.
package enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A host name or numeric address (IPv6 without brackets), and a port; `isSecure`: whether it uses TLS.
    case internet(host: String, port: UInt16, isSecure: Bool = false)
    /// A socket in the file system.
    case unix(path: String)

    /// `host:port`, `[address]:port` or the path.
    package var description: String {
        switch self {
        case .internet(let host, let port, _):
            host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        }
    }

    /// The value of `Host`: without the port if it is the scheme's default.
    package var hostField: String {
        switch self {
        case .internet(_, port: 80, isSecure: false): String(description.dropLast(3))
        case .internet(_, port: 443, isSecure: true): String(description.dropLast(4))
        case .internet: description
        case .unix: "localhost"
        }
    }

    /// The addresses, if they are known without the resolver; `nil` if ``resolve()`` must find them.
    var numericAddresses: Result<[SocketAddress], ConnectError>? {
        switch self {
        case .unix(let path):
            SocketAddress(path: path).map { .success([$0]) }
                ?? .failure(.unusablePath("a socket's path is 1 to 107 bytes long"))
        case .internet(let host, let port, _): SocketAddress(host: host, port: port).map { .success([$0]) }
        }
    }

    /// The addresses to try, in the resolver's order; at least one.
    ///
    /// May block on the resolver.
    ///
    /// The corresponding C function is `getaddrinfo`.
    package func resolve() throws(ConnectError) -> [SocketAddress] {
        if let addresses = numericAddresses { return try addresses.get() }
        guard case .internet(let host, let port, _) = self else { return [] }
        return try Self.lookUp(host, port)
    }

    private static func lookUp(_ host: String, _ port: UInt16) throws(ConnectError) -> [SocketAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            throw .unknownHost(unsafe String(cString: gai_strerror(code)))
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            unsafe next = entry.pointee.ai_next
            guard let source = unsafe entry.pointee.ai_addr else { continue }
            var storage = sockaddr_storage()
            let length = unsafe min(Int(entry.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
            unsafe withUnsafeMutableBytes(of: &storage) {
                unsafe $0.copyMemory(from: UnsafeRawBufferPointer(start: source, count: length))
            }
            if let address = SocketAddress(storage), !addresses.contains(address) { addresses.append(address) }
        }
        guard !addresses.isEmpty else { throw .unknownHost("No address associated with hostname") }
        return addresses
    }
}
