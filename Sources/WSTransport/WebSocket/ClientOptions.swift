/// What a client allows, and asks for, when it opens a WebSocket.
///
/// Times in nanoseconds, sizes in bytes.
package struct ClientOptions: Sendable {
    /// Offered in this order.
    package var subprotocols: [String] = []
    /// The value of `Origin`; `nil`: none is sent.
    package var origin: String?
    /// Further fields of the request.
    package var fields: HTTPFields = [:]
    /// For the connection and the opening handshake together, over all the addresses of a host.
    package var handshakeTimeout: Int64 = 10_000_000_000
    /// How far received messages may be ahead of who reads them; then the server is let wait.
    package var maximumHeld = 1024 * 1024
    /// How much may be unsent until ``WebSocketClient/send(_:)-(String)`` waits.
    package var maximumUnsent = 1024 * 1024
    /// Whose certificates are accepted, where the endpoint is a secure one; `nil`: those that the system accepts.
    package var tls: TLSContext?
    /// The limit of one received message, keepalive, and compression.
    package var webSocket: WebSocketOptions

    /// The defaults.
    package init() {
        webSocket = WebSocketOptions()
        // A client waits instead of giving up on a server that takes slowly.
        webSocket.maximumUnsent = .max
        webSocket.maximumUnsentAge = nil
    }
}
