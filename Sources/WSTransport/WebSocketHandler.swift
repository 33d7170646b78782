internal import Synchronization

/// A server that answers each message with another one: `ws.Handler`.
///
/// It handles HTTP requests: it upgrades each to a WebSocket, and then reads one message after the other. It passes
/// each text or binary message to ``handler`` as a ``WebSocketMessage``, and sends the message's
/// ``WebSocketMessage/response`` when the handler has finished, even if that is empty. It answers a PING with a PONG
/// without calling the handler. Any thread.
public final class WebSocketHandler: Handler {
    /// Counts since the handler was created.
    public struct Stats: Equatable, Sendable {
        /// Messages and PINGs received.
        public var total = 0
        /// Messages and PINGs that have not been answered yet.
        public var pending = 0
        /// Messages and PINGs received since ``WebSocketHandler/resetStats()``.
        public var request = 0
        /// Answers sent since ``WebSocketHandler/resetStats()``.
        public var response = 0
        /// Handlers that threw since ``WebSocketHandler/resetStats()``.
        public var error = 0

        /// Creates counts.
        public init(total: Int = 0, pending: Int = 0, request: Int = 0, response: Int = 0, error: Int = 0) {
            self.total = total
            self.pending = pending
            self.request = request
            self.response = response
            self.error = error
        }
    }

    private struct State {
        var handler: any Handler
        var maxSize: Int
        var errorHandlers: [Int: any Handler] = [:]
        var stats = Stats()
    }

    private let state: Mutex<State>
    private let options: UpgradeOptions

    /// Creates a server that answers messages by `handler`.
    public init(_ handler: any Handler, options: UpgradeOptions = UpgradeOptions()) {
        state = Mutex(State(handler: handler, maxSize: options.maxPayload))
        self.options = options
    }

    /// Creates a server that answers messages by a function.
    public convenience init(
        options: UpgradeOptions = UpgradeOptions(), _ body: @escaping @Sendable (WebSocketMessage) async throws -> Void
    ) {
        self.init(FunctionHandler(body), options: options)
    }

    /// The handler of messages; a new one is used from the next message on.
    public var handler: any Handler {
        get { state.withLock { $0.handler } }
        set { state.withLock { $0.handler = newValue } }
    }

    /// The maximum size of a message in bytes, for new connections; 64 MiB by default.
    public var maxSize: Int { state.withLock { $0.maxSize } }

    /// Sets ``maxSize``.
    ///
    /// Throws ``WS/Error/outOfRange`` if `maximum` is negative.
    public func setMaxSize(_ maximum: Int) throws(WS.Error) {
        guard maximum >= 0 else { throw .outOfRange }
        state.withLock { $0.maxSize = maximum }
    }

    /// Sets the handler for messages whose handler threw; the key is 500.
    ///
    /// Its ``WebSocketMessage/lastError`` describes the error.
    public func onerror(_ handlers: [Int: any Handler]) { state.withLock { $0.errorHandlers = handlers } }

    /// The counts.
    public var stats: Stats { state.withLock { $0.stats } }

    /// Resets all counts to 0, except ``Stats/total`` and ``Stats/pending``.
    public func resetStats() {
        state.withLock { $0.stats = Stats(total: $0.stats.total, pending: $0.stats.pending) }
    }

    /// Upgrades the request to a WebSocket; returns when the socket has ended.
    ///
    /// Throws ``WS/Error/badType(_:)`` for anything but an HTTP request.
    public func invoke(_ message: any HandlerMessage) async throws -> (any Handler)? {
        guard message is ServerRequest else {
            throw WS.Error.badType("expected an HTTP request, found \(type(of: message))")
        }
        var options = options
        options.maxPayload = maxSize
        return WS.upgrade(options) { [self] socket in
            socket.on(.ping) { [self] _ in count { stats in stats.response += 1 } }
            while let message = try await socket.receive() { try await answer(message, on: socket) }
        }
    }

    /// Counts a message, and its outcome.
    private func count(_ outcome: (inout Stats) -> Void) {
        state.withLock { state in
            state.stats.total += 1
            state.stats.request += 1
            outcome(&state.stats)
        }
    }

    private func answer(_ message: WebSocketMessage, on socket: WebSocket) async throws {
        count { $0.pending += 1 }
        do {
            try await WSTransport.invoke(handler, message)
        } catch {
            message.lastError = "\(error)"
            let errorHandler = state.withLock { state in
                state.stats.error += 1
                state.stats.pending -= 1
                return state.errorHandlers[500]
            }
            if let errorHandler { try? await WSTransport.invoke(errorHandler, message) }
            throw error
        }
        // Before it is sent, so that a client that has the answer finds it counted.
        state.withLock { state in
            state.stats.response += 1
            state.stats.pending -= 1
        }
        try await socket.core.send(message.response.type, message.response.body)
    }
}

extension WS {
    /// A server that answers each message with another one.
    public typealias Handler = WebSocketHandler
}
