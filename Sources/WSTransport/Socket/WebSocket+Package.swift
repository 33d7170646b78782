internal import Synchronization

/// Operations that only this package uses.
extension WebSocket {
    /// Sends a message, once there is room for it; the payload of a text must be UTF-8.
    package func send(_ type: Opcode, _ payload: [UInt8]) async throws(WS.Error) { try await core.send(type, payload) }

    /// Closes the connection in order, and returns how it ended; received messages that were not read remain readable.
    @discardableResult
    package func end(_ code: CloseCode = .normal, reason: String = "") async -> CloseEvent {
        core.close(code, reason: reason)
        return await core.end()
    }

    /// How the connection ended; `nil` as long as it has not.
    package var closeEvent: CloseEvent? { core.state.withLock { $0.ended } }
}
