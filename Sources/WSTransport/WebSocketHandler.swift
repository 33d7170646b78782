internal import Synchronization

/// A server that answers each message by another: `ws.Handler`.
///
/// A handler of HTTP requests. After the handshake it reads one message after the other; a text or a binary one is
/// given to ``handler`` as a ``WebSocketMessage``, and then its ``WebSocketMessage/response`` is sent, whatever it
/// holds. A PING is answered by a PONG without asking anybody. Any thread.
public final class WebSocketHandler: Handler {
    /// What was counted since the handler was made.
    public struct Stats: Equatable, Sendable {
        /// Messages and PINGs that have come.
        public var total = 0
        /// Those of them that are not answered yet.
        public var pending = 0
        /// Messages and PINGs that have come, since ``WebSocketHandler/resetStats()``.
        public var request = 0
        /// Answers that were sent, likewise.
        public var response = 0
        /// Handlers that threw, likewise.
        public var error = 0

        /// These counts.
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

    /// A server whose messages `handler` answers.
    public init(_ handler: any Handler, options: UpgradeOptions = UpgradeOptions()) {
        state = Mutex(State(handler: handler, maxSize: options.maxPayload))
        self.options = options
    }

    /// A server whose messages a function answers.
    public convenience init(
        options: UpgradeOptions = UpgradeOptions(), _ body: @escaping @Sendable (WebSocketMessage) async throws -> Void
    ) {
        self.init(FunctionHandler(body), options: options)
    }

    /// What messages are given to; a change counts for the messages that come.
    public var handler: any Handler {
        get { state.withLock { $0.handler } }
        set { state.withLock { $0.handler = newValue } }
    }

    /// The most bytes of a message, for connections that come; 64 MiB where nothing else was set.
    public var maxSize: Int { state.withLock { $0.maxSize } }

    /// Sets ``maxSize``.
    ///
    /// Throws ``WS/Error/outOfRange`` below 0.
    public func setMaxSize(_ maximum: Int) throws(WS.Error) {
        guard maximum >= 0 else { throw .outOfRange }
        state.withLock { $0.maxSize = maximum }
    }

    /// Sets who is given a message whose handler threw: the one of key 500.
    ///
    /// Its ``WebSocketMessage/lastError`` says why.
    public func onerror(_ handlers: [Int: any Handler]) { state.withLock { $0.errorHandlers = handlers } }

    /// What was counted.
    public var stats: Stats { state.withLock { $0.stats } }

    /// Sets the counters but ``Stats/total`` and ``Stats/pending`` to 0.
    public func resetStats() {
        state.withLock { $0.stats = Stats(total: $0.stats.total, pending: $0.stats.pending) }
    }

    /// Makes a WebSocket of the request; returns when that has ended.
    ///
    /// Throws ``WS/Error/badType(_:)`` for what is no HTTP request.
    public func invoke(_ message: any HandlerMessage) async throws -> (any Handler)? {
        guard message is HTTPRequest else {
            throw WS.Error.badType("expected an HTTP request, found \(type(of: message))")
        }
        var options = options
        options.maxPayload = maxSize
        return WS.upgrade(options) { [self] socket in
            socket.on(.ping) { [self] _ in count { stats in stats.response += 1 } }
            while let message = try await socket.receive() { try await answer(message, on: socket) }
        }
    }

    /// Counts one that has come, and what became of it.
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
