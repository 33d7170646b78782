/// What a server requires of WebSocket clients, and what it allows.
public struct UpgradeOptions: Sendable {
    /// permessage-deflate (RFC 7692) for clients that offer it; `nil`, the default: none.
    public var perMessageDeflate: CompressionOptions?
    /// The maximum size of a received message in bytes, over all its fragments; exactly as many are allowed.
    public var maxPayload = WebSocketMessage.defaultMaxSize
    /// The supported subprotocols, the best first; the first one that is offered is chosen.
    public var protocols: [String] = []
    /// Chooses among the offered subprotocols, instead of ``protocols``; `nil`, or one that was not offered: none.
    public var selectProtocol: (@Sendable (_ offered: [String]) -> String?)?
    /// Which pages may connect; others get status 403.
    public var origins = OriginPolicy.sameHost
    /// Called before the answer, if everything else is in order; what it throws becomes the answer, as for any handler.
    public var authorize: (@Sendable (HTTPRequest) async throws -> Void)?
    /// How a silent client is detected; `nil`: not at all.
    public var keepAlive: KeepAlive? = KeepAlive()
    /// How long a closing handshake may take.
    public var closeTimeout: Duration = .seconds(5)
    /// The maximum of received bytes that have not been taken; beyond it the client has to wait.
    public var maximumHeld = 1024 * 1024
    /// The maximum of unsent bytes; beyond it ``slowReaders`` decides.
    public var maximumUnsent = 16 * 1024 * 1024
    /// How long the oldest unsent byte may wait before the client is closed as too slow (1013); `nil`: no limit.
    public var maximumUnsentAge: Duration? = .seconds(30)
    /// Where asynchronous closures and listeners run.
    public var executor = Executor.global
    /// What happens to clients that take less than they are sent; an asynchronous `send` waits for them in any case.
    public var slowReaders = SlowReaders.close

    /// What happens to a client with more unsent bytes than ``maximumUnsent``.
    public enum SlowReaders: Sendable {
        /// It is closed with code 1013, and unsent bytes are dropped, except the frame under way; `send` throws
        /// ``WS/Error/tooMuchUnsent(_:)``.
        case close
        /// `send` throws ``WS/Error/tooMuchUnsent(_:)``, and nothing else happens.
        case refuse
    }

    /// Where asynchronous closures and listeners run.
    public enum Executor: Sendable {
        /// On Swift's threads, where they may compute for as long as they need.
        case global
        /// On the connection's thread, which they must not block: it serves other connections, too.
        ///
        /// Saves a change of threads for each message.
        case reactor
    }

    /// The defaults.
    public init() {}

    var limits: SocketCore.Limits {
        SocketCore.Limits(
            held: maximumHeld, unsent: maximumUnsent, closesSlowReaders: slowReaders == .close,
            runsOnReactor: executor == .reactor)
    }

    /// The same, as the connection's internal options.
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
