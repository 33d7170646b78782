/// What a client allows, and asks for, when it opens a WebSocket.
///
/// Times in nanoseconds, sizes in bytes.
package struct ClientOptions: Sendable {
    /// Offered in this order.
    package var subprotocols: [String] = []
    /// The value of `Origin`; `nil`: none is sent.
    package var origin: String?
    /// Further fields of the request; those of the handshake itself cannot be set.
    package var fields: HTTPFields = [:]
    /// Sent as `Authorization`; `nil`: those of the URL, if it has some.
    package var credentials: BasicCredentials?
    /// Sent to the server of the URL, besides those of the jar.
    package var cookies: [(name: String, value: String)] = []
    /// Where cookies of servers go to and come from; `nil`: those are ignored.
    package var cookieJar: CookieJar?
    /// What leads to the server; `nil`: the way is direct.
    package var proxy: ClientProxy?
    /// How often another place may be pointed to; 0: such an answer is a refusal.
    ///
    /// Never from TLS to none. Another server gets neither credentials nor cookies that were not its own.
    package var maximumRedirects = 0
    /// For everything up to the WebSocket: names, connections, proxy, TLS, redirects, the opening handshake.
    package var handshakeTimeout: Int64 = 10_000_000_000
    /// How long one address of a host may be silent until the next is tried as well.
    package var fallbackDelay: Int64 = 250_000_000
    /// How far received messages may be ahead of who reads them; then the server is let wait.
    package var maximumHeld = 1024 * 1024
    /// How much may be unsent until a `send` that returns at once throws.
    package var maximumUnsent = 1024 * 1024
    /// Whose certificates are accepted, where the endpoint is a secure one, and what is shown; `nil`: those that the system accepts.
    ///
    /// Connections that share a context resume each other's TLS sessions.
    package var tls: TLSContext?
    /// The name that is asked for by TLS and that the certificate must have, for the server of the URL; `nil`: the URL's host.
    package var serverName: String?
    /// The limit of one received message, keepalive, the closing handshake's time, and compression.
    package var webSocket: WebSocketOptions

    /// The defaults.
    package init() {
        webSocket = WebSocketOptions()
        // A client waits instead of giving up on a server that takes slowly.
        webSocket.maximumUnsent = .max
        webSocket.maximumUnsentAge = nil
    }

    /// The fields that the handshake writes itself.
    private static let own = [
        "Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept", "Content-Length", "Transfer-Encoding", "Expect",
        "Proxy-Authorization",
    ]

    /// Throws ``ConnectError/invalidOption(_:)`` for what no request can have.
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
