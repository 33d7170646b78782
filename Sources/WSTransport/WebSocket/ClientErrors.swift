/// Why a client could not open a WebSocket.
package enum ConnectError: Error, Equatable, Sendable {
    /// An invalid option: which, and why.
    case invalidOption(String)
    /// The resolver knows no address; with its message.
    case unknownHost(String)
    /// The path cannot be that of a socket.
    case unusablePath(String)
    /// The system could not connect.
    case unreachable(Errno)
    /// TLS could not be negotiated, or the server is not the intended one.
    case insecure(TLSError)
    /// The file with the accepted authorities, or the system's, cannot be used.
    case unusableFile(TLSFileError)
    /// The connection or its opening handshake took too long.
    case timedOut
    /// The server closed the connection during the opening handshake.
    case connectionLost
    /// The server answered with a status other than 101.
    ///
    /// `body` is the body of the answer: empty if it had none or one of unknown or great length.
    case refused(status: Int, body: [UInt8])
    /// The peer is not a WebSocket server. RFC 6455 §4.1.
    case invalidAnswer(String)
    /// The server redirected to a URL that is not allowed; the text says why.
    case invalidRedirect(String)
    /// The proxy refuses to connect to this server, or for this client: 407 asks for other credentials.
    ///
    /// `body` is as in ``refused(status:body:)``.
    case proxyRefused(status: Int, body: [UInt8])
    /// The proxy cannot be reached, or it failed; the text says why.
    case proxyFailed(String)
    /// The caller has cancelled it.
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

extension WS.HandshakeError {
    /// The error as the public face has it.
    package init(_ error: ConnectError) {
        self =
            switch error {
            case .unknownHost(let reason), .unusablePath(let reason): .unknownHost(reason)
            case .unreachable(let error): .unreachable("\(error)")
            case .insecure, .unusableFile: .insecure("\(error)")
            case .timedOut: .timedOut
            case .connectionLost: .connectionLost
            case .refused(let status, let body): .refused(status: status, body: body)
            case .invalidAnswer(let reason): .invalidAnswer(reason)
            case .invalidOption(let reason): .failed(reason)
            case .invalidRedirect, .proxyRefused, .proxyFailed: .failed("\(error)")
            case .cancelled: .aborted
            }
    }
}
