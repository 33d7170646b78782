/// What a client asks for, and allows.
public struct ConnectOptions: Sendable {
    /// The subprotocols to offer, the best first.
    public var protocols: [String] = []
    /// The value of `Origin`; empty: none is sent.
    public var origin = ""
    /// permessage-deflate (RFC 7692) to be offered; `nil`: none, as by default.
    public var perMessageDeflate: CompressionOptions?
    /// The most bytes of a received message, over all its fragments; exactly as many are allowed.
    public var maxPayload = WebSocketMessage.defaultMaxSize
    /// Further header fields of the request; those of the handshake itself are an error.
    public var headers: HTTPFields = [:]
    /// Cookies to be sent to the server of the URL.
    public var cookies: [(name: String, value: String)] = []
    /// Where cookies of servers go to and come from; `nil`: those are ignored.
    public var cookieJar: CookieJar?
    /// An HTTP proxy to go through by CONNECT, `http://user:password@host:port`; empty: none.
    public var proxy = ""
    /// How often a redirect is followed, never from `wss` to `ws`; 0, the default: it is an error.
    public var maximumRedirects = 0
    /// Whose certificates are accepted, and what is shown; `nil`: those that the system accepts.
    public var tls: TLSContext?
    /// The name that the certificate must have; empty: the URL's host.
    public var serverName = ""
    /// For everything up to the open socket: names, connections, proxy, TLS, redirects, the handshake.
    public var handshakeTimeout: Duration = .seconds(10)
    /// How long a closing handshake may take.
    public var closeTimeout: Duration = .seconds(5)
    /// How a silent server is found out; `nil`: not at all.
    public var keepAlive: KeepAlive? = KeepAlive()
    /// The most bytes that were received and that nobody has taken; beyond it the server is let wait.
    public var maximumHeld = 1024 * 1024
    /// The most bytes that may be unsent: beyond it a `send` that returns at once throws; an asynchronous one waits above 64 KiB.
    public var maximumUnsent = 16 * 1024 * 1024

    /// The defaults.
    public init() {}

    /// What both roles have in common.
    var limits: SocketCore.Limits { SocketCore.Limits(held: maximumHeld, unsent: maximumUnsent) }

    /// The same, in the client's own terms.
    ///
    /// Throws ``ConnectError/invalidOption(_:)`` where the proxy is none.
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
