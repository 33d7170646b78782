/// Connections within the process, for tests: no port, no name, no handshake; all else is as on any connection.
extension WS {
    /// A server's socket and a client's, connected with each other.
    ///
    /// Throws ``WS/Error/invalidOption(_:)``, and ``WS/HandshakeError/unreachable(_:)`` if the system has no descriptors.
    package static func connectedPair(
        _ server: UpgradeOptions, _ client: ConnectOptions
    ) async throws -> (server: WebSocket, client: WebSocket) {
        let options = try checked(server, client)
        let subprotocol = server.choose(client.protocols) ?? ""
        let agreed = agreement(server.perMessageDeflate, client.perMessageDeflate)
        return try await onBothEnds { remote, served, called in
            let caller = WebSocketConnection(
                stream: called, role: .client, subprotocol: subprotocol, compression: agreed.client,
                options: WebSocketConnection.Options(options.webSocket))
            called.driver = caller
            let core = SocketCore(
                link: ReactorLink(remote: remote), limits: client.limits, isClient: true, subprotocol: "")
            let socket = WebSocket(
                url: "ws://localhost/", origin: client.origin, offered: client.protocols.joined(separator: ", "),
                core: core)
            core.attach(to: caller)
            caller.begin(core)
            core.opened(subprotocol: subprotocol)
            return (serve(served, server, subprotocol, agreed.server), socket)
        }
    }

    /// A server's socket, and the bytes of its peer.
    package static func connectedStream(
        _ server: UpgradeOptions
    ) async throws -> (server: WebSocket, peer: any ByteStream) {
        _ = try checked(server, ConnectOptions())
        return try await onBothEnds { _, served, called in
            let peer = ConnectionStream(called, limits: ConnectionDriver.Limits())
            return (serve(served, server, "", nil), peer)
        }
    }

    private static func checked(_ server: UpgradeOptions, _ client: ConnectOptions) throws -> ClientOptions {
        if let problem = server.problem { throw Error.invalidOption(problem) }
        do throws(ConnectError) { return try client.client() } catch { throw publicError(error) }
    }

    /// What both ends make of each other's options, as in a handshake.
    private static func agreement(
        _ server: CompressionOptions?, _ client: CompressionOptions?
    ) -> (server: DeflateParameters?, client: DeflateParameters?) {
        guard let server, let client, let offers = NegotiatedExtension.list([DeflateParameters.offer(client)]),
            let accepted = DeflateParameters.accept(offers, server),
            let answer = NegotiatedExtension.list([accepted.fieldValue])?.first,
            let checked = DeflateParameters.check(answer, offered: client)
        else { return (nil, nil) }
        return (accepted, checked)
    }

    private static func serve(
        _ stream: StreamConnection, _ options: UpgradeOptions, _ subprotocol: String, _ agreed: DeflateParameters?
    ) -> WebSocket {
        let connection = WebSocketConnection(
            stream: stream, role: .server, subprotocol: subprotocol, compression: agreed, options: options.connection)
        stream.driver = connection
        let socket = WebSocket(connection, limits: options.limits)
        socket.core.attach(to: connection)
        connection.begin(socket.core)
        return socket
    }

    /// Makes a connection, and what its ends are for, on the thread of this process's clients.
    private static func onBothEnds<Ends: Sendable>(
        _ make: @escaping @Sendable (Remote, StreamConnection, StreamConnection) -> Ends
    ) async throws -> Ends {
        let remote: Remote
        do throws(Errno) { remote = try ClientReactor.shared.get() } catch {
            throw HandshakeError.unreachable("\(error)")
        }
        return try await withCheckedThrowingContinuation { continuation in
            remote.run { reactor in
                do throws(Errno) {
                    let (served, called) = try reactor.adoptPair()
                    continuation.resume(returning: make(remote, served, called))
                } catch {
                    continuation.resume(throwing: HandshakeError.unreachable("\(error)"))
                }
            }
        }
    }
}
