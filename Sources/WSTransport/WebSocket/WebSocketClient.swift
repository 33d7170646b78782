/// An open WebSocket to a server, for tasks.
///
/// Its connection lives on a thread of its own kind, one for the process.
///
/// Closed when nothing refers to it any more.
package final class WebSocketClient: Sendable {
    /// The subprotocol agreed upon; empty: none.
    package let subprotocol: String
    private let number: UInt64
    private let inbox: ClientInbox

    fileprivate init(subprotocol: String, number: UInt64, inbox: ClientInbox) {
        self.subprotocol = subprotocol
        self.number = number
        self.inbox = inbox
    }

    deinit { ClientReactor.run(number) { $0?.close(.goingAway, reason: "") } }

    /// Sends a text message, and waits while too much is unsent.
    package func send(_ text: String) async throws(ClosedError) { try await send(.text, Array(text.utf8)) }

    /// Sends a binary message, and waits while too much is unsent.
    package func send(_ bytes: [UInt8]) async throws(ClosedError) { try await send(.binary, bytes) }

    /// Sends a message, and waits while too much is unsent; a text's payload must be UTF-8.
    package func send(_ opcode: Opcode, _ payload: [UInt8]) async throws(ClosedError) {
        let result: Result<Void, ClosedError> = await withCheckedContinuation { continuation in
            ClientReactor.run(number) { [inbox] session in
                if let session { return session.send(opcode, payload, continuation) }
                let error = inbox.closeEvent.map(ClosedError.init) ?? ClientSession.lost
                continuation.resume(returning: .failure(error))
            }
        }
        try result.get()
    }

    /// Waits for the next message; `nil` after both sides' CLOSE were exchanged.
    ///
    /// Throws ``ClosedError`` where the connection ended otherwise, and `CancellationError`.
    package func receive() async throws -> ReceivedMessage? { try await inbox.next() }

    /// The messages from here on, as ``receive()`` gives them; each goes to one reader.
    package var messages: AsyncThrowingStream<ReceivedMessage, any Error> {
        // Holds on to the client, which would close if only its messages were still of interest.
        AsyncThrowingStream { try await self.receive() }
    }

    /// Ends the connection in order, and says how it ended; what was received and not yet read stays readable.
    @discardableResult
    package func close(_ code: CloseCode = .normal, reason: String = "") async -> CloseEvent {
        ClientReactor.run(number) { $0?.close(code, reason: reason) }
        return await inbox.waitForEnd()
    }

    /// How the connection ended; `nil` as long as it has not.
    package var closeEvent: CloseEvent? { inbox.closeEvent }
}

extension WS {
    /// Opens a WebSocket.
    ///
    /// Looks the host up on the caller's thread, then tries its addresses one after the other. Cancelling the task
    /// does not cut it short; ``ClientOptions/handshakeTimeout`` does.
    ///
    /// - Parameter path: with its query; percent-encoded already.
    package static func connect(
        _ endpoint: Endpoint, path: String, options: ClientOptions = ClientOptions()
    ) async throws(ConnectError) -> WebSocketClient {
        let addresses = try endpoint.resolve()
        let security = try security(of: endpoint, options)
        let number = ClientReactor.makeNumber()
        let inbox = ClientInbox(maximumHeld: options.maximumHeld) {
            ClientReactor.run(number) { $0?.resumeReading() }
        }
        var failure = ConnectError.timedOut
        for address in addresses {
            let attempt = ClientHandshake.Attempt(
                address: address, host: endpoint.hostField, path: path, options: options,
                timeout: options.handshakeTimeout / Int64(addresses.count), security: security)
            switch await ClientReactor.open(attempt, number: number, inbox: inbox) {
            case .success(let subprotocol):
                return WebSocketClient(subprotocol: subprotocol, number: number, inbox: inbox)
            case .failure(.refused(let status, let body)): throw .refused(status: status, body: body)
            case .failure(let error): failure = error
            }
        }
        throw failure
    }

    private static let systemTrust = Result { () throws(TLSFileError) in try TLSContext.client(.system) }

    private static func security(
        of endpoint: Endpoint, _ options: ClientOptions
    ) throws(ConnectError) -> ClientHandshake.Security? {
        guard case .internet(let host, _, isSecure: true) = endpoint else { return nil }
        do throws(TLSFileError) {
            if let context = options.tls { return ClientHandshake.Security(context: context, name: host) }
            return ClientHandshake.Security(context: try systemTrust.get(), name: host)
        } catch {
            throw .unusableFile(error)
        }
    }
}
