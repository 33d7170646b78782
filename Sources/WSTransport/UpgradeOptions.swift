/// The options of a server's WebSockets: what it requires of clients, and its limits.
public struct UpgradeOptions: Sendable {
    /// The parameters of permessage-deflate (RFC 7692) for clients that offer it; `nil`, the default, for no
    /// compression.
    public var perMessageDeflate: CompressionOptions?
    /// The maximum size of a received message in bytes, over all its fragments; a message of exactly this size is
    /// accepted.
    public var maxPayload = WebSocketMessage.defaultMaxSize
    /// The supported subprotocols in order of preference; the first one that the client offers is chosen.
    public var protocols: [String] = []
    /// Chooses one of the offered subprotocols, instead of ``protocols``; the result `nil` means none.
    ///
    /// If it returns a subprotocol that was not offered, none is chosen. Called on the connection's thread, which it
    /// must not block.
    public var selectProtocol: (@Sendable (_ offered: [String]) -> String?)?
    /// The origins whose pages may connect; others get status 403.
    public var origins = OriginPolicy.sameHost
    /// Called before the response, if the rest of the request is valid; an error becomes the response, as for any
    /// handler.
    public var authorize: (@Sendable (ServerRequest) async throws -> Void)?
    /// How an unresponsive client is detected; `nil` to disable this.
    public var keepAlive: KeepAlive? = KeepAlive()
    /// The time limit for a closing handshake.
    public var closeTimeout: Duration = .seconds(5)
    /// Whether messages are delivered in parts as they arrive, so that a large message is never in memory as a whole;
    /// see ``WebSocket/receiveInParts()``.
    ///
    /// Listeners for messages are then not called. ``WebSocket/receive()`` collects up to 64 MiB; if its task is
    /// cancelled, the rest of the message is dropped.
    public var receivesParts = false
    /// The maximum number of received bytes that the program has not read yet; beyond it, reading from the client
    /// pauses.
    public var maximumHeld = 1024 * 1024
    /// The maximum number of unsent bytes; beyond it, ``slowReaders`` decides what happens.
    public var maximumUnsent = 16 * 1024 * 1024
    /// How long the oldest unsent byte may wait before the client is closed as too slow (1013); `nil` for no limit.
    public var maximumUnsentAge: Duration? = .seconds(30)
    /// Where asynchronous closures and listeners run.
    public var executor = Executor.global
    /// What happens to clients that receive too slowly; an asynchronous `send` waits for them in any case.
    public var slowReaders = SlowReaders.close

    /// What happens to a client with more unsent bytes than ``maximumUnsent``.
    public enum SlowReaders: Sendable {
        /// The socket is closed with code 1013; unsent bytes are dropped, except those of the current frame, and `send`
        /// throws ``WS/Error/tooMuchUnsent(_:)``.
        case close
        /// `send` throws ``WS/Error/tooMuchUnsent(_:)``, and nothing else happens.
        case refuse
    }

    /// Where asynchronous closures and listeners run.
    public enum Executor: Sendable {
        /// On Swift's threads, where they may compute for as long as they need.
        case global
        /// On the connection's thread, which they must not block, because it also serves other connections.
        ///
        /// This saves a change of threads for each message.
        case reactor
    }

    /// Creates options; those not given have their defaults, and all are checked by ``HTTPServer/start()``.
    public init(
        perMessageDeflate: CompressionOptions? = nil, maxPayload: Int = WebSocketMessage.defaultMaxSize,
        protocols: [String] = [], selectProtocol: (@Sendable (_ offered: [String]) -> String?)? = nil,
        origins: OriginPolicy = .sameHost, authorize: (@Sendable (ServerRequest) async throws -> Void)? = nil,
        keepAlive: KeepAlive? = KeepAlive(), closeTimeout: Duration = .seconds(5), receivesParts: Bool = false,
        maximumHeld: Int = 1024 * 1024,
        maximumUnsent: Int = 16 * 1024 * 1024, maximumUnsentAge: Duration? = .seconds(30),
        executor: Executor = .global, slowReaders: SlowReaders = .close
    ) {
        self.perMessageDeflate = perMessageDeflate
        self.maxPayload = maxPayload
        self.protocols = protocols
        self.selectProtocol = selectProtocol
        self.origins = origins
        self.authorize = authorize
        self.keepAlive = keepAlive
        self.closeTimeout = closeTimeout
        self.receivesParts = receivesParts
        self.maximumHeld = maximumHeld
        self.maximumUnsent = maximumUnsent
        self.maximumUnsentAge = maximumUnsentAge
        self.executor = executor
        self.slowReaders = slowReaders
    }

    /// An invalid option; `nil` if there is none.
    var problem: String? {
        if let bad = protocols.first(where: { !$0.isToken }) {
            "protocols: \"\(bad)\" is no name of a subprotocol"
        } else if let age = maximumUnsentAge, age <= .zero {
            "maximumUnsentAge must be above 0"
        } else {
            SocketOptions.problem(perMessageDeflate, maxPayload, keepAlive, closeTimeout, maximumHeld, maximumUnsent)
        }
    }

    var limits: SocketCore.Limits {
        SocketCore.Limits(
            held: maximumHeld, unsent: maximumUnsent, closesSlowReaders: slowReaders == .close,
            runsOnReactor: executor == .reactor, receivesParts: receivesParts)
    }

    /// The options, as the connection's internal options.
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

    /// Throws ``WS/Error/invalidOption(_:)`` if there is a ``problem``.
    package func check() throws(WS.Error) { if let problem { throw .invalidOption(problem) } }

    /// Throws the refusal of a page of another origin.
    package func checkOrigin(of head: HTTPRequestHead) throws(HTTPRefusal) {
        guard origins.allows(head.fields.first("Origin"), host: head.host) else {
            throw HTTPRefusal(
                status: 403, code: "forbidden",
                message: "The origin \(head.fields.first("Origin") ?? "") is not on the list of allowed origins.")
        }
    }

    /// The subprotocol for a client that offers `offered`.
    package func choose(_ offered: [String]) -> String? {
        guard let selectProtocol else { return protocols.first(where: offered.contains) }
        return selectProtocol(offered).flatMap { offered.contains($0) ? $0 : nil }
    }
}
