/// The options of a client's WebSocket: what it requests from the server, and its limits.
public struct ConnectOptions: Sendable {
    /// The subprotocols to offer, in order of preference.
    public var protocols: [String] = []
    /// The value of the `Origin` field; empty, the default, to send no such field.
    public var origin = ""
    /// The parameters of permessage-deflate (RFC 7692) to offer; `nil`, the default, to offer none.
    public var perMessageDeflate: CompressionOptions?
    /// The maximum size of a received message in bytes, over all its fragments; a message of exactly this size is
    /// accepted.
    public var maxPayload = WebSocketMessage.defaultMaxSize
    /// Additional header fields of the request; a field of the handshake itself is an error.
    public var headers: HeaderFields = [:]
    /// Cookies to send to the server of the URL.
    public var cookies: [(name: String, value: String)] = []
    /// The jar that the server's cookies are stored in and sent from; `nil` to ignore them.
    public var cookieJar: CookieJar?
    /// The URL of an HTTP proxy to connect through with CONNECT, `http://user:password@host:port`; empty for none.
    public var proxy = ""
    /// The maximum number of redirects to follow, never from `wss` to `ws`; with 0, the default, a redirect is an
    /// error.
    public var maximumRedirects = 0
    /// Which server certificates to accept, and the client's own certificate; `nil` to trust what the system trusts.
    public var tls: TLSContext?
    /// The name that the server's certificate must have; empty for the URL's host.
    public var serverName = ""
    /// The path of a socket in the file system to connect to, instead of the URL's host; empty for none.
    ///
    /// Only for `ws://`. The request's `Host` is then `localhost`.
    public var socketPath = ""
    /// The time limit for the whole opening: name resolution, connecting, proxy, TLS, redirects, the handshake.
    public var handshakeTimeout: Duration = .seconds(10)
    /// The time limit for a closing handshake.
    public var closeTimeout: Duration = .seconds(5)
    /// How an unresponsive server is detected; `nil` to disable this.
    public var keepAlive: KeepAlive? = KeepAlive()
    /// Whether messages are delivered in parts as they arrive, so that a large message is never in memory as a whole;
    /// see ``WebSocket/receiveInParts()``.
    ///
    /// Listeners for messages are then not called. ``WebSocket/receive()`` collects up to 64 MiB; if its task is
    /// cancelled, the rest of the message is dropped.
    public var receivesParts = false
    /// The maximum number of received bytes that the program has not read yet; beyond it, reading from the server
    /// pauses.
    public var maximumHeld = 1024 * 1024
    /// The maximum number of unsent bytes.
    ///
    /// Beyond it, a `send` that returns at once throws. An asynchronous `send` already waits above 64 KiB.
    public var maximumUnsent = 16 * 1024 * 1024

    /// Creates options; those not given have their defaults, and all are checked when a socket is opened.
    public init(
        protocols: [String] = [], origin: String = "", perMessageDeflate: CompressionOptions? = nil,
        maxPayload: Int = WebSocketMessage.defaultMaxSize, headers: HeaderFields = [:],
        cookies: [(name: String, value: String)] = [], cookieJar: CookieJar? = nil, proxy: String = "",
        maximumRedirects: Int = 0, tls: TLSContext? = nil, serverName: String = "", socketPath: String = "",
        handshakeTimeout: Duration = .seconds(10), closeTimeout: Duration = .seconds(5),
        keepAlive: KeepAlive? = KeepAlive(), receivesParts: Bool = false, maximumHeld: Int = 1024 * 1024,
        maximumUnsent: Int = 16 * 1024 * 1024
    ) {
        self.protocols = protocols
        self.origin = origin
        self.perMessageDeflate = perMessageDeflate
        self.maxPayload = maxPayload
        self.headers = headers
        self.cookies = cookies
        self.cookieJar = cookieJar
        self.proxy = proxy
        self.maximumRedirects = maximumRedirects
        self.tls = tls
        self.serverName = serverName
        self.socketPath = socketPath
        self.handshakeTimeout = handshakeTimeout
        self.closeTimeout = closeTimeout
        self.keepAlive = keepAlive
        self.receivesParts = receivesParts
        self.maximumHeld = maximumHeld
        self.maximumUnsent = maximumUnsent
    }

    /// An invalid option, other than those that a request cannot have; `nil` if there is none.
    private var problem: String? {
        if maximumRedirects < 0 {
            "maximumRedirects: \(maximumRedirects) is below 0"
        } else if handshakeTimeout <= .zero {
            "handshakeTimeout must be above 0"
        } else {
            SocketOptions.problem(perMessageDeflate, maxPayload, keepAlive, closeTimeout, maximumHeld, maximumUnsent)
        }
    }

    /// The options that both roles share.
    var limits: SocketCore.Limits {
        SocketCore.Limits(held: maximumHeld, unsent: maximumUnsent, receivesParts: receivesParts)
    }

    /// The place to connect to: the URL's host, or the socket in the file system.
    func place(_ url: WebSocketURL) throws(ConnectError) -> WebSocketURL {
        guard !socketPath.isEmpty else { return url }
        if case .internet(_, _, isSecure: true) = url.endpoint {
            throw .invalidOption("socketPath: a socket in the file system is for ws://, not for wss://")
        }
        return WebSocketURL(endpoint: .unix(path: socketPath), path: url.target, credentials: url.credentials)
    }

    /// Throws ``WS/Error/invalidOption(_:)`` for values that ``WS/open(_:options:)`` refuses.
    package func check() throws(WS.Error) {
        do throws(ConnectError) { try client().check() } catch { throw .invalidOption("\(error)") }
    }

    /// The options, as the client's internal options.
    ///
    /// Throws ``ConnectError/invalidOption(_:)`` for invalid values.
    func client() throws(ConnectError) -> ClientOptions {
        if let problem { throw .invalidOption(problem) }
        var options = ClientOptions()
        options.subprotocols = protocols
        options.origin = origin.isEmpty ? nil : origin
        options.fields = headers
        options.cookies = cookies
        options.cookieJar = cookieJar
        if !proxy.isEmpty {
            do throws(ClientProxy.ParseError) { options.proxy = try ClientProxy(parsing: proxy) } catch {
                throw .invalidOption("proxy: \(error)")
            }
        }
        options.maximumRedirects = maximumRedirects
        options.tls = tls
        options.serverName = serverName.isEmpty ? nil : serverName
        options.handshakeTimeout = handshakeTimeout.nanoseconds
        options.webSocket.maximumMessage = maxPayload
        options.webSocket.compression = perMessageDeflate
        options.webSocket.closeTimeout = closeTimeout.nanoseconds
        options.webSocket.set(keepAlive)
        return options
    }
}

/// The checks of options that both roles share.
enum SocketOptions {
    /// An invalid value; `nil` if there is none.
    static func problem(
        _ compression: CompressionOptions?, _ maxPayload: Int, _ keepAlive: KeepAlive?, _ closeTimeout: Duration,
        _ maximumHeld: Int, _ maximumUnsent: Int
    ) -> String? {
        if let problem = compression?.problem {
            "perMessageDeflate: \(problem)"
        } else if maxPayload < 0 {
            "maxPayload: \(maxPayload) is below 0"
        } else if let keepAlive, keepAlive.interval <= .zero || keepAlive.timeout <= .zero {
            "keepAlive: interval and timeout must be above 0"
        } else if closeTimeout <= .zero {
            "closeTimeout must be above 0"
        } else if maximumHeld <= 0 || maximumUnsent <= 0 {
            "maximumHeld and maximumUnsent must be above 0"
        } else {
            nil
        }
    }
}

extension WebSocketOptions {
    mutating func set(_ keepAlive: KeepAlive?) {
        pingInterval = keepAlive?.interval.nanoseconds
        if let keepAlive { pingTimeout = keepAlive.timeout.nanoseconds }
    }
}
