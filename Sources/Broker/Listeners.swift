internal import WSTransport

/// The listening sockets that the settings ask for, for each reactor.
struct Listeners: Sendable {
    let sockets: ListeningSockets
    /// The addresses for clients, with the ports that the kernel chose.
    let descriptions: [String]
    /// The addresses of the sockets that were passed to this process.
    let adopted: [ListenAddress]
    /// The names of passed sockets that no listener takes.
    let unclaimed: [String]
    /// The number of the administration socket.
    static let admin = -1

    /// - Parameter given: the sockets that were passed to this process.
    init(_ settings: Settings, reactors: Int, given: GivenSockets) throws(BrokerError) {
        let sockets = ListeningSockets(reactors: reactors)
        var descriptions: [String] = []
        var (adopted, left): ([ListenAddress], [GivenSockets.Socket]) = ([], given.all)
        // Listeners that name a socket come before the one that takes the rest.
        let all = Array(settings.listen.enumerated())
        let listeners = all.filter { !$0.element.address.takesRest } + all.filter { $0.element.address.takesRest }
        for (number, listener) in listeners {
            switch listener.address {
            case .unix(let path):
                try Self.bind(
                    path, sockets, as: number, mode: listener.mode, group: listener.group, "listen[\(number)].address",
                    groupKey: "listen[\(number)].group")
                descriptions.append("unix:\(path)")
            case .internet(let host, let port):
                let chosen = try Self.bind(host, port, sockets, as: number, settings.isIPv6Only(listener))
                descriptions.append(listener.url(chosen))
            case .systemd(let name):
                let mine = left.filter { name == nil || $0.name == name }
                left.removeAll { one in mine.contains(one) }
                guard !mine.isEmpty else {
                    throw BrokerError(Self.absence(of: name, among: given), at: "listen[\(number)].address")
                }
                for one in mine {
                    let address = try Self.adopt(one, sockets, as: number)
                    guard listener.mayBeAdministered(at: ListenAddress(address)) else {
                        throw BrokerError(
                            "listen[\(number)].admin: expected with tls, or on loopback, found \(ListenAddress(address))"
                        )
                    }
                    adopted.append(ListenAddress(address))
                    descriptions.append(address.path.map { "unix:\($0)" } ?? listener.url(address))
                }
            }
        }
        if let refusal = settings.refusalToListen(on: adopted) { throw BrokerError(refusal) }
        let group = settings.admin.socketGroup
        try Self.bind(
            settings.adminSocketPath, sockets, as: Self.admin, mode: group == nil ? 0o600 : 0o660, group: group,
            "admin.socket", groupKey: "admin.socket_group", isOnFirstOnly: true)
        self.sockets = sockets
        self.descriptions = descriptions
        self.adopted = adopted
        unclaimed = left.map(\.name)
    }

    /// Takes a listener's sockets on a reactor, once.
    ///
    /// - Parameter body: gets a descriptor, its address, and whether other reactors share the socket.
    func take(
        _ number: Int, on reactor: Reactor,
        _ body: (_ descriptor: consuming FileDescriptor, _ address: ListenAddress, _ isShared: Bool) throws(Errno) ->
            Void
    ) throws(Errno) {
        try sockets.take(listener: number, reactor: reactor.index) {
            (descriptor, address, isShared) throws(Errno) in
            try body(descriptor, ListenAddress(address), isShared)
        }
    }

    private static func bind(
        _ host: String, _ port: UInt16, _ sockets: ListeningSockets, as number: Int, _ isIPv6Only: Bool
    ) throws(BrokerError) -> SocketAddress {
        let key = "listen[\(number)].address"
        // The configuration has checked that it is a numeric address.
        guard let address = SocketAddress(host: host, port: port) else {
            throw BrokerError("cannot listen on \(host):\(port): expected a numeric address", at: key)
        }
        do throws(Errno) {
            return try sockets.bind(address, as: number, isIPv6Only: isIPv6Only)
        } catch {
            throw BrokerError("cannot listen on \(address): \(error)", at: key)
        }
    }

    /// - Parameters:
    ///   - key: the setting of the path.
    ///   - groupKey: the setting of the group.
    private static func bind(
        _ path: String, _ sockets: ListeningSockets, as number: Int, mode: UInt32, group: String?, _ key: String,
        groupKey: String, isOnFirstOnly: Bool = false
    ) throws(BrokerError) {
        guard let address = SocketAddress(path: path) else {
            throw BrokerError("cannot listen on unix:\(path): the path must have 1 to 107 bytes", at: key)
        }
        var owner: UInt32?
        if let group {
            owner = SocketFile.groupNumber(of: group)
            guard owner != nil else {
                throw BrokerError("cannot listen on unix:\(path): there is no group \"\(group)\"", at: groupKey)
            }
        }
        do throws(Errno) {
            try sockets.bind(address, as: number, isOnFirstOnly: isOnFirstOnly, mode: mode, group: owner)
        } catch .notASocket {
            throw BrokerError("cannot listen on unix:\(path): \(takenPath)", at: key)
        } catch {
            throw BrokerError("cannot listen on unix:\(path): \(error)", at: key)
        }
    }

    private static func adopt(
        _ socket: GivenSockets.Socket, _ sockets: ListeningSockets, as number: Int
    ) throws(BrokerError) -> SocketAddress {
        do throws(Errno) {
            return try sockets.adopt(FileDescriptor(adopting: socket.descriptor), as: number)
        } catch .invalidArgument {
            throw BrokerError("cannot listen on systemd:\(socket.name): expected a stream socket that listens")
        } catch {
            throw BrokerError("cannot listen on systemd:\(socket.name): \(error)")
        }
    }

    private static func absence(of name: String?, among given: GivenSockets) -> String {
        let names = given.all.map(\.name).joined(separator: ", ")
        return given.all.isEmpty
            ? "cannot listen on \(ListenAddress.systemd(name: name)): no socket was passed to this process (LISTEN_FDS)"
            : "cannot listen on \(ListenAddress.systemd(name: name)): no socket is left of those that were passed: \(names)"
    }

    /// The error for a path that is occupied by something other than a socket.
    static let takenPath = "the path exists and is not a socket; it was left as it is"
}

extension ListenAddress {
    /// The address of a socket that another program has bound.
    fileprivate init(_ address: SocketAddress) {
        self = address.path.map { .unix(path: $0) } ?? .internet(host: address.host, port: address.port)
    }

    /// Whether it takes the passed sockets that no other listener names.
    fileprivate var takesRest: Bool { self == .systemd(name: nil) }
}

extension Settings.Listener {
    fileprivate func url(_ address: SocketAddress) -> String {
        "\(tls == nil ? "http" : "https")://\(address)\(pathPrefix)"
    }
}

extension Settings {
    /// Whether a listener on `::` leaves IPv4 to others: because it is set, or because another listener has the same
    /// port.
    fileprivate func isIPv6Only(_ listener: Listener) -> Bool {
        guard case .internet(_, let port) = listener.address, !listener.ipv6Only else { return true }
        return listen.contains { other in
            if case .internet(let host, port) = other.address, port != 0 { !host.contains(":") } else { false }
        }
    }
}
