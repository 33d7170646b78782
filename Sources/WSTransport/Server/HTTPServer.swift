internal import Synchronization

/// An HTTP/1.1 server, with WebSockets if its handler uses `ws.upgrade`.
///
/// One thread for each processor, each with a part of the connections. Any thread may call it.
public final class HTTPServer: Sendable {
    /// What a server allows.
    public struct Options: Sendable {
        /// The number of threads; 0: one for each processor.
        public var reactors = 0
        /// TLS, for `https` and `wss`; `nil`: none.
        public var tls: TLSContext?
        /// A prefix that is removed from every path, others being 404; begins with `/`, or is empty.
        public var pathPrefix = ""
        /// From the start of the connection, or a request's first byte, to the end of its head.
        public var headTimeout: Duration = .seconds(10)
        /// Between an answer and the next request.
        public var idleTimeout: Duration = .seconds(75)
        /// The most bytes of a request's head.
        public var maximumHead = 16 * 1024
        /// The most connections; further ones are answered with 503.
        public var maximumConnections = 100_000
        /// The most bytes of a streamed answer that may be unsent.
        public var maximumUnsent = 1024 * 1024
        /// Called with errors that handlers threw, except refusals; the client gets status 500.
        public var onError: (@Sendable (any Error, HTTPRequest) -> Void)?

        /// The defaults.
        public init() {}

        fileprivate var settings: HTTPSettings {
            var settings = HTTPSettings()
            settings.pathPrefix = pathPrefix
            settings.headTimeout = headTimeout.nanoseconds
            settings.idleTimeout = idleTimeout.nanoseconds
            settings.maximumHead = maximumHead
            settings.maximumUnsent = maximumUnsent
            settings.report = onError
            return settings
        }
    }

    /// Why a server does not start.
    public struct StartError: Error, Equatable, Sendable, CustomStringConvertible {
        /// What failed, and why.
        public let description: String
    }

    private struct State {
        var threads: ServerThreads?
        var tls: TLSContext?
    }

    private let host: String
    private let requestedPort: UInt16
    private let handler: any Handler
    private let options: Options
    private let state: Mutex<State>

    /// A server, not yet started.
    ///
    /// - Parameters:
    ///   - address: a numeric address, `localhost`, or `unix:/path`; `0.0.0.0` or `::` for all of this machine. The default
    ///     is not reachable from other machines.
    ///   - port: 0 lets the system choose, see ``port``.
    ///   - handler: gets the requests, from all threads at once.
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

    /// A server of these routes.
    public convenience init(
        address: String = "127.0.0.1", port: UInt16, routing: Routing, options: Options = Options()
    ) {
        self.init(address: address, port: port, handler: routing, options: options)
    }

    deinit { state.withLock { $0.threads }?.stop() }

    /// The port that it listens on; 0 before ``start()``, and for a socket in the file system.
    public var port: UInt16 { state.withLock { $0.threads?.address.port ?? 0 } }

    /// Binds the address and begins to serve; does nothing if it already serves.
    public func start() throws(StartError) {
        let text = host == "localhost" ? "127.0.0.1" : host
        let address =
            text.hasPrefix("unix:")
            ? SocketAddress(path: String(text.dropFirst(5))) : SocketAddress(host: text, port: requestedPort)
        guard let address else { throw StartError(description: "\(host) is no numeric address and no unix:/path") }
        let result = state.withLock { state -> Result<Void, Errno> in
            guard state.threads == nil else { return .success(()) }
            do throws(Errno) {
                state.threads = try ServerThreads(
                    listeningOn: address, reactors: options.reactors == 0 ? Machine.processors : options.reactors,
                    handler: handler, settings: { [weak self, options] in self?.settings() ?? options.settings })
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        if case .failure(let error) = result {
            throw StartError(description: "cannot listen on \(address): \(error)")
        }
    }

    private func settings() -> HTTPSettings {
        let (tls, open) = state.withLock { ($0.tls, $0.threads?.connections ?? 0) }
        var settings = options.settings
        settings.tls = tls
        settings.admit = { [most = options.maximumConnections] _ in
            guard open > most else { return nil }
            return HTTPRefusal(status: 503, message: "The limit of \(most) connections is reached.")
        }
        return settings
    }

    /// Uses another certificate for new connections; open ones keep theirs.
    ///
    /// Does nothing on a server without TLS.
    public func replace(tls: TLSContext) { state.withLock { if $0.tls != nil { $0.tls = tls } } }

    /// Stops: accepts no more, tells WebSockets that the server goes away (1001), waits for the connections to end.
    ///
    /// - Parameter patience: how long to wait; remaining connections are then cut.
    public func stop(patience: Duration = .seconds(5)) async {
        guard let threads = state.withLock({ $0.threads }) else { return }
        threads.drain()
        let deadline = ContinuousClock.now + patience
        while threads.connections > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(5))
        }
        let isOurs = state.withLock { state in
            defer { state.threads = nil }
            return state.threads != nil
        }
        if isOurs { threads.stop() }
    }
}

/// An ``HTTPServer`` that speaks TLS: `https` and `wss`.
///
/// Any thread.
public final class HTTPSServer: Sendable {
    /// The server.
    public let server: HTTPServer

    /// A server with one certificate, and further ones for clients that ask for their names.
    ///
    /// Throws ``TLSFileError`` if a file cannot be used.
    ///
    /// - Parameters:
    ///   - address: a numeric address, `localhost`, or `unix:/path`; `0.0.0.0` or `::` for all of this machine.
    ///   - port: 0 lets the system choose.
    ///   - identity: the certificate and its key, for clients that ask for no other name.
    ///   - others: those for clients that ask for one of their names (RFC 6066 §3).
    ///   - clientAuthorities: a PEM file; clients have to show a certificate of one of these. `nil`: none is asked for.
    ///   - handler: gets the requests, of all threads at once.
    ///   - options: limits and threads; its `tls` is replaced.
    public init(
        address: String = "127.0.0.1", port: UInt16, identity: TLSIdentity, others: [TLSIdentity] = [],
        clientAuthorities: String? = nil, handler: any Handler, options: HTTPServer.Options = HTTPServer.Options()
    ) throws(TLSFileError) {
        var options = options
        options.tls = try TLSContext.server(identity, others: others, clientAuthorities: clientAuthorities)
        server = HTTPServer(address: address, port: port, handler: handler, options: options)
    }

    /// The port that it listens on; 0 before ``start()``.
    public var port: UInt16 { server.port }

    /// Binds the address and begins to serve.
    public func start() throws(HTTPServer.StartError) { try server.start() }

    /// Uses other files for new connections; open ones keep theirs.
    ///
    /// Throws ``TLSFileError`` if one cannot be used, and then changes nothing.
    public func reload(
        identity: TLSIdentity, others: [TLSIdentity] = [], clientAuthorities: String? = nil
    ) throws(TLSFileError) {
        server.replace(tls: try TLSContext.server(identity, others: others, clientAuthorities: clientAuthorities))
    }

    /// Stops in order, as ``HTTPServer/stop(patience:)``.
    public func stop(patience: Duration = .seconds(5)) async { await server.stop(patience: patience) }
}
