import WSTransport

/// A message as a value that can be compared.
struct ReceivedMessage: Equatable {
    let opcode: Opcode
    let bytes: [UInt8]
}

extension WebSocketMessage {
    var bytes: [UInt8] { body }
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension WebSocket {
    /// The next message; `nil` after an orderly end.
    func next() async throws -> ReceivedMessage? {
        try await receive().map { ReceivedMessage(opcode: $0.type, bytes: $0.body) }
    }
}

extension WS {
    static func connect(
        _ url: WebSocketURL, options: ClientOptions = ClientOptions()
    ) async throws(ConnectError) -> WebSocket {
        try await open(url, client: options)
    }

    static func connect(
        _ endpoint: Endpoint, path: String, options: ClientOptions = ClientOptions()
    ) async throws(ConnectError) -> WebSocket {
        try await open(WebSocketURL(endpoint: endpoint, path: path), client: options)
    }

    /// Why a client does not connect; `nil` if it does.
    static func failure(to url: WebSocketURL, _ options: ClientOptions) async -> ConnectError? {
        do throws(ConnectError) {
            _ = try await connect(url, options: options)
            return nil
        } catch {
            return error
        }
    }
}
