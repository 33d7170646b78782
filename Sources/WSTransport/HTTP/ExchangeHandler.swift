/// Something that answers requests.
///
/// Called on the connection's reactor, so it may be a plain object of that reactor.
///
/// The counterpart of fibjs's `Handler`: function handlers, ``ExchangeRouting`` and `ws.upgrade` are conformers and nest freely.
package protocol ExchangeHandler {
    /// Answers through `exchange`, now or later on the same reactor. Must not wait.
    func handle(_ exchange: HTTPExchange)
}

/// A handler made of a closure.
package struct ExchangeFunction: ExchangeHandler {
    private let body: (HTTPExchange) throws(HTTPRefusal) -> Void

    /// - Parameter body: a refusal it throws becomes the answer.
    package init(_ body: @escaping (HTTPExchange) throws(HTTPRefusal) -> Void) { self.body = body }

    package func handle(_ exchange: HTTPExchange) {
        do throws(HTTPRefusal) { try body(exchange) } catch { exchange.refuse(error) }
    }
}

/// Handlers by path and method; the first route that matches wins.
///
/// A pattern is a path whose last part may be `*`: it then matches everything below, and what it stood for is the
/// exchange's ``HTTPExchange/captured``, still percent-encoded. No match is 404, a path that is known by other methods 405.
package struct ExchangeRouting: ExchangeHandler {
    private struct Route {
        let pattern: String
        let methods: [String]
        let handler: any ExchangeHandler
    }

    private var routes: [Route] = []

    package init() {}

    /// Adds a route.
    ///
    /// `GET` answers `HEAD` too; no methods at all: any.
    package mutating func add(_ methods: [String], _ pattern: String, _ handler: any ExchangeHandler) {
        routes.append(Route(pattern: pattern, methods: methods, handler: handler))
    }

    /// Adds a route to a closure.
    package mutating func add(
        _ methods: [String], _ pattern: String, _ body: @escaping (HTTPExchange) throws(HTTPRefusal) -> Void
    ) {
        add(methods, pattern, ExchangeFunction(body))
    }

    package func handle(_ exchange: HTTPExchange) {
        var allowed: [String] = []
        for route in routes {
            guard let captured = Self.match(route.pattern, exchange.request.path) else { continue }
            let method = exchange.request.method == "HEAD" ? "GET" : exchange.request.method
            if route.methods.isEmpty || route.methods.contains(method) {
                exchange.captured = captured
                return route.handler.handle(exchange)
            }
            for method in route.methods where !allowed.contains(method) { allowed.append(method) }
        }
        guard !allowed.isEmpty else {
            return exchange.refuse(
                HTTPRefusal(status: 404, code: "not-found", message: "There is nothing at \(exchange.request.path)."))
        }
        if allowed.contains("GET") { allowed.append("HEAD") }
        let list = (allowed + ["OPTIONS"]).joined(separator: ", ")
        if exchange.request.method == "OPTIONS" {
            return exchange.respond(OutgoingResponse(status: 204, fields: ["Allow": list]))
        }
        exchange.refuse(
            HTTPRefusal(
                status: 405, code: "bad-request", message: "\(exchange.request.path) takes \(list) only.",
                fields: ["Allow": list]))
    }

    /// What the `*` stands for, or nothing; `nil` where the path does not match.
    private static func match(_ pattern: String, _ path: String) -> String? {
        guard pattern.utf8.last == UInt8(ascii: "*") else { return pattern == path ? "" : nil }
        let prefix = pattern.dropLast()
        return path.utf8.starts(with: prefix.utf8) ? String(path.utf8.dropFirst(prefix.utf8.count)) ?? "" : nil
    }
}
