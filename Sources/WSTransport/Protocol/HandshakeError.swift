extension WS {
    /// Why a WebSocket could not be opened.
    public enum HandshakeError: Swift.Error, Equatable, Sendable {
        /// The host, or the path of a socket, was not found, in the resolver's words.
        case unknownHost(String)
        /// The system could not connect.
        case unreachable(String)
        /// TLS could not be negotiated, the server is not the intended one, or a certificate file cannot be used.
        case insecure(String)
        /// The handshake took longer than ``ConnectOptions/handshakeTimeout``.
        case timedOut
        /// The server closed the connection during the handshake.
        case connectionLost
        /// The socket was closed before the handshake was done.
        case aborted
        /// The server answered with a status other than 101.
        ///
        /// `body` is the body of the answer: empty if it had none, or one of unknown or great length.
        case refused(status: Int, body: [UInt8])
        /// The peer is not a WebSocket server: which check failed. RFC 6455 §4.1.
        case invalidAnswer(String)
        /// Any other obstacle, such as a proxy.
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
        case .invalidAnswer(let reason): reason
        }
    }
}
