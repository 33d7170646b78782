public import WSTransport

extension WS {
    /// Creates a server's socket and a client's socket that are connected with each other within this process.
    ///
    /// For tests of closures and clients. There is no port and no handshake, so `authorize`, `origins`, `headers`,
    /// `cookies` and `tls` do not apply. Subprotocol and compression are negotiated as in a handshake. Frames, limits,
    /// keepalive, back-pressure and the closing handshake work as on any connection.
    ///
    /// ```swift
    /// let pair = try await ws.pair()
    /// let serving = Task { try await echo(pair.server) }
    /// try await pair.client.send("hello")
    /// let answer = try await pair.client.receive()
    /// assert(answer?.data == .text("hello"))
    /// try pair.client.close()
    /// try await serving.value
    /// ```
    ///
    /// Throws `WS.Error.invalidOption` if an option is invalid.
    ///
    /// - Parameters:
    ///   - server: the options of the server's socket.
    ///   - client: the options of the client's socket.
    public static func pair(
        server: UpgradeOptions = UpgradeOptions(), client: ConnectOptions = ConnectOptions()
    ) async throws -> (server: WebSocket, client: WebSocket) {
        try await connectedPair(server, client)
    }

    /// Creates a server's socket, and a stream for the bytes that its peer sends and receives.
    ///
    /// For tests with a peer that violates the protocol, stops within a frame or reads nothing. Write any bytes to the
    /// stream, or frames with `WebSocketMessage.sendTo(_:)`, and read with `readFrom(_:)`. There is no handshake, and
    /// no compression.
    ///
    /// Throws `WS.Error.invalidOption` if an option is invalid.
    ///
    /// - Parameter server: the options of the server's socket.
    public static func socketAndPeer(
        server: UpgradeOptions = UpgradeOptions()
    ) async throws -> (socket: WebSocket, peer: any ByteStream) {
        let ends = try await connectedStream(server)
        return (ends.server, ends.peer)
    }
}
