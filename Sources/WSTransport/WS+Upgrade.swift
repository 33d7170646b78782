internal import Synchronization

extension WS {
    /// A handler that upgrades each request to a WebSocket, or answers with an error (RFC 6455 §4.2).
    ///
    /// - Parameters:
    ///   - options: origins, authorization, subprotocols, compression, limits.
    ///   - accept: called with the open socket; it should add listeners and return. Messages are held until there is a
    ///     listener or a reader. It runs on Swift's threads unless ``UpgradeOptions/executor`` says otherwise.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(), accept: @escaping @Sendable (WebSocket) -> Void
    ) -> any WSTransport.Handler {
        AcceptingHandler(options: options, accept: .socket(accept))
    }

    /// A handler that upgrades each request to a WebSocket, and passes the request to the closure as well.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(), accept: @escaping @Sendable (WebSocket, ServerRequest) -> Void
    ) -> any WSTransport.Handler {
        AcceptingHandler(options: options, accept: .request(accept))
    }

    /// A handler that upgrades each request to a WebSocket, and runs a task for it.
    ///
    /// - Parameters:
    ///   - options: origins, authorization, subprotocols, compression, limits.
    ///   - accept: called with the open socket. It runs on Swift's threads unless ``UpgradeOptions/executor`` says
    ///     otherwise, in a task that is cancelled when the socket ends; messages received before that can still be
    ///     read. ``HTTPServer/stop(patience:)`` waits for it. If it throws, ``HTTPServer/Options/onError`` is called
    ///     and the socket is closed with code 1011. If it returns, the socket stays open while it has listeners or is
    ///     referred to.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(), accept: @escaping @Sendable (WebSocket) async throws -> Void
    ) -> any WSTransport.Handler {
        AcceptingHandler(options: options, accept: .socketTask(accept))
    }

    /// A handler that upgrades each request to a WebSocket, and runs a task for it with the request.
    public static func upgrade(
        _ options: UpgradeOptions = UpgradeOptions(),
        accept: @escaping @Sendable (WebSocket, ServerRequest) async throws -> Void
    ) -> any WSTransport.Handler {
        AcceptingHandler(options: options, accept: .requestTask(accept))
    }
}

/// A server's closure.
private enum Acceptance: Sendable {
    case socket(@Sendable (WebSocket) -> Void)
    case request(@Sendable (WebSocket, ServerRequest) -> Void)
    case socketTask(@Sendable (WebSocket) async throws -> Void)
    case requestTask(@Sendable (WebSocket, ServerRequest) async throws -> Void)

    /// Whether the closure takes the request.
    var takesRequest: Bool {
        switch self {
        case .socket, .socketTask: false
        case .request, .requestTask: true
        }
    }
}

/// What a socket's closure is run with, kept as long as it runs: as little as it needs.
private struct Opening: Sendable {
    let accept: Acceptance
    /// The request; `nil` if the closure does not take one and nothing reports errors with it.
    let request: ServerRequest?
    /// Is told of errors that a closure throws.
    let report: (@Sendable (any Error, ServerRequest) -> Void)?
    /// The server's tasks.
    let tasks: HandlerTasks?

    init(
        _ accept: Acceptance, _ request: ServerRequest, report: (@Sendable (any Error, ServerRequest) -> Void)?,
        _ tasks: HandlerTasks?
    ) {
        self.accept = accept
        self.request = accept.takesRequest || report != nil ? request : nil
        self.report = report
        self.tasks = tasks
    }

    /// Runs the closure, in a task unless it is synchronous and runs on the reactor.
    func begin(_ socket: WebSocket) {
        if socket.core.limits.runsOnReactor {
            switch accept {
            case .socket(let accept): return accept(socket)
            case .request(let accept): return request.map { accept(socket, $0) } ?? ()
            default: break
            }
        }
        tasks?.enter()
        // The task begins with this value: it need not be set in it, which would take memory for as long as it runs.
        HandlerTasks.$isInside.withValue(true) {
            socket.core.holdTask { executor in
                Task(executorPreference: executor) {
                    do {
                        switch accept {
                        case .socket(let accept): accept(socket)
                        case .request(let accept): if let request { accept(socket, request) }
                        case .socketTask(let accept): try await accept(socket)
                        case .requestTask(let accept): if let request { try await accept(socket, request) }
                        }
                    } catch {
                        socket.core.failed(error) { if let request { report?($0, request) } }
                    }
                    socket.core.hasRun()
                    tasks?.leave()
                }
            }
        }
    }
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

    /// Handles an error that a server's closure threw: closes the socket, and reports the error unless it is the
    /// socket's end.
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
    /// Shared by all sockets, as are the next ones.
    let connection: WebSocketConnection.Options
    let limits: SocketCore.Limits
    let accept: Acceptance

    init(options: UpgradeOptions, accept: Acceptance) {
        self.options = options
        connection = options.connection
        limits = options.limits
        self.accept = accept
    }

    var problem: String? { options.problem.map { "ws.upgrade: \($0)" } }

    func handle(_ exchange: HTTPExchange) {
        guard let authorize = options.authorize else { return upgrade.handle(exchange) }
        do throws(HTTPRefusal) {
            // Checked before the client is authenticated, so that a token for one use is not used up by an invalid
            // handshake.
            _ = try HTTPExchange.checkHandshake(exchange.request.head)
            try options.checkOrigin(of: exchange.request.head)
        } catch {
            return exchange.refuse(error)
        }
        exchange.serve(by: AuthorizingHandler(authorize: authorize, next: upgrade))
    }

    private var upgrade: UpgradeHandler {
        UpgradeHandler { (exchange, request) throws(HTTPRefusal) in
            try options.checkOrigin(of: exchange.request.head)
            let chosen = options.choose(request.subprotocols)
            let report = exchange.report
            return Admission(subprotocol: chosen, options: connection) { [limits, accept] connection in
                let request = ServerRequest(exchange, link: nil)
                let reactor = connection.stream.reactor
                let socket = WebSocket(connection, limits: limits)
                let session = SocketSession(connection, socket.core)
                socket.core.observe(request, on: reactor)
                Opening(accept, request, report: report, reactor[HandlerTasks.self]).begin(socket)
                return session
            }
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
