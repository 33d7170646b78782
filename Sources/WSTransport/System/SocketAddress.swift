internal import CLinux
internal import Glibc

/// Where a socket listens or connects to.
package struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    private enum Family: Hashable, Sendable { case inet, inet6, unix(path: String) }

    private let family: Family
    /// 4 or 16 bytes in network order; none for a path.
    private let bytes: [UInt8]
    /// 0 lets the kernel choose where one listens.
    package let port: UInt16

    /// A numeric IPv4 or IPv6 address (without brackets); `nil` for anything else.
    package init?(host: String, port: UInt16) {
        var four = in_addr()
        var six = in6_addr()
        if unsafe inet_pton(AF_INET, host, &four) == 1 {
            family = .inet
            bytes = unsafe withUnsafeBytes(of: &four) { unsafe Array($0) }
        } else if unsafe inet_pton(AF_INET6, host, &six) == 1 {
            family = .inet6
            bytes = unsafe withUnsafeBytes(of: &six) { unsafe Array($0) }
        } else {
            return nil
        }
        self.port = port
    }

    /// A path in the file system; `nil` where it is longer than the kernel allows (107 bytes) or empty.
    package init?(path: String) {
        guard (1...107).contains(path.utf8.count), !path.utf8.contains(0) else { return nil }
        family = .unix(path: path)
        bytes = []
        port = 0
    }

    package var path: String? {
        if case .unix(let path) = family { path } else { nil }
    }

    /// Without the port: `127.0.0.1`, `::1`, or `unix`.
    package var host: String {
        switch family {
        case .unix: return "unix"
        case .inet: return bytes.map(String.init).joined(separator: ".")
        case .inet6:
            var text = [CChar](repeating: 0, count: 64)
            unsafe bytes.withUnsafeBytes { unsafe _ = inet_ntop(AF_INET6, $0.baseAddress, &text, 64) }
            return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    package var description: String {
        switch family {
        case .unix(let path): path.isEmpty ? "unix" : "unix:\(path)"
        case .inet: "\(host):\(port)"
        case .inet6: "[\(host)]:\(port)"
        }
    }

    var domain: Int32 {
        switch family {
        case .unix: AF_UNIX
        case .inet: AF_INET
        case .inet6: AF_INET6
        }
    }

    /// Runs `body` with the C form of this address.
    func withSockaddr<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        var storage = sockaddr_storage()
        let length: Int
        switch family {
        case .inet:
            length = MemoryLayout<sockaddr_in>.size
            unsafe withUnsafeMutableBytes(of: &storage) { storage in
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_port = port.bigEndian
                unsafe withUnsafeMutableBytes(of: &address.sin_addr) { unsafe $0.copyBytes(from: bytes) }
                unsafe storage.storeBytes(of: address, as: sockaddr_in.self)
            }
        case .inet6:
            length = MemoryLayout<sockaddr_in6>.size
            unsafe withUnsafeMutableBytes(of: &storage) { storage in
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                address.sin6_port = port.bigEndian
                unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { unsafe $0.copyBytes(from: bytes) }
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

    /// Reads the C form; `nil` for a family this type does not hold.
    init?(_ storage: sockaddr_storage) {
        var storage = storage
        switch Int32(storage.ss_family) {
        case AF_INET:
            let address = unsafe withUnsafeBytes(of: &storage) { unsafe $0.load(as: sockaddr_in.self) }
            family = .inet
            bytes = unsafe withUnsafeBytes(of: address.sin_addr) { unsafe Array($0) }
            port = UInt16(bigEndian: address.sin_port)
        case AF_INET6:
            let address = unsafe withUnsafeBytes(of: &storage) { unsafe $0.load(as: sockaddr_in6.self) }
            family = .inet6
            bytes = unsafe withUnsafeBytes(of: address.sin6_addr) { unsafe Array($0) }
            port = UInt16(bigEndian: address.sin6_port)
        case AF_UNIX:
            family = .unix(path: "")
            bytes = []
            port = 0
        default:
            return nil
        }
    }
}
