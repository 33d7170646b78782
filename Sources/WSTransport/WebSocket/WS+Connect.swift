extension WS {
    /// Opens a WebSocket.
    ///
    /// Cancelling the task ends it with ``ConnectError/cancelled``.
    package static func connect(
        _ url: WebSocketURL, options: ClientOptions = ClientOptions()
    ) async throws(ConnectError) -> WebSocketClient {
        let number = ClientReactor.makeNumber()
        let inbox = ClientInbox(maximumHeld: options.maximumHeld) {
            ClientReactor.run(number) { $0?.resumeReading() }
        }
        let subprotocol = try await ClientReactor.open(url, options, number: number, inbox: inbox).get()
        return WebSocketClient(subprotocol: subprotocol, number: number, inbox: inbox)
    }

    /// Opens a WebSocket at a place that has no URL, or whose parts are known.
    ///
    /// - Parameter path: with its query; percent-encoded already.
    package static func connect(
        _ endpoint: Endpoint, path: String, options: ClientOptions = ClientOptions()
    ) async throws(ConnectError) -> WebSocketClient {
        try await connect(WebSocketURL(endpoint: endpoint, path: path), options: options)
    }
}
