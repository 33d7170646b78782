internal import Broker
internal import WSTransport

/// A connection to the broker's administration, for several requests.
struct AdminConnection {
    let endpoint: Endpoint
    private let client: WebSocket

    init(_ options: ConnectionOptions) async throws {
        let target = try options.target()
        try await self.init(target, try options.security(of: target))
    }

    /// Connects to a given broker.
    init(_ target: Target, _ security: TLSContext?) async throws {
        endpoint = target.endpoint
        var options = target.options(AdminWire.subprotocol, security)
        // A person waits for this answer, so a broker that hangs is detected sooner than on an idle connection. Over
        // the network a password may have to be checked.
        options.handshakeTimeout = .seconds(target.isSocket ? 5 : 10)
        options.keepAlive = KeepAlive(interval: .seconds(5), timeout: options.handshakeTimeout)
        do { client = try await ws.open(target.url(of: "/admin"), options: options) } catch {
            throw Failure.administering(target, error)
        }
    }

    /// Sends an encoded request.
    func send(_ request: [UInt8]) async throws {
        do {
            try await client.send(String(decoding: request, as: UTF8.self))
        } catch is WS.Error {
            throw Failure.closed(endpoint, client)
        }
    }

    /// The next answer, as received.
    func receive() async throws -> [UInt8] { try await receivePiece().bytes }

    /// The next answer, and whether it is binary instead of JSON.
    func receivePiece() async throws -> (isBinary: Bool, bytes: [UInt8]) {
        do {
            guard let message = try await client.receive() else { throw Failure.closed(endpoint, client) }
            return (message.type == .binary, message.body)
        } catch is WS.Error {
            throw Failure.closed(endpoint, client)
        }
    }

    /// Sends one request and waits for its answer; no other request may be in progress.
    func ask<Request: AdminRequest>(_ request: Request) async throws -> AdminResult<Request.Answer> {
        try await send(request.encoded())
        return try AdminResult(try AdminReply(understanding: try await receive()))
    }

    /// Closes the connection cleanly.
    func close() async { await client.closeAndWait() }
}
