/// A handler of messages: HTTP requests, or the messages of a WebSocket.
///
/// Functions (``FunctionHandler``), ``Chain``, ``Routing``, `ws.upgrade` and `ws.Handler` are handlers, and can be
/// nested.
public protocol Handler: Sendable {
    /// Handles `message`, and returns the handler that continues with it; `nil` if none does.
    ///
    /// A thrown ``HTTPRefusal`` becomes the response to an HTTP request; any other error becomes status 500.
    func invoke(_ message: any HandlerMessage) async throws -> (any Handler)?
}

/// A handler with options, which are checked when its server starts.
protocol CheckedHandler: Handler {
    /// A description of an invalid option; `nil` if all options are valid.
    var problem: String? { get }
}

/// Calls `handler` with `message`, then the handler that it returns, until none is returned.
public func invoke(_ handler: any Handler, _ message: any HandlerMessage) async throws {
    var next: (any Handler)? = handler
    while let current = next { next = try await current.invoke(message) }
}

/// A handler made from a function.
public struct FunctionHandler: Handler {
    private let body: @Sendable (any HandlerMessage) async throws -> (any Handler)?

    /// Creates a handler from a function that returns the handler that continues, or `nil`.
    public init(returning body: @escaping @Sendable (any HandlerMessage) async throws -> (any Handler)?) {
        self.body = body
    }

    /// Creates a handler from a function for messages of one type, such as ``ServerRequest``; messages of other types
    /// are an error.
    public init<Message: HandlerMessage>(_ body: @escaping @Sendable (Message) async throws -> Void) {
        self.body = { message in
            guard let message = message as? Message else {
                throw WS.Error.badType("expected \(Message.self), found \(type(of: message))")
            }
            try await body(message)
            return nil
        }
    }

    /// Runs the function.
    public func invoke(_ message: any HandlerMessage) async throws -> (any Handler)? { try await body(message) }
}

/// Handlers that run one after the other until the message is finished.
///
/// If a handler returns another one, that one runs before the next handler of the chain.
public struct Chain: CheckedHandler, ExpressibleByArrayLiteral {
    private var handlers: [any Handler] = []

    var problem: String? { handlers.lazy.compactMap { ($0 as? any CheckedHandler)?.problem }.first }

    /// Creates a chain of handlers, in this order.
    public init(_ handlers: [any Handler] = []) { self.handlers = handlers }

    /// Creates a chain of handlers, in this order.
    public init(arrayLiteral elements: any Handler...) { handlers = elements }

    /// Appends a handler.
    public mutating func append(_ handler: any Handler) { handlers.append(handler) }

    /// Appends handlers.
    public mutating func append(_ handlers: [any Handler]) { self.handlers += handlers }

    /// Runs the handlers; always returns `nil`.
    public func invoke(_ message: any HandlerMessage) async throws -> (any Handler)? {
        for handler in handlers where !message.isEnded { try await WSTransport.invoke(handler, message) }
        return nil
    }
}
