extension WS {
    /// Errors of sockets, streams and messages.
    public enum Error: Swift.Error, Equatable, Sendable {
        /// A socket was used in a state that does not allow it.
        case invalidState(ReadyState)
        /// A code that an application may not send, see ``CloseCode/isSendable``, or a reason of more than 123 bytes.
        case invalidClose(String)
        /// A URL that does not name a WebSocket server, and why.
        case invalidURL(String)
        /// The payload of a PING or PONG is longer than 125 bytes. RFC 6455 §5.5.
        case controlTooLong
        /// A limit was set below 0.
        case outOfRange
        /// The WebSocket could not be opened.
        case handshake(HandshakeError)
        /// The peer violated the protocol: the close code for it, and a sentence.
        case protocolViolation(CloseCode, String)
        /// A message is larger than its ``WebSocketMessage/maxSize``.
        case messageTooBig
        /// More than this many bytes are unsent, and the socket is configured to refuse rather than to close.
        case tooMuchUnsent(Int)
        /// The socket has ended, with this code and reason.
        case closed(CloseCode, reason: String)
        /// The stream ended, or is closed.
        case endOfStream
        /// Another task is already doing the same.
        case busy
        /// A reader asks for messages that go to a listener.
        case messagesAreListenedTo
        /// A handler was given a message of a kind that it does not handle.
        case badType(String)
    }
}

extension WS.Error: CustomStringConvertible {
    /// A phrase for people.
    public var description: String {
        switch self {
        case .invalidState(let state): "the socket is \(state)"
        case .invalidClose(let reason), .invalidURL(let reason): reason
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
