internal import Synchronization

/// What only this package asks of a socket.
extension WebSocket {
    /// Sends a message, once there is room for it; a text's payload must be UTF-8.
    package func send(_ type: Opcode, _ payload: [UInt8]) async throws(WS.Error) { try await core.send(type, payload) }

    /// Ends the connection in order, and says how it ended; what was received and not yet read stays readable.
    @discardableResult
    package func end(_ code: CloseCode = .normal, reason: String = "") async -> CloseEvent {
        core.close(code, reason: reason)
        return await core.end()
    }

    /// How the connection ended; `nil` as long as it has not.
    package var closeEvent: CloseEvent? { core.state.withLock { $0.ended } }
}
