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
    private let paths: [String]
    private static let admin = -1

    init(_ settings: Settings, reactors: Int) throws(BrokerError) {
        var bound: [Place: Int32] = [:]
        var descriptions: [String] = []
        var paths: [String] = []
        for (number, listener) in settings.listen.enumerated() {
            switch listener.address {
            case .unix(let path):
                bound[Place(listener: number, reactor: 0)] = try Self.bind(path: path)
                paths.append(path)
                descriptions.append("unix:\(path)")
            case .internet(let host, let port):
                // SO_REUSEPORT would let a second broker share the port unnoticed: the first bind is made without it.
                if reactors > 1, port != 0 { Socket.close(try Self.bind(host: host, port: port, isShared: false)) }
                var chosen = port
                for reactor in 0..<reactors {
                    let descriptor = try Self.bind(host: host, port: chosen, isShared: reactors > 1)
                    // Port 0 lets the kernel choose, once: the other reactors share its choice.
                    chosen = Socket.localAddress(descriptor)?.port ?? chosen
                    bound[Place(listener: number, reactor: reactor)] = descriptor
                }
                let address = SocketAddress(host: host, port: chosen)?.description ?? "\(host):\(chosen)"
                let scheme = listener.tls == nil ? "http" : "https"
                descriptions.append("\(scheme)://\(address)\(listener.pathPrefix)")
            }
        }
        let path = settings.adminSocketPath
        bound[Place(listener: Self.admin, reactor: 0)] = try Self.bind(path: path)
        paths.append(path)
        self.bound = Mutex(bound)
        self.descriptions = descriptions
        self.paths = paths
    }

    /// The socket of a listener on a reactor, once.
    func take(listener: Int, reactor: Int) -> FileDescriptor? {
        let raw = bound.withLock { $0.removeValue(forKey: Place(listener: listener, reactor: reactor)) }
        guard let raw else { return nil }
        return FileDescriptor(adopting: raw)
    }

    /// The administration socket, on the first reactor, once.
    func takeAdmin(reactor: Int) -> FileDescriptor? { take(listener: Self.admin, reactor: reactor) }

    /// Removes the sockets' files.
    func removePaths() {
        for path in paths { Socket.removeFile(path) }
    }

    private static func bind(host: String, port: UInt16, isShared: Bool) throws(BrokerError) -> Int32 {
        // The configuration has checked that it is a numeric address.
        guard let address = SocketAddress(host: host == "localhost" ? "127.0.0.1" : host, port: port) else {
            throw BrokerError("cannot listen on \(host):\(port): expected a numeric address")
        }
        do throws(Errno) {
            return try Socket.listening(on: address, sharesPort: isShared).release()
        } catch {
            throw BrokerError("cannot listen on \(address): \(error)")
        }
    }

    private static func bind(path: String) throws(BrokerError) -> Int32 {
        guard let address = SocketAddress(path: path) else {
            throw BrokerError("cannot listen on unix:\(path): the path must have 1 to 107 bytes")
        }
        do throws(Errno) {
            try Socket.removeStaleSocket(address)
            return try Socket.listening(on: address, sharesPort: false, mode: 0o600).release()
        } catch {
            throw BrokerError("cannot listen on unix:\(path): \(error)")
        }
    }
}
