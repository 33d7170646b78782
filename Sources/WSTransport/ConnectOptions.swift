/// The options of a client's WebSocket: what it requests from the server, and its limits.
public struct ConnectOptions: Sendable {
    /// The subprotocols to offer, in order of preference.
    public var protocols: [String] = []
    /// The value of `Origin`; empty, the default, to send none.
    public var origin = ""
    /// The parameters of permessage-deflate (RFC 7692) to offer; `nil`, the default, to offer none.
    public var perMessageDeflate: CompressionOptions?
    /// The maximum size of a received message in bytes, over all its fragments; a message of exactly this size is
    /// accepted.
    public var maxPayload = WebSocketMessage.defaultMaxSize
    /// Additional header fields of the request; fields of the handshake itself are an error.
    public var headers: HTTPFields = [:]
    /// Cookies to send to the server of the URL.
    public var cookies: [(name: String, value: String)] = []
    /// The jar that the server's cookies are stored in and sent from; `nil` to ignore them.
    public var cookieJar: CookieJar?
    /// The URL of an HTTP proxy to connect through with CONNECT, `http://user:password@host:port`; empty for none.
    public var proxy = ""
    /// The maximum number of redirects to follow, never from `wss` to `ws`; with 0, the default, a redirect is an
    /// error.
    public var maximumRedirects = 0
    /// The accepted certificates, and the client's own; `nil` to accept those that the system trusts.
    public var tls: TLSContext?
    /// The name that the server's certificate must have; empty for the URL's host.
    public var serverName = ""
    /// The time limit for the whole opening: name resolution, connecting, proxy, TLS, redirects, the handshake.
    public var handshakeTimeout: Duration = .seconds(10)
    /// The time limit for a closing handshake.
    public var closeTimeout: Duration = .seconds(5)
    /// How an unresponsive server is detected; `nil` to disable this.
    public var keepAlive: KeepAlive? = KeepAlive()
    /// The maximum of received bytes that the program has not taken; beyond it, reading from the server pauses.
    public var maximumHeld = 1024 * 1024
    /// The maximum of unsent bytes.
    ///
    /// Beyond it, a `send` that returns at once throws. An asynchronous `send` waits above 64 KiB.
    public var maximumUnsent = 16 * 1024 * 1024

    /// The defaults.
    public init() {}

    /// Options that both roles share.
    var limits: SocketCore.Limits { SocketCore.Limits(held: maximumHeld, unsent: maximumUnsent) }

    /// The options, as the client's internal options.
    ///
    /// Throws ``ConnectError/invalidOption(_:)`` if the proxy's URL is invalid.
    func client() throws(ConnectError) -> ClientOptions {
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

extension WebSocketOptions {
    mutating func set(_ keepAlive: KeepAlive?) {
        pingInterval = keepAlive?.interval.nanoseconds
        if let keepAlive { pingTimeout = keepAlive.timeout.nanoseconds }
    }
}
