internal import Synchronization

extension WS {
    /// A handler that upgrades each request to a WebSocket, or answers with an error (RFC 6455 §4.2).
    ///
    /// - Parameters:
    ///   - options: origins, authorization, subprotocols, compression, limits.
    ///   - accept: called with the open socket: it should add listeners and return. Messages are held until there is a
    ///     listener or a reader. It runs on Swift's threads unless ``UpgradeOptions/executor`` says otherwise.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(), accept: @escaping @Sendable (WebSocket) -> Void
    ) -> any WSTransport.Handler {
        upgrade(options) { (socket, _: ServerRequest) in accept(socket) }
    }

    /// A handler that upgrades each request to a WebSocket, and passes the request to the closure as well.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(), accept: @escaping @Sendable (WebSocket, ServerRequest) -> Void
    ) -> any WSTransport.Handler {
        AcceptingHandler(options: options, connection: options.connection) { socket, opening in
            if options.executor == .reactor { return accept(socket, opening.request) }
            opening.tasks?.enter()
            socket.core.run {
                HandlerTasks.$isInside.withValue(true) { accept(socket, opening.request) }
                opening.tasks?.leave()
            }
        }
    }

    /// A handler that upgrades each request to a WebSocket, and runs a task for it.
    ///
    /// - Parameters:
    ///   - options: origins, authorization, subprotocols, compression, limits.
    ///   - accept: runs on Swift's threads unless ``UpgradeOptions/executor`` says otherwise, in a task that is
    ///     cancelled when the socket ends; earlier messages can still be read then. ``HTTPServer/stop(patience:)``
    ///     waits for it. If it throws, ``HTTPServer/Options/onError`` is called and the socket is closed with code
    ///     1011; if it returns, the socket stays open as long as it has listeners or is referred to.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(), accept: @escaping @Sendable (WebSocket) async throws -> Void
    ) -> any WSTransport.Handler {
        upgrade(options) { (socket, _: ServerRequest) async throws in try await accept(socket) }
    }

    /// A handler that upgrades each request to a WebSocket, and runs a task for it with the request.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(),
        accept: @escaping @Sendable (WebSocket, ServerRequest) async throws -> Void
    ) -> any WSTransport.Handler {
        AcceptingHandler(options: options, connection: options.connection) { socket, opening in
            opening.tasks?.enter()
            socket.core.run {
                await HandlerTasks.$isInside.withValue(true) {
                    do { try await accept(socket, opening.request) } catch {
                        socket.core.failed(error) { opening.report?($0, opening.request) }
                    }
                }
                opening.tasks?.leave()
            }
        }
    }
}

/// What came with a socket.
private struct Opening: Sendable {
    let request: ServerRequest
    /// Told of what a closure throws.
    let report: (@Sendable (any Error, ServerRequest) -> Void)?
    /// Those of the server.
    let tasks: HandlerTasks?
}

extension SocketCore {
    private static let lastObserved = Atomic<UInt64>(0)

    /// Tells the server's observer, if there is one, of the socket and later of its end.
    fileprivate func observe(_ request: ServerRequest, on reactor: Reactor) {
        guard let observer = reactor[ObserverPost.self]?.observer else { return }
        let socket = ObservedSocket(
            number: Self.lastObserved.wrappingAdd(1, ordering: .relaxed).newValue, remoteAddress: request.remoteAddress,
            path: request.path, subprotocol: state.withLock { $0.subprotocol }, since: .now)
        let observation = Observation(observer, socket)
        state.withLock { $0.observation = observation }
    }

    /// A server's closure threw `error`: closes the socket, and reports what is not simply its end.
    fileprivate func failed(_ error: any Error, _ report: (any Error) -> Void) {
        let isOver = state.withLock { $0.readyState != .open }
        fail(.internalError)
        if isOver {
            switch error {
            case is CancellationError, WS.Error.closed, WS.Error.invalidState, WS.Error.protocolViolation: return
            default: break
            }
        }
        report(error)
    }
}

/// Checks what the options require, then makes the socket.
private struct AcceptingHandler: DirectHandler, CheckedHandler {
    let options: UpgradeOptions
    /// Shared by all sockets.
    let connection: WebSocketConnection.Options
    let accept: @Sendable (WebSocket, Opening) -> Void

    var problem: String? { options.problem.map { "ws.upgrade: \($0)" } }

    func handle(_ exchange: HTTPExchange) {
        guard let authorize = options.authorize else { return upgrade.handle(exchange) }
        do throws(HTTPRefusal) {
            // Before the client's identity is asked for: a token for one use is not used up by what is no handshake.
            _ = try HTTPExchange.checkHandshake(exchange.request.head)
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
            let report = exchange.report
            return Admission(subprotocol: chosen, options: connection) { [options, accept] connection in
                let opening = Opening(
                    request: ServerRequest(exchange, link: nil), report: report,
                    tasks: connection.stream.reactor[HandlerTasks.self])
                let socket = WebSocket(connection, limits: options.limits)
                let session = SocketSession(connection, socket.core)
                socket.core.observe(opening.request, on: connection.stream.reactor)
                accept(socket, opening)
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
    let authorize: @Sendable (ServerRequest) async throws -> Void
    let next: UpgradeHandler

    func invoke(_ message: any HandlerMessage) async throws -> (any Handler)? {
        guard let request = message as? ServerRequest else { throw WS.Error.badType("expected an HTTP request") }
        try await authorize(request)
        return next
    }
}
