/// What a server asks of those who want a WebSocket, and what it allows them.
public struct UpgradeOptions: Sendable {
    /// permessage-deflate (RFC 7692) for those who offer it; `nil`: none, as by default.
    public var perMessageDeflate: CompressionOptions?
    /// The most bytes of a received message, over all its fragments; exactly as many are allowed.
    public var maxPayload = WebSocketMessage.defaultMaxSize
    /// The subprotocols that are spoken, the best first; the first of them that is offered is chosen.
    public var protocols: [String] = []
    /// Chooses among the subprotocols that are offered, in place of ``protocols``; `nil`, or another than one of those: none.
    public var selectProtocol: (@Sendable (_ offered: [String]) -> String?)?
    /// Which pages may come; others get status 403.
    public var origins = OriginPolicy.sameHost
    /// Asked before the answer, when all else is in order; what it throws is the answer, an ``HTTPRefusal`` as it says.
    public var authorize: (@Sendable (HTTPRequest) async throws -> Void)?
    /// How a silent client is found out; `nil`: not at all.
    public var keepAlive: KeepAlive? = KeepAlive()
    /// How long a closing handshake may take.
    public var closeTimeout: Duration = .seconds(5)
    /// The most bytes that were received and that nobody has taken; beyond it the client is let wait.
    public var maximumHeld = 1024 * 1024
    /// The most bytes that may be unsent; beyond it ``slowReaders`` decides.
    public var maximumUnsent = 16 * 1024 * 1024
    /// How long the oldest unsent byte may wait until the client is closed as too slow (1013); `nil`: for ever.
    public var maximumUnsentAge: Duration? = .seconds(30)
    /// What becomes of those who take less than they are sent; an asynchronous `send` waits for them in any case.
    public var slowReaders = SlowReaders.close

    /// What becomes of a client that more is unsent to than ``maximumUnsent``.
    public enum SlowReaders: Sendable {
        /// It is closed with code 1013, and what is unsent but for the frame under way is dropped; `send` throws
        /// ``WS/Error/tooMuchUnsent(_:)``.
        case close
        /// `send` throws ``WS/Error/tooMuchUnsent(_:)``, and nothing else happens.
        case refuse
    }

    /// The defaults.
    public init() {}

    var limits: SocketCore.Limits {
        SocketCore.Limits(held: maximumHeld, unsent: maximumUnsent, closesSlowReaders: slowReaders == .close)
    }

    /// The same, in the connection's own terms.
    var connection: WebSocketConnection.Options {
        var values = WebSocketOptions()
        values.maximumMessage = maxPayload
        values.compression = perMessageDeflate
        values.closeTimeout = closeTimeout.nanoseconds
        values.maximumUnsent = maximumUnsent
        values.maximumUnsentAge = maximumUnsentAge?.nanoseconds
        values.set(keepAlive)
        return WebSocketConnection.Options(values)
    }

    /// The subprotocol for a client that offers `offered`.
    func choose(_ offered: [String]) -> String? {
        guard let selectProtocol else { return protocols.first(where: offered.contains) }
        return selectProtocol(offered).flatMap { offered.contains($0) ? $0 : nil }
    }
}
