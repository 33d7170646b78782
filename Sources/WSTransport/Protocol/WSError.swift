extension WS {
    /// Errors of sockets, streams and messages.
    public enum Error: Swift.Error, Equatable, Sendable {
        /// A socket was used in a state that does not allow it.
        case invalidState(ReadyState)
        /// An application may not send this close code (see ``CloseCode/isSendable``), or the reason exceeds 123 bytes.
        case invalidClose(String)
        /// The URL is not one of a WebSocket server; the text says why.
        case invalidURL(String)
        /// An option is invalid; the text says which one, and why.
        case invalidOption(String)
        /// The payload of a PING or PONG exceeds 125 bytes (RFC 6455 §5.5).
        case controlTooLong
        /// A limit was set to a negative value.
        case outOfRange
        /// The client's socket that is read could not be opened, for this reason.
        case handshake(HandshakeError)
        /// The peer violated the protocol or exceeded a limit; with the close code for that, and a sentence.
        case protocolViolation(CloseCode, String)
        /// A message is larger than its ``WebSocketMessage/maxSize``.
        case messageTooBig
        /// More than this many bytes are unsent, so the message was not sent; see ``UpgradeOptions/slowReaders``.
        case tooMuchUnsent(Int)
        /// The socket has ended, with this code and reason.
        case closed(CloseCode, reason: String)
        /// The stream has ended or was closed.
        case endOfStream
        /// Another task is already performing the same operation.
        case busy
        /// Messages cannot be read because they go to a listener.
        case messagesAreListenedTo
        /// A message has a type that the function or handler does not accept; the text says which.
        case badType(String)
    }
}

extension WS.Error: CustomStringConvertible {
    /// A phrase for people.
    public var description: String {
        switch self {
        case .invalidState(let state): "the socket is \(state)"
        case .invalidClose(let reason), .invalidURL(let reason), .invalidOption(let reason): reason
        case .controlTooLong: "the payload of a PING or PONG is at most 125 bytes long"
        case .outOfRange: "the value is below 0"
        case .handshake(let error): error.description
        case .protocolViolation(let code, let reason): "the peer broke the protocol: \(reason) (\(code))"
        case .messageTooBig: "the message is above its limit"
        case .tooMuchUnsent(let limit): "more than \(limit) bytes are unsent"
        case .closed(.abnormal, let reason): reason.isEmpty ? "the connection was lost" : reason
        case .closed(let code, let reason):
            "the connection was closed with code \(code)" + (reason.isEmpty ? "" : ": \(reason)")
        case .endOfStream: "the stream has ended"
        case .busy: "another task is in the middle of the same"
        case .messagesAreListenedTo: "the messages go to a listener"
        case .badType(let what): what
        }
    }
}
