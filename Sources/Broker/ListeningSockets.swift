internal import Synchronization
internal import WSTransport

/// Every listening socket, bound before any thread starts, so that a failure is told before anything is served.
final class ListeningSockets: Sendable {
    private struct Place: Hashable {
        let listener: Int
        let reactor: Int
    }

    /// With the ports the kernel chose.
    let descriptions: [String]
    private let bound: Mutex<[Place: Int32]>
    private let files: [SocketFile]
    private static let admin = -1

    init(_ settings: Settings, reactors: Int) throws(BrokerError) {
        var bound: [Place: Int32] = [:]
        var descriptions: [String] = []
        var files: [SocketFile] = []
        for (number, listener) in settings.listen.enumerated() {
            switch listener.address {
            case .unix(let path):
                let (descriptor, file) = try Self.bind(path: path, mode: listener.mode, group: listener.group)
                files.append(file)
                bound[Place(listener: number, reactor: 0)] = descriptor
                for reactor in 1..<max(1, reactors) {
                    bound[Place(listener: number, reactor: reactor)] = try Self.duplicate(descriptor, path)
                }
                descriptions.append("unix:\(path)")
            case .internet(let host, let port):
                // SO_REUSEPORT would let a second broker share the port unnoticed: the first bind is made without it.
                let isIPv6Only = settings.isIPv6Only(listener)
                if reactors > 1, port != 0 {
                    Socket.close(try Self.bind(host: host, port: port, isShared: false, isIPv6Only))
                }
                var chosen = port
                for reactor in 0..<reactors {
                    let descriptor = try Self.bind(host: host, port: chosen, isShared: reactors > 1, isIPv6Only)
                    // Port 0 lets the kernel choose, once: the other reactors share its choice.
                    chosen = Socket.localAddress(descriptor)?.port ?? chosen
                    bound[Place(listener: number, reactor: reactor)] = descriptor
                }
                let address = SocketAddress(host: host, port: chosen)?.description ?? "\(host):\(chosen)"
                let scheme = listener.tls == nil ? "http" : "https"
                descriptions.append("\(scheme)://\(address)\(listener.pathPrefix)")
            }
        }
        let (descriptor, file) = try Self.bind(path: settings.adminSocketPath, mode: 0o600, group: nil)
        bound[Place(listener: Self.admin, reactor: 0)] = descriptor
        files.append(file)
        self.bound = Mutex(bound)
        self.descriptions = descriptions
        self.files = files
    }

    /// The socket of a listener on a reactor, once.
    func take(listener: Int, reactor: Int) -> FileDescriptor? {
        let raw = bound.withLock { $0.removeValue(forKey: Place(listener: listener, reactor: reactor)) }
        guard let raw else { return nil }
        return FileDescriptor(adopting: raw)
    }

    /// The administration socket, on the first reactor, once.
    func takeAdmin(reactor: Int) -> FileDescriptor? { take(listener: Self.admin, reactor: reactor) }

    /// Removes the sockets' files, where they are still the same.
    func removeFiles() {
        for file in files { file.remove() }
    }

    private static func bind(
        host: String, port: UInt16, isShared: Bool, _ isIPv6Only: Bool
    ) throws(BrokerError) -> Int32 {
        // The configuration has checked that it is a numeric address.
        guard let address = SocketAddress(host: host, port: port) else {
            throw BrokerError("cannot listen on \(host):\(port): expected a numeric address")
        }
        do throws(Errno) {
            return try Socket.listening(on: address, sharesPort: isShared, isIPv6Only: isIPv6Only).release()
        } catch {
            throw BrokerError("cannot listen on \(address): \(error)")
        }
    }

    private static func bind(
        path: String, mode: UInt32, group: String?
    ) throws(BrokerError) -> (Int32, SocketFile) {
        guard let address = SocketAddress(path: path) else {
            throw BrokerError("cannot listen on unix:\(path): the path must have 1 to 107 bytes")
        }
        var number: UInt32?
        if let group {
            number = SocketFile.groupNumber(of: group)
            guard number != nil else {
                throw BrokerError("cannot listen on unix:\(path): there is no group \"\(group)\"")
            }
        }
        do throws(Errno) {
            try SocketFile.makeRoom(at: address)
            let descriptor = try Socket.listening(on: address, sharesPort: false, mode: mode, group: number)
            let file = try SocketFile(at: path)
            return (descriptor.release(), file)
        } catch .notASocket {
            throw BrokerError("cannot listen on unix:\(path): \(takenPath)")
        } catch {
            throw BrokerError("cannot listen on unix:\(path): \(error)")
        }
    }

    /// What is wrong with a path that something other than a socket has.
    static let takenPath = "the path exists and is not a socket; it was left as it is"

    private static func duplicate(_ descriptor: Int32, _ path: String) throws(BrokerError) -> Int32 {
        do throws(Errno) {
            return try Socket.duplicate(descriptor).release()
        } catch {
            throw BrokerError("cannot listen on unix:\(path): \(error)")
        }
    }
}

extension Settings {
    /// Whether a listener on `::` leaves IPv4 to others: it is told to, or one of them has the same port there.
    fileprivate func isIPv6Only(_ listener: Listener) -> Bool {
        guard case .internet(_, let port) = listener.address, !listener.ipv6Only else { return true }
        return listen.contains { other in
            if case .internet(let host, port) = other.address, port != 0 { !host.contains(":") } else { false }
        }
    }
}
