public import Logging
internal import Synchronization
public import WSTransport

/// Writes what happens on a server to a log.
///
/// At level `debug`, WebSockets that open and that end in order; at `info`, those that end otherwise, clients that fall
/// behind, refused requests, and clients that do not get through TLS; at `error`, what handlers and closures throw. What any client can
/// cause, from `info` on, is written so often a second at most; a line says how many were left out.
///
/// The log's handler is called on the connections' threads, which it must not block.
public final class LoggingObserver: ServerObserver {
    private struct State {
        var second = ContinuousClock.now
        var written = 0
        var leftOut = 0
    }

    private let logger: Logger
    private let most: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - logger: written to.
    ///   - linesPerSecond: the most lines a second about what clients cause.
    public init(_ logger: Logger, linesPerSecond: Int = 20) {
        self.logger = logger
        most = linesPerSecond
    }

    /// A line at `debug`.
    public func opened(_ socket: ObservedSocket) {
        var metadata = about(socket)
        if !socket.subprotocol.isEmpty { metadata["subprotocol"] = "\(socket.subprotocol)" }
        logger.debug("WebSocket opened", metadata: metadata)
    }

    /// A line at `debug` if it ended in order, otherwise at `info`.
    public func ended(_ socket: ObservedSocket, _ end: ObservedEnd) {
        var metadata = about(socket)
        metadata["code"] = "\(end.code.rawValue)"
        metadata["cause"] = "\(end.cause.rawValue)"
        metadata["duration"] = "\(socket.since.duration(to: .now))"
        if !end.reason.isEmpty { metadata["reason"] = "\(end.reason)" }
        switch end.cause {
        case .closed, .closedByPeer: logger.debug("WebSocket ended", metadata: metadata)
        default: write("WebSocket ended", metadata)
        }
    }

    /// A line at `info`.
    public func fellBehind(_ socket: ObservedSocket) { write("WebSocket fell behind", about(socket)) }

    /// A line at `info`.
    public func refused(_ request: RefusedRequest) {
        write(
            "request refused",
            [
                "peer": "\(request.remoteAddress)", "method": "\(request.method)", "path": "\(request.path)",
                "status": "\(request.status)", "reason": "\(request.reason)",
            ])
    }

    /// A line at `error`.
    public func failed(_ error: any Error, _ request: ServerRequest) {
        logger.error(
            "handler failed",
            metadata: ["peer": "\(request.remoteAddress)", "path": "\(request.path)", "error": "\(error)"])
    }

    /// A line at `info`.
    public func tlsFailed(_ reason: String, remoteAddress: String) {
        write("TLS failed", ["peer": "\(remoteAddress)", "reason": "\(reason)"])
    }

    private func about(_ socket: ObservedSocket) -> Logger.Metadata {
        ["socket": "\(socket.number)", "peer": "\(socket.remoteAddress)", "path": "\(socket.path)"]
    }

    /// Writes a line about what a client caused, unless there were too many in this second.
    private func write(_ message: Logger.Message, _ metadata: Logger.Metadata) {
        let now = ContinuousClock.now
        let (isDue, before) = state.withLock { state -> (Bool, Int) in
            var before = 0
            if state.second.duration(to: now) >= .seconds(1) {
                before = state.leftOut
                state = State(second: now)
            }
            let isDue = state.written < most
            if isDue { state.written += 1 } else { state.leftOut += 1 }
            return (isDue, before)
        }
        if before > 0 { logger.info("lines were left out", metadata: ["count": "\(before)"]) }
        if isDue { logger.info(message, metadata: metadata) }
    }
}
