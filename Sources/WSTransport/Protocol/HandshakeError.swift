extension WS {
    /// Why there was no WebSocket to be had.
    public enum HandshakeError: Swift.Error, Equatable, Sendable {
        /// The host, or the path of a socket, cannot be found: in the resolver's words.
        case unknownHost(String)
        /// The system could not connect.
        case unreachable(String)
        /// TLS could not be agreed upon, the server is not the one that was meant, or a certificate file cannot be used.
        case insecure(String)
        /// The handshake took longer than ``ConnectOptions/handshakeTimeout``.
        case timedOut
        /// The server hung up within the handshake.
        case connectionLost
        /// The socket was closed before the handshake was done.
        case aborted
        /// The server answered with another status than 101.
        ///
        /// `body` is that of the answer: empty where it had none or one of unknown or great length.
        case refused(status: Int, body: [UInt8])
        /// What answered is no WebSocket server: which check failed. RFC 6455 §4.1.
        case invalidAnswer(String)
        /// Anything else that stood in the way, such as a proxy.
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
