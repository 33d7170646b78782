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

    init(subprotocol: String, number: UInt64, inbox: ClientInbox) {
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
