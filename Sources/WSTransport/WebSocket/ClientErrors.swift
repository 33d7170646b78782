/// Why a client got no WebSocket.
package enum ConnectError: Error, Equatable, Sendable {
    /// An option that no request can have; which, and why.
    case invalidOption(String)
    /// The resolver knows no address; its own words.
    case unknownHost(String)
    /// No socket can have such a path.
    case unusablePath(String)
    /// The system could not connect.
    case unreachable(Errno)
    /// TLS could not be agreed upon, or the server is not the one that was meant.
    case insecure(TLSError)
    /// The files with the accepted authorities, or the system's, cannot be used.
    case unusableFile(TLSFileError)
    /// The connection or its opening handshake took too long.
    case timedOut
    /// The server hung up within the opening handshake.
    case connectionLost
    /// The server answered with another status than 101.
    ///
    /// `body` is that of the answer: empty where it had none or one of unknown or great length.
    case refused(status: Int, body: [UInt8])
    /// What answered is no WebSocket server. RFC 6455 §4.1.
    case invalidAnswer(String)
    /// The server pointed to another place, which is not to be gone to; why.
    case invalidRedirect(String)
    /// The proxy leads nobody to this server, or not this client: 407 asks for other credentials.
    ///
    /// `body` as in ``refused(status:body:)``.
    case proxyRefused(status: Int, body: [UInt8])
    /// There is no proxy, or it broke off; why.
    case proxyFailed(String)
    /// Whoever waited for it has given up.
    case cancelled
}

extension ConnectError: CustomStringConvertible {
    /// A phrase for people.
    package var description: String {
        switch self {
        case .unknownHost(let reason), .unusablePath(let reason), .invalidOption(let reason): reason
        case .unreachable(let error): error.description
        case .insecure(let error): error.description
        case .unusableFile(let error): error.description
        case .timedOut: "no answer in time"
        case .connectionLost: "the connection was closed within the opening handshake"
        case .refused(let status, _): "the server answered with status \(status)"
        case .invalidAnswer(let reason): "the answer is not that of a WebSocket server: \(reason)"
        case .invalidRedirect(let reason): "the server redirects, but \(reason)"
        case .proxyRefused(status: 407, _): "the proxy wants other credentials: status 407"
        case .proxyRefused(let status, _): "the proxy refused with status \(status)"
        case .proxyFailed(let reason): "the proxy failed: \(reason)"
        case .cancelled: "given up before it was open"
        }
    }
}
