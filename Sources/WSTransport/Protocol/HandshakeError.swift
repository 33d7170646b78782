extension WS {
    /// Why a WebSocket could not be opened.
    public enum HandshakeError: Swift.Error, Equatable, Sendable {
        /// The host name could not be resolved, or the path of a Unix socket does not exist; with the resolver's
        /// message.
        case unknownHost(String)
        /// No connection could be established; with the system's message.
        case unreachable(String)
        /// TLS failed, the server is not the intended one, or a certificate file cannot be used.
        case insecure(String)
        /// The handshake took longer than ``ConnectOptions/handshakeTimeout``.
        case timedOut
        /// The server closed the connection during the handshake.
        case connectionLost
        /// The socket was closed before the handshake was complete.
        case aborted
        /// The server answered with a status other than 101.
        ///
        /// `body` is the body of the response; it is empty if there was none, or if its length was unknown or too
        /// large.
        case refused(status: Int, body: [UInt8])
        /// The peer is not a WebSocket server; the text says which check failed (RFC 6455 §4.1).
        case invalidAnswer(String)
        /// Any other failure, such as one of a proxy.
        case failed(String)
    }
}

extension WS.HandshakeError: CustomStringConvertible {
    /// A phrase for people.
    public var description: String {
        switch self {
        case .unknownHost(let reason), .unreachable(let reason), .insecure(let reason), .failed(let reason): reason
        case .timedOut: "no answer in time"
        case .connectionLost: "the connection was closed within the opening handshake"
        case .aborted: "the socket was closed before it was open"
        case .refused(let status, _): "the server answered with status \(status)"
        case .invalidAnswer(let reason): "the answer is not that of a WebSocket server: \(reason)"
        }
    }
}
