public import Logging
public import ServiceLifecycle
public import WSTransport

/// A server as a service: it serves until its group shuts down gracefully or its task is cancelled, and stops in order.
///
/// ```swift
/// let group = ServiceGroup(
///     services: [HTTPService(server, logger: logger)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
/// try await group.run()
/// ```
public struct HTTPService: Service {
    /// The server.
    public let server: HTTPServer
    private let patience: Duration
    private let logger: Logger?

    /// - Parameters:
    ///   - server: not yet started.
    ///   - patience: how long connections, closures and handlers may take to end, see `HTTPServer.stop(patience:)`.
    ///   - logger: the log for start and end; `nil` for none.
    public init(_ server: HTTPServer, patience: Duration = .seconds(5), logger: Logger? = nil) {
        self.server = server
        self.patience = patience
        self.logger = logger
    }

    /// Serves.
    ///
    /// Throws `HTTPServer.StartError`.
    public func run() async throws {
        try server.start()
        logger?.info("serving", metadata: ["port": "\(server.port)"])
        // It throws where the task is cancelled, which is an end like the other.
        try? await gracefulShutdown()
        logger?.info("stopping")
        // A task that is not cancelled: `stop` would not wait in one that is.
        await Task { await server.stop(patience: patience) }.value
        logger?.info("stopped")
    }
}
