/// What a client requests and allows.
public struct ConnectOptions: Sendable {
    /// The subprotocols to offer, the best first.
    public var protocols: [String] = []
    /// The value of `Origin`; empty: none is sent.
    public var origin = ""
    /// permessage-deflate (RFC 7692) to offer; `nil`, the default: none.
    public var perMessageDeflate: CompressionOptions?
    /// The maximum size of a received message in bytes, over all its fragments; exactly as many are allowed.
    public var maxPayload = WebSocketMessage.defaultMaxSize
    /// Further header fields of the request; those of the handshake itself are an error.
    public var headers: HTTPFields = [:]
    /// Cookies to send to the server of the URL.
    public var cookies: [(name: String, value: String)] = []
    /// Where servers' cookies are kept and taken from; `nil`: they are ignored.
    public var cookieJar: CookieJar?
    /// An HTTP proxy to connect through by CONNECT, `http://user:password@host:port`; empty: none.
    public var proxy = ""
    /// How many redirects are followed, never from `wss` to `ws`; 0, the default: a redirect is an error.
    public var maximumRedirects = 0
    /// Which certificates are accepted, and which one is presented; `nil`: those that the system trusts.
    public var tls: TLSContext?
    /// The name that the certificate must have; empty: the URL's host.
    public var serverName = ""
    /// For everything up to the open socket: names, connections, proxy, TLS, redirects, the handshake.
    public var handshakeTimeout: Duration = .seconds(10)
    /// How long a closing handshake may take.
    public var closeTimeout: Duration = .seconds(5)
    /// How a silent server is detected; `nil`: not at all.
    public var keepAlive: KeepAlive? = KeepAlive()
    /// The maximum of received bytes that have not been taken; beyond it the server has to wait.
    public var maximumHeld = 1024 * 1024
    /// The maximum of unsent bytes; beyond it a `send` that returns at once throws; an asynchronous one waits above 64
    /// KiB.
    public var maximumUnsent = 16 * 1024 * 1024

    /// The defaults.
    public init() {}

    /// Options that both roles share.
    var limits: SocketCore.Limits { SocketCore.Limits(held: maximumHeld, unsent: maximumUnsent) }

    /// The same, as the client's internal options.
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
