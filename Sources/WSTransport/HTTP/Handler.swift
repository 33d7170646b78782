/// Something that handles messages: HTTP requests, or the messages of a WebSocket.
///
/// Functions (``FunctionHandler``), ``Chain``, ``Routing``, `ws.upgrade` and `ws.Handler` are handlers and nest freely.
public protocol Handler: Sendable {
    /// Handles `message`, and returns the handler that is to go on with it; `nil`: it is done.
    ///
    /// What is thrown becomes the answer of an HTTP request: an ``HTTPRefusal`` as it says, anything else status 500.
    func invoke(_ message: any HandlerMessage) async throws -> (any Handler)?
}

/// Has `handler` handle `message`, then the handler that it returns, and so on until none is returned.
public func invoke(_ handler: any Handler, _ message: any HandlerMessage) async throws {
    var next: (any Handler)? = handler
    while let current = next { next = try await current.invoke(message) }
}

/// A handler made of a function.
public struct FunctionHandler: Handler {
    private let body: @Sendable (any HandlerMessage) async throws -> (any Handler)?

    /// A function that says who goes on; `nil`: nobody.
    public init(returning body: @escaping @Sendable (any HandlerMessage) async throws -> (any Handler)?) {
        self.body = body
    }

    /// A function for messages of one kind, such as ``HTTPRequest``; others are an error.
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

/// Handlers that run one after the other, each with those it returns, until the message is ended.
public struct Chain: Handler, ExpressibleByArrayLiteral {
    private var handlers: [any Handler] = []

    /// These handlers, in this order.
    public init(_ handlers: [any Handler] = []) { self.handlers = handlers }

    /// These handlers, in this order.
    public init(arrayLiteral elements: any Handler...) { handlers = elements }

    /// Adds a handler behind the others.
    public mutating func append(_ handler: any Handler) { handlers.append(handler) }

    /// Adds handlers behind the others.
    public mutating func append(_ handlers: [any Handler]) { self.handlers += handlers }

    /// Runs the handlers; nobody is to go on.
    public func invoke(_ message: any HandlerMessage) async throws -> (any Handler)? {
        for handler in handlers where !message.isEnded { try await WSTransport.invoke(handler, message) }
        return nil
    }
}
