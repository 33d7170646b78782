internal import Synchronization

/// An HTTP/1.1 server, and a WebSocket server if its handler uses `ws.upgrade`.
///
/// It has one thread per processor by default; each thread serves a part of the connections. The methods may be called
/// on any thread.
public final class HTTPServer: Sendable {
    /// The options of a server.
    public struct Options: Sendable {
        /// The number of threads; 0 for one per processor.
        public var reactors = 0
        /// The TLS context for `https` and `wss`; `nil` for no TLS.
        public var tls: TLSContext?
        /// The prefix of all paths, such as `/api`; empty for none.
        ///
        /// Handlers see paths without it. Requests for other paths get status 404.
        public var pathPrefix = ""
        /// The time limit for receiving a request's head.
        ///
        /// It begins with the connection, or with the first byte of a further request.
        public var headTimeout: Duration = .seconds(10)
        /// How long a connection may be idle between two requests.
        public var idleTimeout: Duration = .seconds(75)
        /// The maximum size of a request's head, in bytes.
        public var maximumHead = 16 * 1024
        /// The maximum number of connections; further ones get 503.
        public var maximumConnections = 100_000
        /// The maximum number of unsent bytes of a streamed response; beyond it, writes wait.
        public var maximumUnsent = 1024 * 1024
        /// Called with each error that a handler or a WebSocket's closure throws, except refusals and disconnections.
        ///
        /// The client gets status 500, or close code 1011.
        public var onError: (@Sendable (any Error, ServerRequest) -> Void)?
        /// Receives events for logs and metrics; `nil` for none.
        public var observer: (any ServerObserver)?

        /// Creates options; those not given have their defaults, and all are checked by ``HTTPServer/start()``.
        public init(
            reactors: Int = 0, tls: TLSContext? = nil, pathPrefix: String = "", headTimeout: Duration = .seconds(10),
            idleTimeout: Duration = .seconds(75), maximumHead: Int = 16 * 1024, maximumConnections: Int = 100_000,
            maximumUnsent: Int = 1024 * 1024, onError: (@Sendable (any Error, ServerRequest) -> Void)? = nil,
            observer: (any ServerObserver)? = nil
        ) {
            self.reactors = reactors
            self.tls = tls
            self.pathPrefix = pathPrefix
            self.headTimeout = headTimeout
            self.idleTimeout = idleTimeout
            self.maximumHead = maximumHead
            self.maximumConnections = maximumConnections
            self.maximumUnsent = maximumUnsent
            self.onError = onError
            self.observer = observer
        }

        fileprivate var settings: HTTPSettings {
            var settings = HTTPSettings()
            settings.pathPrefix = pathPrefix
            settings.headTimeout = headTimeout.nanoseconds
            settings.idleTimeout = idleTimeout.nanoseconds
            settings.maximumHead = maximumHead
            settings.maximumUnsent = maximumUnsent
            settings.report = onError
            guard let observer else { return settings }
            settings.report = { [onError] error, request in
                onError?(error, request)
                observer.failed(error, request)
            }
            settings.refused = { refusal, request, peer in
                observer.refused(
                    RefusedRequest(
                        method: request?.method ?? "", path: request?.path ?? "",
                        remoteAddress: peer?.description ?? "", status: refusal.status, reason: refusal.message))
            }
            return settings
        }

        /// Stores the observer where connections find it.
        fileprivate func settle(on reactor: Reactor) {
            guard let observer else { return }
            reactor[ObserverPost.self] = ObserverPost(observer)
            reactor[TLSFailureWatch.self] = TLSFailureWatch { reason, peer in
                observer.tlsFailed(reason, remoteAddress: peer?.description ?? "")
            }
        }
    }

    /// Why a server cannot start.
    public struct StartError: Error, Equatable, Sendable, CustomStringConvertible {
        /// What failed, and why.
        public let description: String
    }

    private struct State {
        var isStarting = false
        var serving: Serving?
        var tls: TLSContext?
    }

    private struct Serving {
        let reactors: ReactorGroup
        let tasks: HandlerTasks
        let sockets: ListeningSockets
        /// The address it listens on, with the port that the kernel chose.
        let address: SocketAddress
    }

    private let host: String
    private let requestedPort: UInt16
    private let handler: any Handler
    private let options: Options
    private let state: Mutex<State>

    /// Creates a server; ``start()`` starts it.
    ///
    /// - Parameters:
    ///   - address: a numeric address, `localhost`, or `unix:/path`; `0.0.0.0` or `::` for all addresses of this
    ///     machine. The default is not reachable from other machines.
    ///   - port: the port; 0 lets the system choose, see ``port``.
    ///   - handler: receives the requests, on all threads at once.
    ///   - options: limits, threads, TLS.
    public init(
        address: String = "127.0.0.1", port: UInt16, handler: any Handler, options: Options = Options()
    ) {
        host = address
        requestedPort = port
        self.handler = handler
        self.options = options
        state = Mutex(State(tls: options.tls))
    }

    /// Creates a server for a routing.
    public convenience init(
        address: String = "127.0.0.1", port: UInt16, routing: Routing, options: Options = Options()
    ) {
        self.init(address: address, port: port, handler: routing, options: options)
    }

    deinit { state.withLock { $0.serving }?.reactors.stop() }

    /// The port that the server listens on; 0 before ``start()``, and for a Unix socket.
    public var port: UInt16 { state.withLock { $0.serving?.address.port ?? 0 } }

    /// Binds the address and begins to serve; does nothing if the server is already serving.
    ///
    /// Throws if the server cannot listen, or if its options are invalid.
    public func start() throws(StartError) {
        try check()
        let text = host == "localhost" ? "127.0.0.1" : host
        let address =
            text.hasPrefix("unix:")
            ? SocketAddress(path: String(text.dropFirst(5))) : SocketAddress(host: text, port: requestedPort)
        guard let address else {
            let isPath = text.hasPrefix("unix:/")
            throw StartError(
                description: "\(host) is "
                    + (isPath ? "too long for a socket's path" : "no numeric address and no unix:/path"))
        }
        do throws(Errno) {
            try serve { (sockets) throws(Errno) in try sockets.bind(address, as: 0) }
        } catch {
            throw StartError(description: "cannot listen on \(address): \(error)")
        }
    }

    /// Begins to serve on a socket that another program has bound and that already listens, as systemd passes it.
    ///
    /// Does nothing if the server is already serving.
    ///
    /// - Parameter descriptor: the socket; the server owns it from now on and closes it at the end.
    public func start(adopting descriptor: Int32) throws(StartError) {
        try check()
        do throws(Errno) {
            try serve { (sockets) throws(Errno) in try sockets.adopt(FileDescriptor(adopting: descriptor), as: 0) }
        } catch {
            throw StartError(description: "cannot listen on descriptor \(descriptor): \(error)")
        }
    }

    /// Throws for invalid values.
    private func check() throws(StartError) {
        let problem =
            if options.reactors < 0 {
                "reactors: \(options.reactors) is below 0"
            } else if !options.pathPrefix.isEmpty, !options.pathPrefix.hasPrefix("/") {
                "pathPrefix: \(options.pathPrefix) does not begin with /"
            } else if options.headTimeout <= .zero || options.idleTimeout <= .zero {
                "headTimeout and idleTimeout must be above 0"
            } else if options.maximumHead <= 0 || options.maximumUnsent <= 0 || options.maximumConnections <= 0 {
                "maximumHead, maximumUnsent and maximumConnections must be above 0"
            } else {
                (handler as? any CheckedHandler)?.problem ?? ""
            }
        if !problem.isEmpty { throw StartError(description: problem) }
    }

    private func serve(_ listen: (ListeningSockets) throws(Errno) -> SocketAddress) throws(Errno) {
        let isIdle = state.withLock { state in
            defer { state.isStarting = true }
            return state.serving == nil && !state.isStarting
        }
        guard isIdle else { return }
        defer { state.withLock { $0.isStarting = false } }
        let count = options.reactors == 0 ? Machine.processors : options.reactors
        let sockets = ListeningSockets(reactors: count)
        do throws(Errno) {
            let address = try listen(sockets)
            let reactors = try ReactorGroup(count: count)
            let handler = HandlerBridge(handler)
            let tasks = HandlerTasks()
            try reactors.start(named: "http") { [weak self, options] (reactor) throws(Errno) in
                let post = ListeningPost()
                reactor[HandlerTasks.self] = tasks
                options.settle(on: reactor)
                reactor[ListeningPost.self] = post
                try sockets.take(listener: 0, reactor: reactor.index) {
                    (descriptor, _, isShared) throws(Errno) in
                    let listener = try HTTPListener(
                        on: reactor, listening: descriptor, isShared: isShared, handler: handler
                    ) { [unowned post] in
                        var settings = self?.settings() ?? options.settings
                        settings.isDraining = { [unowned post] in post.isClosed }
                        return settings
                    }
                    post.add(listener)
                }
            }
            state.withLock {
                $0.serving = Serving(reactors: reactors, tasks: tasks, sockets: sockets, address: address)
            }
        } catch {
            sockets.removeFiles()
            throw error
        }
    }

    private func settings() -> HTTPSettings {
        let (tls, open) = state.withLock { ($0.tls, $0.serving?.reactors.connections ?? 0) }
        var settings = options.settings
        settings.entrance.tls = tls
        settings.entrance.admit = { [most = options.maximumConnections] _ in
            guard open > most else { return nil }
            return HTTPRefusal(status: 503, message: "The limit of \(most) connections is reached.")
        }
        return settings
    }

    /// Uses another TLS context for new connections; open ones keep theirs.
    ///
    /// Does nothing on a server without TLS.
    public func replace(tls: TLSContext) { state.withLock { if $0.tls != nil { $0.tls = tls } } }

    /// Serves until the task is cancelled, then stops.
    ///
    /// Starts the server unless ``start()`` has been called before, for example to know the port. Returns when
    /// ``stop(patience:)`` has finished. Throws ``StartError`` if the server cannot start.
    public func run(patience: Duration = .seconds(5)) async throws(StartError) {
        try start()
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(86_400)) }
        // A task that is not cancelled: `stop` would not wait in one that is.
        await Task { await stop(patience: patience) }.value
    }

    /// Stops the server.
    ///
    /// Accepts no more connections, closes WebSockets with 1001, and waits until connections and the tasks of handlers
    /// and closures have ended.
    ///
    /// A call from a handler or a closure does not wait for that one. If the caller's task is cancelled, the wait ends.
    ///
    /// - Parameter patience: how long to wait. Then the remaining connections are cut and their tasks cancelled, and
    ///   the tasks get the same time again to end.
    public func stop(patience: Duration = .seconds(5)) async {
        guard let serving = state.withLock({ $0.serving }) else { return }
        drain(serving)
        await Self.wait(patience) { serving.reactors.connections > 0 || serving.tasks.others > 0 }
        let isOurs = state.withLock { state in
            defer { state.serving = nil }
            return state.serving != nil
        }
        if isOurs { serving.reactors.stop() }
        await Self.wait(patience) { serving.tasks.others > 0 }
    }

    /// Waits while `isBusy`, for at most `patience`, or until the task is cancelled.
    private static func wait(_ patience: Duration, while isBusy: () -> Bool) async {
        let deadline = ContinuousClock.now + patience
        while isBusy(), ContinuousClock.now < deadline, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Closes the listeners, and finishes idle connections; WebSockets are closed because the server goes away (1001).
    private func drain(_ serving: Serving) {
        serving.reactors.run { reactor in
            reactor[ListeningPost.self]?.close()
            reactor.finishIdleConnections()
            for object in reactor.linkedObjects.byNumber.values {
                (object as? SocketCore)?.session?.close(.goingAway, reason: "")
            }
        }
        serving.sockets.removeFiles()
    }
}

/// An ``HTTPServer`` with TLS: `https` and `wss`.
///
/// Any thread.
public final class HTTPSServer: Sendable {
    /// The server.
    public let server: HTTPServer

    /// Creates a server with one certificate, and others for clients that request their names.
    ///
    /// Throws ``TLSFileError`` if a file cannot be used.
    ///
    /// - Parameters:
    ///   - address: a numeric address, `localhost`, or `unix:/path`; `0.0.0.0` or `::` for all addresses of this
    ///     machine. The default is not reachable from other machines.
    ///   - port: the port; 0 lets the system choose, see ``port``.
    ///   - identity: the certificate and its key, for clients that request no other name.
    ///   - others: certificates for clients that request one of their names (RFC 6066 §3).
    ///   - clientAuthorities: a PEM file; clients must present a certificate of one of these authorities. `nil` to
    ///     request none.
    ///   - clientAuthoritiesPEM: the content of such a file; a certificate of an authority in either is accepted.
    ///   - handler: receives the requests, on all threads at once.
    ///   - options: limits and threads; their `tls` is ignored.
    public init(
        address: String = "127.0.0.1", port: UInt16, identity: TLSIdentity, others: [TLSIdentity] = [],
        clientAuthorities: String? = nil, clientAuthoritiesPEM: [UInt8]? = nil, handler: any Handler,
        options: HTTPServer.Options = HTTPServer.Options()
    ) throws(TLSFileError) {
        var options = options
        options.tls = try TLSContext.server(
            identity, others: others, clientAuthorities: clientAuthorities, clientAuthoritiesPEM: clientAuthoritiesPEM)
        server = HTTPServer(address: address, port: port, handler: handler, options: options)
    }

    /// The port that the server listens on; 0 before ``start()``.
    public var port: UInt16 { server.port }

    /// Binds the address and begins to serve.
    public func start() throws(HTTPServer.StartError) { try server.start() }

    /// Serves until the task is cancelled, as ``HTTPServer/run(patience:)`` does.
    public func run(patience: Duration = .seconds(5)) async throws(HTTPServer.StartError) {
        try await server.run(patience: patience)
    }

    /// Loads new certificates for new connections; open connections keep the old ones.
    ///
    /// Throws ``TLSFileError`` if a file cannot be used, and then changes nothing.
    public func reload(
        identity: TLSIdentity, others: [TLSIdentity] = [], clientAuthorities: String? = nil,
        clientAuthoritiesPEM: [UInt8]? = nil
    ) throws(TLSFileError) {
        let tls = try TLSContext.server(
            identity, others: others, clientAuthorities: clientAuthorities, clientAuthoritiesPEM: clientAuthoritiesPEM)
        server.replace(tls: tls)
    }

    /// Stops the server, as ``HTTPServer/stop(patience:)`` does.
    public func stop(patience: Duration = .seconds(5)) async { await server.stop(patience: patience) }
}
