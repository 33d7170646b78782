/// What a client allows, and requests, when it opens a WebSocket.
///
/// Times in nanoseconds, sizes in bytes.
package struct ClientOptions: Sendable {
    /// Offered in this order.
    package var subprotocols: [String] = []
    /// The value of `Origin`; `nil`: none is sent.
    package var origin: String?
    /// Further fields of the request; those of the handshake cannot be set.
    package var fields: HeaderFields = [:]
    /// Sent as `Authorization`; `nil`: those of the URL, if any.
    package var credentials: BasicCredentials?
    /// Sent to the server of the URL, in addition to those of the jar.
    package var cookies: [(name: String, value: String)] = []
    /// Where cookies are taken from and stored; `nil`: servers' cookies are ignored.
    package var cookieJar: CookieJar?
    /// The proxy to connect through; `nil`: connect directly.
    package var proxy: ClientProxy?
    /// How many redirects to follow; 0: a redirect is a refusal.
    ///
    /// Never from TLS to plain. Another server gets neither credentials nor cookies that are not its own.
    package var maximumRedirects = 0
    /// For everything up to the open WebSocket: names, connections, proxy, TLS, redirects, the opening handshake.
    package var handshakeTimeout: Int64 = 10_000_000_000
    /// How long one address of a host may be silent before the next is tried as well.
    package var fallbackDelay: Int64 = 250_000_000
    /// How much may be received and not yet read; beyond it the server has to wait.
    package var maximumHeld = 1024 * 1024
    /// How much may be unsent before a `send` that returns at once throws.
    package var maximumUnsent = 1024 * 1024
    /// Which certificates are accepted, for a secure endpoint, and which one is presented; `nil`: those that the system
    /// trusts.
    ///
    /// Connections that share a context resume each other's TLS sessions.
    package var tls: TLSContext?
    /// The name to request by TLS, which the certificate must have, for the server of the URL; `nil`: the URL's host.
    package var serverName: String?
    /// The limit of one received message, keepalive, the closing handshake's time, and compression.
    package var webSocket: WebSocketOptions

    /// The defaults.
    package init() {
        webSocket = WebSocketOptions()
        // A client waits rather than giving up on a server that takes bytes slowly.
        webSocket.maximumUnsent = .max
        webSocket.maximumUnsentAge = nil
    }

    /// The fields that the handshake writes.
    private static let own = [
        "Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept", "Content-Length", "Transfer-Encoding", "Expect",
        "Proxy-Authorization",
    ]

    /// Throws ``ConnectError/invalidOption(_:)`` for options that no request can have.
    func check() throws(ConnectError) {
        for field in fields {
            guard field.name.isToken else { throw .invalidOption("\"\(field.name)\" is no name of a header field") }
            let isOwn = Self.own.contains { $0.isSameIgnoringCase(field.name) }
            guard !isOwn, origin == nil || !field.name.isSameIgnoringCase("Origin") else {
                throw .invalidOption("the header field \(field.name) belongs to the handshake")
            }
            guard field.value.utf8.allSatisfy(\.isFieldCharacter) else {
                throw .invalidOption("the header field \(field.name) has a control character")
            }
        }
        guard origin?.utf8.allSatisfy(\.isFieldCharacter) ?? true else {
            throw .invalidOption("the origin has a control character")
        }
        if let bad = subprotocols.first(where: { !$0.isToken }) {
            throw .invalidOption("\"\(bad)\" is no name of a subprotocol")
        }
        // RFC 6455 §4.1: they are all different.
        guard Set(subprotocols).count == subprotocols.count else {
            throw .invalidOption("a subprotocol is offered twice")
        }
        for (name, value) in cookies {
            guard name.isToken, value.utf8.allSatisfy({ $0.isFieldCharacter && $0 != UInt8(ascii: ";") }) else {
                throw .invalidOption("the cookie \"\(name)\" has a character that no cookie can have")
            }
        }
    }
}
