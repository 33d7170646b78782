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

/// What the closures of a handler's sockets are run with.
///
/// One object for all sockets of a server, which have it with their limits.
private final class Reception: Sendable {
    private let accept: Acceptance
    /// Is told of errors that a closure throws.
    private let report: (@Sendable (any Error, ServerRequest) -> Void)?
    /// The server's tasks.
    fileprivate let tasks: HandlerTasks?

    fileprivate init(
        _ accept: Acceptance, report: (@Sendable (any Error, ServerRequest) -> Void)?, _ tasks: HandlerTasks?
    ) {
        self.accept = accept
        self.report = report
        self.tasks = tasks
    }

    /// Runs the closure, in a task unless it is synchronous and runs on the reactor.
    fileprivate func begin(_ socket: WebSocket, _ request: ServerRequest) {
        if socket.core.limits.runsOnReactor {
            switch accept {
            case .socket(let accept): return accept(socket)
            case .request(let accept): return accept(socket, request)
            default: break
            }
        }
        tasks?.enter()
        let needsRequest = accept.takesRequest || report != nil
        // The task begins with this value: it need not be set in it, which would take memory for as long as it runs.
        HandlerTasks.$isInside.withValue(true) {
            socket.core.holdTask { executor in
                // Each task holds on to as little as it needs as long as it runs.
                if needsRequest {
                    Task(executorPreference: executor) { () async throws -> Void in
                        await Self.of(socket)?.run(socket, request)
                    }
                } else {
                    Task(executorPreference: executor) { () async throws -> Void in
                        await Self.of(socket)?.run(socket, nil)
                    }
                }
            }
        }
    }

    private static func of(_ socket: WebSocket) -> Reception? { socket.core.limits.reception as? Reception }

    private func run(_ socket: WebSocket, _ request: ServerRequest?) async {
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

/// The limits of the last server's sockets, while one uses them; nearly always there is only one server.
private final class Receptions: Sendable {
    private struct Last {
        // Weak, because a handler must not hold on to what a server reports errors to.
        weak var limits: SocketCore.Limits?
    }

    private let accept: Acceptance
    private let limits: SocketCore.Limits
    private let last = Mutex(Last())

    init(_ accept: Acceptance, _ limits: SocketCore.Limits) {
        self.accept = accept
        self.limits = limits
    }

    /// The limits of a server's sockets, with what its closures are run with.
    func limits(
        report: (@Sendable (any Error, ServerRequest) -> Void)?, _ tasks: HandlerTasks?
    ) -> (SocketCore.Limits, Reception) {
        last.withLock { last in
            if let known = last.limits, let reception = known.reception as? Reception, tasks != nil,
                reception.tasks === tasks
            {
                return (known, reception)
            }
            let reception = Reception(accept, report: report, tasks)
            let made = SocketCore.Limits(limits, reception: reception)
            last.limits = made
            return (made, reception)
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
    /// Shared by all sockets.
    let connection: WebSocketConnection.Options
    private let receptions: Receptions

    init(options: UpgradeOptions, accept: Acceptance) {
        self.options = options
        connection = options.connection
        receptions = Receptions(accept, options.limits)
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
            return Admission(subprotocol: chosen, options: connection) { [receptions] connection in
                let request = ServerRequest(exchange, link: nil)
                let reactor = connection.stream.reactor
                let (limits, reception) = receptions.limits(report: report, reactor[HandlerTasks.self])
                let socket = WebSocket(connection, limits: limits)
                socket.core.attach(to: connection)
                socket.core.observe(request, on: reactor)
                reception.begin(socket, request)
                return socket.core
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
