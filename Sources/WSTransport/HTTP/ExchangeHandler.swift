/// A handler that answers requests on the connection's reactor.
package protocol ExchangeHandler {
    /// Answers through `exchange`, now or later on the same reactor; must not block.
    func handle(_ exchange: HTTPExchange)
}

/// A handler that needs no task: if only such handlers lie between a request and its answer, the reactor does
/// everything.
///
/// What it captures is shared by all reactors; what belongs to one reactor is found through the exchange's
/// ``HTTPExchange/reactor``.
package protocol DirectHandler: Handler, ExchangeHandler {}

extension DirectHandler {
    /// Moves to the request's reactor, and waits there for the answer.
    public func invoke(_ message: any HandlerMessage) async throws -> (any Handler)? {
        guard let request = message as? ServerRequest else {
            throw WS.Error.badType("expected an HTTP request, found \(type(of: message))")
        }
        await request.handled(by: self)
        return nil
    }
}

/// A handler made of a closure that runs on the connection's reactor.
package struct ExchangeFunction: DirectHandler {
    private let body: @Sendable (HTTPExchange) throws(HTTPRefusal) -> Void

    /// - Parameter body: a refusal that it throws becomes the answer.
    package init(_ body: @escaping @Sendable (HTTPExchange) throws(HTTPRefusal) -> Void) { self.body = body }

    package func handle(_ exchange: HTTPExchange) {
        do throws(HTTPRefusal) { try body(exchange) } catch { exchange.refuse(error) }
    }
}

/// Any handler, adapted to answer on the reactor: one that is not direct runs in a task.
struct HandlerBridge: ExchangeHandler {
    private enum Target {
        case direct(any DirectHandler)
        case task(any Handler)
    }

    private let target: Target

    init(_ handler: any Handler) {
        target = if let direct = handler as? any DirectHandler { .direct(direct) } else { .task(handler) }
    }

    func handle(_ exchange: HTTPExchange) {
        switch target {
        case .direct(let handler): handler.handle(exchange)
        case .task(let handler): exchange.serve(by: handler)
        }
    }
}
