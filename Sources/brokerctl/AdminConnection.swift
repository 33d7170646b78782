internal import Broker
internal import WSTransport

/// A connection to the broker's administration socket, for several questions.
struct AdminConnection {
    let endpoint: Endpoint
    private let client: WebSocket

    init(_ options: ConnectionOptions) async throws {
        endpoint = try options.adminEndpoint()
        var settings = ClientOptions()
        settings.subprotocols = ["broker.admin.v1.json"]
        // Somebody waits for this answer: a broker that hangs is found out sooner than an idle one.
        settings.handshakeTimeout = 5_000_000_000
        settings.webSocket.pingInterval = 5_000_000_000
        settings.webSocket.pingTimeout = 5_000_000_000
        do throws(ConnectError) {
            client = try await WS.open(WebSocketURL(endpoint: endpoint, path: "/admin"), client: settings)
        } catch {
            throw Failure.connecting(endpoint, error)
        }
    }

    /// A question, whose answer carries `id`.
    ///
    /// - Parameter members: writes those of the request besides its `id` and `verb`.
    static func question(_ verb: String, id: Int = 1, _ members: (inout JSONWriter) -> Void = { _ in }) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", id)
        writer.member("verb", verb)
        members(&writer)
        writer.endObject()
        return writer.bytes
    }

    /// Sends a question.
    func send(_ question: [UInt8]) async throws {
        do throws(WS.Error) {
            try await client.send(.text, question)
        } catch {
            throw Failure.closed(endpoint, client.closeEvent)
        }
    }

    /// The next answer, as it came.
    func receive() async throws -> [UInt8] {
        do {
            guard let message = try await client.receive() else { throw Failure.closed(endpoint, client.closeEvent) }
            return message.body
        } catch is WS.Error {
            throw Failure.closed(endpoint, client.closeEvent)
        }
    }

    /// The next answer, and whether it is bytes and no JSON.
    func receivePiece() async throws -> (isBinary: Bool, bytes: [UInt8]) {
        do {
            guard let message = try await client.receive() else { throw Failure.closed(endpoint, client.closeEvent) }
            return (message.type == .binary, message.body)
        } catch is WS.Error {
            throw Failure.closed(endpoint, client.closeEvent)
        }
    }

    /// Puts one question and waits for its answer; none other may be under way.
    func ask(_ question: [UInt8]) async throws -> AdminReply {
        try await send(question)
        return try AdminReply(try await receive())
    }

    /// Ends the connection in order.
    func close() async { await client.end() }
}
