public import Logging
internal import Synchronization
public import WSTransport

/// Logs a server's events with swift-log.
///
/// | level | events |
/// |---|---|
/// | `debug` | a WebSocket was opened, or was closed by a closing handshake |
/// | `info` | a WebSocket ended in any other way, a client fell behind, a request was refused, a TLS handshake failed |
/// | `info` | a client was evicted, because it was too slow or did not respond, or violated the protocol |
/// | `error` | a handler or a closure threw an error |
///
/// Lines at `info` are limited to a number per second, because any client can cause them; a line says how many were
/// left out. The log handler is called on the connections' threads, which it must not block.
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
    ///   - logger: the log to write to.
    ///   - linesPerSecond: the maximum number of lines at `info` in a second.
    public init(_ logger: Logger, linesPerSecond: Int = 20) {
        self.logger = logger
        most = linesPerSecond
    }

    /// Logs a line at `debug`.
    public func opened(_ socket: ObservedSocket) {
        var metadata = about(socket)
        if !socket.subprotocol.isEmpty { metadata["subprotocol"] = "\(socket.subprotocol)" }
        logger.debug("WebSocket opened", metadata: metadata)
    }

    /// Logs a line: at `debug` after a closing handshake, otherwise at `info`.
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

    /// Logs a line at `info`.
    public func fellBehind(_ socket: ObservedSocket) { write("WebSocket fell behind", about(socket)) }

    /// Logs a line at `info`.
    public func evicted(_ socket: ObservedSocket, _ reason: String) {
        write("WebSocket evicted", about(socket).merging(["reason": "\(reason)"]) { $1 })
    }

    /// Logs a line at `info`.
    public func violatedProtocol(_ socket: ObservedSocket, _ code: CloseCode, _ reason: String) {
        write(
            "protocol violated",
            about(socket).merging(["code": "\(code)", "reason": "\(reason)"]) { $1 })
    }

    /// Logs a line at `info`.
    public func refused(_ request: RefusedRequest) {
        write(
            "request refused",
            [
                "peer": "\(request.remoteAddress)", "method": "\(request.method)", "path": "\(request.path)",
                "status": "\(request.status)", "reason": "\(request.reason)",
            ])
    }

    /// Logs a line at `error`.
    public func failed(_ error: any Error, _ request: ServerRequest) {
        logger.error(
            "handler failed",
            metadata: ["peer": "\(request.remoteAddress)", "path": "\(request.path)", "error": "\(error)"])
    }

    /// Logs a line at `info`.
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
