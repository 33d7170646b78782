public import WSTransport

extension WS {
    /// A server's socket and a client's, connected with each other within this process.
    ///
    /// For tests of closures and clients: there is no port and no handshake, so `authorize`, `origins`, `headers`,
    /// `cookies` and `tls` do not apply. Subprotocol and compression are agreed on as in a handshake; frames,
    /// limits, keepalive, back-pressure and the closing handshake are those of any connection.
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
    /// Throws `WS.Error.invalidOption` for options without sense.
    ///
    /// - Parameters:
    ///   - server: the options of the server's socket.
    ///   - client: the options of the client's socket.
    public static func pair(
        server: UpgradeOptions = UpgradeOptions(), client: ConnectOptions = ConnectOptions()
    ) async throws -> (server: WebSocket, client: WebSocket) {
        try await connectedPair(server, client)
    }

    /// A server's socket, and the bytes that its peer sends and receives.
    ///
    /// For peers that break the protocol, stop in the middle of a frame or read nothing: write any bytes, or frames by
    /// `WebSocketMessage.sendTo` and `readFrom`. There is no handshake, and no compression.
    ///
    /// Throws `WS.Error.invalidOption` for options without sense.
    ///
    /// - Parameter server: the options of the server's socket.
    public static func socketAndPeer(
        server: UpgradeOptions = UpgradeOptions()
    ) async throws -> (socket: WebSocket, peer: any ByteStream) {
        let ends = try await connectedStream(server)
        return (ends.server, ends.peer)
    }
}
