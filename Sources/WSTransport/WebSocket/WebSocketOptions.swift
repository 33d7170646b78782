/// The limits and intervals of a WebSocket.
///
/// Times in nanoseconds, sizes in bytes.
package struct WebSocketOptions: Sendable {
    /// The maximum size of a message, over all its fragments; exactly as many bytes are allowed.
    package var maximumMessage = 64 * 1024 * 1024
    /// The maximum of unsent bytes.
    package var maximumUnsent = 1024 * 1024
    /// How long the oldest unsent byte may wait; `nil` for no limit.
    package var maximumUnsentAge: Int64? = 30_000_000_000
    /// The silence after which a PING is sent; `nil` for never.
    package var pingInterval: Int64? = 25_000_000_000
    /// The silence after a PING after which the peer counts as dead.
    package var pingTimeout: Int64 = 10_000_000_000
    /// The time from the first byte of a message to its last; `nil` for no limit.
    package var messageTimeout: Int64?
    /// How long a closing handshake may take.
    package var closeTimeout: Int64 = 5_000_000_000

    /// permessage-deflate (RFC 7692), for peers that support it; `nil` to neither offer nor accept it.
    package var compression: CompressionOptions?

    package init() {}
}

extension WebSocketConnection {
    /// Options shared by all sockets of a listener: an idle socket holds one reference.
    package final class Options: Sendable {
        package let values: WebSocketOptions
        package init(_ values: WebSocketOptions) { self.values = values }
    }
}

/// What ended a WebSocket; more precise than the close code.
public enum EndReason: String, CaseIterable, Sendable {
    /// This side closed it, and the peer answered.
    case closed
    /// The peer closed it with a closing handshake.
    case closedByPeer
    /// A client's socket was never opened.
    case notOpened
    /// The peer violated the protocol or exceeded a limit for messages; the close code says which.
    case violation
    /// The TCP connection ended without a Close frame.
    case lost
    /// The peer stopped responding (``KeepAlive``).
    case silent
    /// The peer did not answer the Close frame in time.
    case unanswered
    /// The peer received too slowly.
    case slow
    /// This side cut the connection.
    case terminated
}

extension EndReason: CustomStringConvertible {
    /// A phrase for people.
    public var description: String {
        switch self {
        case .closed: "closed"
        case .closedByPeer: "closed by the peer"
        case .notOpened: "never open"
        case .violation: "the peer broke the protocol"
        case .lost: "the connection was lost"
        case .silent: "the peer gave no sign of life"
        case .unanswered: "the peer did not answer the CLOSE in time"
        case .slow: "the peer takes too little of what it is sent"
        case .terminated: "the connection was cut by this side"
        }
    }
}

/// How a WebSocket ended.
package struct CloseEvent: Sendable, Equatable {
    /// The code of the CLOSE that decided; 1005 if it had none, 1006 if there was no CLOSE.
    ///
    /// RFC 6455 §7.1.5.
    package let code: CloseCode
    package let reason: String
    /// Whether both sides have sent a CLOSE.
    package let wasClean: Bool
    package let cause: EndReason
    /// Whether it was ended because the peer gave no sign of life.
    package var isDead: Bool { cause == .silent }

    /// - Parameter cause: `nil` means closed by this side if `wasClean`, otherwise lost.
    package init(code: CloseCode, reason: String, wasClean: Bool, cause: EndReason? = nil) {
        self.code = code
        self.reason = reason
        self.wasClean = wasClean
        self.cause = cause ?? (wasClean ? .closed : .lost)
    }
}

/// The user of a ``WebSocketConnection``.
///
/// All calls come on the connection's reactor.
package protocol WebSocketSession: AnyObject {
    /// A complete message: `.text`, which is valid UTF-8, or `.binary`; the view is valid only during the call.
    func received(_ opcode: Opcode, _ payload: Span<UInt8>)

    /// A part of a message, on a connection that delivers messages in parts; the view is valid only during the call.
    func receivedPart(_ opcode: Opcode, _ part: Span<UInt8>, isLast: Bool)

    /// The peer's PING, which has been answered.
    func pinged(_ payload: [UInt8])

    /// The peer's PONG, requested or not.
    func ponged(_ payload: [UInt8])

    /// The memory of received messages that the session holds, in bytes.
    var heldBytes: Int { get }

    /// The socket has unsent bytes, for the first time since everything was sent; ``drained()`` follows.
    func fellBehind()

    /// Everything was sent, after there was a backlog.
    func drained()

    /// The peer violated the protocol or a limit; ``closed(_:)`` follows when earlier messages have been answered.
    func violated(_ code: CloseCode, _ reason: String)

    /// The connection is closed because the peer takes too little or gives no sign of life; ``closed(_:)`` follows.
    func evicted(_ reason: String)

    /// Our Close frame is being sent: from this call on nothing may be sent, and nothing more is received.
    ///
    /// Called at most once, before ``closed(_:)``.
    func closing()

    /// The peer has closed the connection or violated the protocol; everything before that has been received.
    ///
    /// `end` sends our Close frame and ends the connection. Until it is called, in this turn or a later one, messages
    /// are still sent. The connection waits for it no longer than for a closing handshake.
    func isEnding(_ end: @escaping () -> Void)

    /// The socket has ended; nothing follows. Called once.
    func closed(_ event: CloseEvent)
}

extension WebSocketSession {
    package var heldBytes: Int { 0 }
    package func receivedPart(_ opcode: Opcode, _ part: Span<UInt8>, isLast: Bool) {}
    package func fellBehind() {}

    package func drained() {}
    package func violated(_ code: CloseCode, _ reason: String) {}
    package func evicted(_ reason: String) {}
    package func closing() {}
    package func isEnding(_ end: @escaping () -> Void) { end() }
    package func pinged(_ payload: [UInt8]) {}
    package func ponged(_ payload: [UInt8]) {}
}

extension WebSocketConnection {
    /// Replaces limits and intervals from now on; compression stays as agreed on.
    package func adopt(_ options: Options) {
        self.options = options
        unsafe machine.maximumMessageSize = options.values.maximumMessage
        stream.maximumUnsent = options.values.maximumUnsent
        scheduleKeepalive()
    }
}

extension Reactor {
    /// zlib's memory for the WebSockets of this reactor; made on first use.
    package var deflatePool: DeflatePool {
        if let pool = self[DeflatePool.self] { return pool }
        let pool = DeflatePool()
        self[DeflatePool.self] = pool
        return pool
    }
}
