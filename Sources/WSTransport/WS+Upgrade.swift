extension WS {
    /// A handler that upgrades each request to a WebSocket, or answers with an error (RFC 6455 §4.2).
    ///
    /// - Parameters:
    ///   - options: origins, authorization, subprotocols, compression, limits.
    ///   - accept: gets the open socket, on the connection's thread, which it must not block. Messages wait until it
    ///     adds listeners or reads.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(), accept: @escaping @Sendable (WebSocket) -> Void
    ) -> any WSTransport.Handler {
        upgrade(options) { (socket, _: HTTPRequest) in accept(socket) }
    }

    /// A handler that upgrades each request to a WebSocket, and passes the request along.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(), accept: @escaping @Sendable (WebSocket, HTTPRequest) -> Void
    ) -> any WSTransport.Handler {
        AcceptingHandler(options: options, connection: options.connection, accept: accept)
    }

    /// A handler that upgrades each request to a WebSocket, and runs a task for it.
    ///
    /// - Parameters:
    ///   - options: origins, authorization, subprotocols, compression, limits.
    ///   - accept: if it throws, the socket is closed with code 1011; if it returns, the socket remains as long as it has
    ///     listeners or is referred to.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(), accept: @escaping @Sendable (WebSocket) async throws -> Void
    ) -> any WSTransport.Handler {
        upgrade(options) { (socket, _: HTTPRequest) async throws in try await accept(socket) }
    }

    /// A handler that upgrades each request to a WebSocket, and runs a task for it with the request.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(),
        accept: @escaping @Sendable (WebSocket, HTTPRequest) async throws -> Void
    ) -> any WSTransport.Handler {
        upgrade(options) { (socket: WebSocket, request: HTTPRequest) -> Void in
            Task(executorPreference: socket.core.link.remote) {
                do { try await accept(socket, request) } catch {
                    socket.core.fail(.internalError)
                }
            }
        }
    }
}

/// Checks what the options require, then makes the socket.
private struct AcceptingHandler: DirectHandler {
    let options: UpgradeOptions
    /// Shared by all sockets.
    let connection: WebSocketConnection.Options
    let accept: @Sendable (WebSocket, HTTPRequest) -> Void

    func handle(_ exchange: HTTPExchange) {
        guard let authorize = options.authorize else { return upgrade.handle(exchange) }
        do throws(HTTPRefusal) {
            // Reject a request that is not an upgrade before asking for its identity.
            try check(exchange.request.head)
        } catch {
            return exchange.refuse(error)
        }
        exchange.serve(by: AuthorizingHandler(authorize: authorize, next: upgrade))
    }

    private var upgrade: UpgradeHandler {
        UpgradeHandler { (exchange, request) throws(HTTPRefusal) in
            try check(exchange.request.head)
            let chosen = options.choose(request.subprotocols)
            return Admission(subprotocol: chosen, options: connection) { [options, accept] connection in
                let request = HTTPRequest(exchange, link: nil)
                let socket = WebSocket(connection, limits: options.limits)
                let session = SocketSession(connection, socket.core)
                accept(socket, request)
                return session
            }
        }
    }

    private func check(_ head: HTTPRequestHead) throws(HTTPRefusal) {
        guard options.origins.allows(head.fields.first("Origin"), host: head.host) else {
            throw HTTPRefusal(
                status: 403, code: "forbidden",
                message: "The origin \(head.fields.first("Origin") ?? "") is not on the list of allowed origins.")
        }
    }
}

/// Checks whether a request is authorized.
private struct AuthorizingHandler: Handler {
    let authorize: @Sendable (HTTPRequest) async throws -> Void
    let next: UpgradeHandler

    func invoke(_ message: any HandlerMessage) async throws -> (any Handler)? {
        guard let request = message as? HTTPRequest else { throw WS.Error.badType("expected an HTTP request") }
        try await authorize(request)
        return next
    }
}
