/// What a WebSocket allows.
///
/// Times in nanoseconds, sizes in bytes.
package struct WebSocketOptions: Sendable {
    /// Of one message, over all its fragments; exactly as many are allowed.
    package var maximumMessage = 64 * 1024 * 1024
    /// The most that may be unsent.
    package var maximumUnsent = 1024 * 1024
    /// How long the oldest unsent byte may wait; `nil`: for ever.
    package var maximumUnsentAge: Int64? = 30_000_000_000
    /// Silence after which a PING is sent; `nil`: never.
    package var pingInterval: Int64? = 25_000_000_000
    /// Silence after a PING until the peer is taken for dead.
    package var pingTimeout: Int64 = 10_000_000_000
    /// From the first byte of a message to its last; `nil`: as long as it likes.
    package var messageTimeout: Int64?
    /// How long a closing handshake may take.
    package var closeTimeout: Int64 = 5_000_000_000

    /// permessage-deflate (RFC 7692), for a peer that knows it, too; `nil`: neither offered nor accepted.
    package var compression: CompressionOptions?

    package init() {}
}

extension WebSocketConnection {
    /// Shared by all sockets of a listener: an idle socket holds one reference.
    package final class Options: Sendable {
        package let values: WebSocketOptions
        package init(_ values: WebSocketOptions) { self.values = values }
    }
}

/// How a WebSocket ended.
package struct CloseEvent: Sendable, Equatable {
    /// The code of the CLOSE that decided; 1005 where it had none, 1006 where none came.
    ///
    /// RFC 6455 §7.1.5.
    package let code: CloseCode
    package let reason: String
    /// Whether both sides' CLOSE were exchanged.
    package let wasClean: Bool

    package init(code: CloseCode, reason: String, wasClean: Bool) {
        self.code = code
        self.reason = reason
        self.wasClean = wasClean
    }
}

/// Who listens to a ``WebSocketConnection``.
///
/// Every call comes on the connection's reactor.
package protocol WebSocketSession: AnyObject {
    /// A whole message: `.text`, which is valid UTF-8, or `.binary`. The view is valid during the call only.
    func received(_ opcode: Opcode, _ payload: Span<UInt8>)

    /// The peer's PING, which has been answered.
    func pinged(_ payload: [UInt8])

    /// The peer's PONG, asked for or not.
    func ponged(_ payload: [UInt8])

    /// What it keeps of the messages that it was given, in bytes of memory.
    var heldBytes: Int { get }

    /// The socket took less than it was given, after it had taken everything before; ``drained()`` follows.
    func fellBehind()

    /// Everything unsent has been sent, after there had been a backlog.
    func drained()

    /// Our CLOSE goes out: from this very call on nothing may be sent, and nothing more is received.
    ///
    /// Comes once at most, before ``closed(_:)``.
    func closing()

    /// The peer broke the protocol, after everything that has been received.
    ///
    /// `fail` sends the CLOSE and ends the connection; until it is called, at once or in a later turn, what is sent still
    /// goes out. The connection does not wait longer than for a closing handshake.
    func isFailing(_ fail: @escaping () -> Void)

    /// The socket has ended; nothing follows. Comes once.
    func closed(_ event: CloseEvent)
}

extension WebSocketSession {
    package var heldBytes: Int { 0 }
    package func fellBehind() {}

    package func drained() {}
    package func closing() {}
    package func isFailing(_ fail: @escaping () -> Void) { fail() }
    package func pinged(_ payload: [UInt8]) {}
    package func ponged(_ payload: [UInt8]) {}
}

extension WebSocketConnection {
    /// From now on other limits and intervals hold; compression stays as it was agreed upon.
    package func adopt(_ options: Options) {
        self.options = options
        machine.maximumMessageSize = options.values.maximumMessage
        stream.maximumUnsent = options.values.maximumUnsent
        scheduleKeepalive()
    }
}
