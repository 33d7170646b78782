public import Logging
public import ServiceLifecycle
public import WSTransport

/// Runs an `HTTPServer` as a service of a `ServiceGroup`.
///
/// The service serves until its group shuts down gracefully or its task is cancelled. Then it stops the server.
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
    ///   - server: the server, which must not have been started.
    ///   - patience: how long connections, closures and handlers may take to end; see `HTTPServer.stop(patience:)`.
    ///   - logger: logs the start and the end; `nil` for no log.
    public init(_ server: HTTPServer, patience: Duration = .seconds(5), logger: Logger? = nil) {
        self.server = server
        self.patience = patience
        self.logger = logger
    }

    /// Serves until the group shuts down gracefully or the task is cancelled; returns when the server has stopped.
    ///
    /// Throws `HTTPServer.StartError` if the server cannot start.
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
