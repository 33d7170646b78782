internal import CLinux
internal import Glibc

/// An address that a socket listens on or connects to.
package struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// In network byte order, as in memory.
    ///
    /// Not an array, which would double the size of each connection's address.
    private enum Place: Hashable, Sendable { case inet(UInt32), inet6(UInt64, UInt64), unix(path: String) }

    private let place: Place
    /// The port; 0 lets the kernel choose the port to listen on.
    package let port: UInt16

    /// Makes a numeric IPv4 or IPv6 address (without brackets); `nil` for anything else.
    package init?(host: String, port: UInt16) {
        var four = in_addr()
        var six = in6_addr()
        if unsafe inet_pton(AF_INET, host, &four) == 1 {
            place = .inet(four.s_addr)
        } else if unsafe inet_pton(AF_INET6, host, &six) == 1 {
            place = Self.place(six)
        } else {
            return nil
        }
        self.port = port
    }

    /// Makes a path in the file system; `nil` if it is empty or longer than the kernel allows (107 bytes).
    package init?(path: String) {
        guard (1...107).contains(path.utf8.count), !path.utf8.contains(0) else { return nil }
        place = .unix(path: path)
        port = 0
    }

    /// Makes an IPv4 address from its bytes in network order.
    init(four: UInt32, port: UInt16) {
        place = .inet(four)
        self.port = port
    }

    /// Makes an IPv6 address from its bytes in network order.
    init(six: (UInt64, UInt64), port: UInt16) {
        place = .inet6(six.0, six.1)
        self.port = port
    }

    private init(_ place: Place, port: UInt16) {
        self.place = place
        self.port = port
    }

    /// The same, but an IPv4 address in IPv6 form (RFC 4291 §2.5.5.2) becomes that IPv4 address.
    package var unmapped: SocketAddress {
        guard case .inet6(let first, let second) = place else { return self }
        return SocketAddress(Self.placeOfPeer(Self.address(first, second)), port: port)
    }

    private static func place(_ address: in6_addr) -> Place {
        unsafe withUnsafeBytes(of: address) { bytes in
            unsafe .inet6(
                bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
    }

    /// The IPv4 peer of a socket for both families appears as `::ffff:a.b.c.d`; its name must not depend on the
    /// listener.
    private static func placeOfPeer(_ address: in6_addr) -> Place {
        let place = place(address)
        guard case .inet6(0, let second) = place else { return place }
        let halves = unsafe withUnsafeBytes(of: second) { bytes in
            unsafe (bytes.load(as: UInt32.self), bytes.load(fromByteOffset: 4, as: UInt32.self))
        }
        return halves.0.bigEndian == 0xFFFF ? .inet(halves.1) : place
    }

    private static func address(_ first: UInt64, _ second: UInt64) -> in6_addr {
        var address = in6_addr()
        unsafe withUnsafeMutableBytes(of: &address) { bytes in
            unsafe bytes.storeBytes(of: first, as: UInt64.self)
            unsafe bytes.storeBytes(of: second, toByteOffset: 8, as: UInt64.self)
        }
        return address
    }

    /// Whether it is `0.0.0.0` or `::`, which mean every address of the machine.
    var isUnspecified: Bool {
        switch place {
        case .inet(let number): number == 0
        case .inet6(let first, let second): first == 0 && second == 0
        case .unix: false
        }
    }

    /// The network that counts as one client: an IPv4 address itself, for IPv6 the first 64 bits.
    ///
    /// Without the port; `nil` for a path.
    package var network: SocketAddress? {
        switch place {
        case .inet: SocketAddress(place, port: 0)
        case .inet6(let first, _): SocketAddress(.inet6(first, 0), port: 0)
        case .unix: nil
        }
    }

    /// The same without the port.
    package var withoutPort: SocketAddress { SocketAddress(place, port: 0) }

    /// Whether only this machine can use it: 127.0.0.0/8, `::1`, or a path.
    package var isLoopback: Bool {
        switch place {
        case .inet(let number): number.bigEndian >> 24 == 127
        case .inet6(let first, let second): first == 0 && second.bigEndian == 1
        case .unix: true
        }
    }

    package var path: String? {
        if case .unix(let path) = place { path } else { nil }
    }

    /// The address without the port: `127.0.0.1`, `::1`, or `unix`.
    package var host: String {
        switch place {
        case .unix: return "unix"
        case .inet(let number):
            return unsafe withUnsafeBytes(of: number) { unsafe $0.map(String.init).joined(separator: ".") }
        case .inet6(let first, let second):
            var text = [CChar](repeating: 0, count: 64)
            var address = Self.address(first, second)
            unsafe _ = inet_ntop(AF_INET6, &address, &text, 64)
            return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    package var description: String {
        switch place {
        case .unix(let path): path.isEmpty ? "unix" : "unix:\(path)"
        case .inet: "\(host):\(port)"
        case .inet6: "[\(host)]:\(port)"
        }
    }

    var domain: Int32 {
        switch place {
        case .unix: AF_UNIX
        case .inet: AF_INET
        case .inet6: AF_INET6
        }
    }

    /// Calls `body` with the C form of this address.
    func withSockaddr<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        var storage = sockaddr_storage()
        let length: Int
        switch place {
        case .inet(let number):
            length = MemoryLayout<sockaddr_in>.size
            unsafe withUnsafeMutableBytes(of: &storage) { storage in
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_port = port.bigEndian
                address.sin_addr.s_addr = number
                unsafe storage.storeBytes(of: address, as: sockaddr_in.self)
            }
        case .inet6(let first, let second):
            length = MemoryLayout<sockaddr_in6>.size
            unsafe withUnsafeMutableBytes(of: &storage) { storage in
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                address.sin6_port = port.bigEndian
                address.sin6_addr = Self.address(first, second)
                unsafe storage.storeBytes(of: address, as: sockaddr_in6.self)
            }
        case .unix(let path):
            length = MemoryLayout<sockaddr_un>.size
            unsafe withUnsafeMutableBytes(of: &storage) { storage in
                unsafe storage.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
                let offset = MemoryLayout<sa_family_t>.size
                unsafe UnsafeMutableRawBufferPointer(rebasing: storage[offset...]).copyBytes(from: Array(path.utf8))
            }
        }
        var outcome: Swift.Result<Result, Errno> = .failure(.invalidArgument)
        unsafe withUnsafePointer(to: &storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                do throws(Errno) {
                    outcome = .success(try unsafe body(address, socklen_t(length)))
                } catch {
                    outcome = .failure(error)
                }
            }
        }
        return try outcome.get()
    }

    /// Reads the C form; `nil` for a family that this type does not represent.
    init?(_ storage: sockaddr_storage) {
        var storage = storage
        switch Int32(storage.ss_family) {
        case AF_INET:
            let address = unsafe withUnsafeBytes(of: &storage) { unsafe $0.load(as: sockaddr_in.self) }
            place = .inet(address.sin_addr.s_addr)
            port = UInt16(bigEndian: address.sin_port)
        case AF_INET6:
            let address = unsafe withUnsafeBytes(of: &storage) { unsafe $0.load(as: sockaddr_in6.self) }
            place = Self.placeOfPeer(address.sin6_addr)
            port = UInt16(bigEndian: address.sin6_port)
        case AF_UNIX:
            place = .unix(path: "")
            port = 0
        default:
            return nil
        }
    }
}
