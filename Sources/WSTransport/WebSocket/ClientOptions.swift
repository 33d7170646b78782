/// The options of a client for opening a WebSocket: its limits, and what it requests.
///
/// Times in nanoseconds, sizes in bytes.
package struct ClientOptions: Sendable {
    /// Offered in this order.
    package var subprotocols: [String] = []
    /// The value of `Origin`; `nil` to send none.
    package var origin: String?
    /// Further fields of the request; those of the handshake cannot be set.
    package var fields: HeaderFields = [:]
    /// The credentials to send as `Authorization`; `nil` for those of the URL, if any.
    package var credentials: BasicCredentials?
    /// Cookies to send to the server of the URL, in addition to those of the jar.
    package var cookies: [(name: String, value: String)] = []
    /// The jar from which cookies are taken, and in which they are stored; `nil` to ignore cookies of servers.
    package var cookieJar: CookieJar?
    /// The proxy to connect through; `nil` to connect directly.
    package var proxy: ClientProxy?
    /// How many redirects to follow; with 0, a redirect is a refusal.
    ///
    /// Never followed from TLS to plain. Another server gets only credentials and cookies of its own.
    package var maximumRedirects = 0
    /// The time limit for all of the opening: name resolution, connecting, proxy, TLS, redirects, the handshake.
    package var handshakeTimeout: Int64 = 10_000_000_000
    /// How long one address of a host may be silent before the next is tried as well.
    package var fallbackDelay: Int64 = 250_000_000
    /// The maximum of received bytes that have not been read; beyond it the server must wait.
    package var maximumHeld = 1024 * 1024
    /// The maximum of unsent bytes; beyond it a `send` that returns at once throws.
    package var maximumUnsent = 1024 * 1024
    /// The accepted certificates, for a secure endpoint, and the one to present; `nil` to accept those that the system
    /// trusts.
    ///
    /// Connections that share a context resume each other's TLS sessions.
    package var tls: TLSContext?
    /// The name to request by TLS, which the certificate must have, for the server of the URL; `nil` for the URL's
    /// host.
    package var serverName: String?
    /// The maximum size of a received message, keepalive, the time for a closing handshake, and compression.
    package var webSocket: WebSocketOptions

    /// Makes options with the default values.
    package init() {
        webSocket = WebSocketOptions()
        // A client waits for a server that takes bytes slowly, and does not give up.
        webSocket.maximumUnsent = .max
        webSocket.maximumUnsentAge = nil
    }

    /// The fields that the handshake writes itself.
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
        // RFC 6455 §4.1: they must all be different.
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
