/// Selects a handler by path, method and host; of several matching routes, the one that was added first wins.
///
/// A pattern that begins with `^` is a regular expression; any other pattern is a path with parameters: `/users/:id`,
/// `/files/*`, `/:year(\d+)/:month?`. Case is ignored, and so is a `/` at the end of the path. A match sets the
/// message's ``HandlerMessage/value`` and ``HandlerMessage/params``, percent-encoded as received. If the target is
/// itself a routing, the pattern matches a prefix of the path, and the target matches the rest.
///
/// If no route matches, the status is 404, or 405 if the path has routes for other methods. Routes for `GET` also
/// answer `HEAD`.
public struct Routing: DirectHandler, CheckedHandler, ExpressibleByDictionaryLiteral {
    // An object, so that reading it does not copy it.
    private final class Route: Sendable {
        let pattern: RoutePattern
        /// The methods; empty for any.
        let methods: [String]
        /// The host in lower case; `*.` at its beginning means all subdomains; `nil` for any.
        let host: String?
        let target: any Handler
        /// Handles a request by the target, if that needs no task.
        ///
        /// A function, because reading a handler of any type would copy it.
        let handle: (@Sendable (HTTPExchange) -> Void)?

        init(_ pattern: RoutePattern, _ methods: [String], host: String?, _ target: any Handler) {
            self.pattern = pattern
            self.methods = methods
            self.host = host
            self.target = target
            if let direct = target as? any DirectHandler {
                handle = { exchange in direct.handle(exchange) }
            } else {
                handle = nil
            }
        }

        /// - Parameter method: empty if the message has none.
        func takes(_ method: String) -> Bool { methods.isEmpty || method.isEmpty || methods.contains(method) }

        func match(_ path: String, host asked: () -> String?) -> RoutePattern.Match? {
            guard let host else { return pattern.match(path) }
            guard Routing.isHost(asked() ?? "", like: host), pattern.match(path) != nil else { return nil }
            // All paths of a host: the routes below match the whole path.
            return RoutePattern.Match(value: path)
        }
    }

    private var routes: [Route] = []

    var problem: String? { routes.lazy.compactMap { ($0.target as? any CheckedHandler)?.problem }.first }

    /// Creates a routing without routes.
    public init() {}

    /// Creates a routing with routes for any method, in this order.
    public init(_ routes: [(String, any Handler)]) { for (pattern, target) in routes { append(pattern, target) } }

    /// Creates a routing with routes for one method, in this order.
    public init(_ method: String, _ routes: [(String, any Handler)]) {
        for (pattern, target) in routes { append(method, pattern, target) }
    }

    /// Creates a routing with routes for any method, in this order.
    public init(dictionaryLiteral elements: (String, any Handler)...) { self.init(elements) }

    // MARK: Adding

    /// Adds a route for any method.
    ///
    /// A malformed pattern is a programming error and terminates the program.
    public mutating func append(_ pattern: String, _ target: any Handler) { add([], pattern, nil, target) }

    /// Adds a route for one method.
    public mutating func append(_ method: String, _ pattern: String, _ target: any Handler) {
        add([method], pattern, nil, target)
    }

    /// Appends all routes of another routing.
    public mutating func append(_ other: Routing) { routes += other.routes }

    /// Adds a route for any method.
    public mutating func all(_ pattern: String, _ target: any Handler) { add([], pattern, nil, target) }

    /// Adds a route for `GET` and `HEAD`.
    public mutating func get(_ pattern: String, _ target: any Handler) { add(["GET"], pattern, nil, target) }

    /// Adds a route for `POST`.
    public mutating func post(_ pattern: String, _ target: any Handler) { add(["POST"], pattern, nil, target) }

    /// Adds a route for `PUT`.
    public mutating func put(_ pattern: String, _ target: any Handler) { add(["PUT"], pattern, nil, target) }

    /// Adds a route for `DELETE`.
    public mutating func del(_ pattern: String, _ target: any Handler) { add(["DELETE"], pattern, nil, target) }

    /// Adds a route for `PATCH`.
    public mutating func patch(_ pattern: String, _ target: any Handler) { add(["PATCH"], pattern, nil, target) }

    /// Adds a route for `FIND`.
    public mutating func find(_ pattern: String, _ target: any Handler) { add(["FIND"], pattern, nil, target) }

    /// Adds a route for all requests to one host, such as `example.com`, or `*.example.com` for its subdomains.
    public mutating func host(_ name: String, _ target: any Handler) { add([], "*", name, target) }

    private mutating func add(_ methods: [String], _ pattern: String, _ host: String?, _ target: any Handler) {
        let isPrefix = target is Routing && host == nil
        guard let made = host == nil ? RoutePattern(pattern, isPrefix: isPrefix) : RoutePattern(exactly: "*") else {
            preconditionFailure("Routing: \"\(pattern)\" is no pattern")
        }
        add(methods, made, host, target)
    }

    private mutating func add(_ methods: [String], _ pattern: RoutePattern, _ host: String?, _ target: any Handler) {
        routes.append(Route(pattern, methods, host: host?.lowercased(), target))
    }

    /// Adds a route to a literal path, or to everything below it if its last part is `*`.
    package mutating func add(_ methods: [String], exactly path: String, _ target: any DirectHandler) {
        add(methods, RoutePattern(exactly: path), nil, target)
    }

    /// Adds a route to a closure that runs on the connection's reactor.
    package mutating func add(
        _ methods: [String], exactly path: String,
        _ body: @escaping @Sendable (HTTPExchange) throws(HTTPRefusal) -> Void
    ) {
        add(methods, exactly: path, ExchangeFunction(body))
    }

    // MARK: Finding

    private enum Found {
        case route(Route, RoutePattern.Match)
        /// The path has routes, but only for these methods.
        case otherMethods([String])
        /// The request is for the server as a whole (`OPTIONS *`).
        case everything([String])
        case nothing
    }

    /// - Parameter method: empty if the message has none; then any route matches.
    private func find(_ path: String, method: String, host: () -> String?) -> Found {
        let method = method == "HEAD" ? "GET" : method
        for route in routes where route.takes(method) {
            if let match = route.match(path, host: host) { return .route(route, match) }
        }
        var allowed: [String] = []
        for route in routes where route.match(path, host: host) != nil {
            for method in route.methods where !allowed.contains(method) { allowed.append(method) }
        }
        if path == "*", method == "OPTIONS" { return .everything(Set(routes.flatMap(\.methods)).sorted()) }
        return allowed.isEmpty ? .nothing : .otherMethods(allowed)
    }

    fileprivate static func isHost(_ host: String, like pattern: String) -> Bool {
        var name = Substring(host.lowercased())
        if let colon = name.lastIndex(of: ":"), !name.hasSuffix("]") { name = name[..<colon] }
        return pattern.hasPrefix("*.") ? name.hasSuffix(pattern.dropFirst()) : name == pattern
    }

    private static func list(_ methods: [String]) -> String {
        (methods + (methods.contains("GET") ? ["HEAD"] : []) + ["OPTIONS"]).joined(separator: ", ")
    }

    private static func refusal(_ path: String, _ allowed: [String]) -> HTTPRefusal {
        guard !allowed.isEmpty else {
            return HTTPRefusal(status: 404, code: "not-found", message: "There is nothing at \(path).")
        }
        let list = list(allowed)
        return HTTPRefusal(
            status: 405, code: "bad-request", message: "\(path) supports only \(list).", fields: ["Allow": list])
    }

    /// Finds the handler that continues with `message`.
    ///
    /// Throws an ``HTTPRefusal`` of status 404 or 405 if there is none.
    public func invoke(_ message: any HandlerMessage) async throws -> (any Handler)? {
        let request = message as? ServerRequest
        let path = message.value
        switch find(path, method: request?.method ?? "", host: { request?.host }) {
        case .route(let route, let match):
            message.value = match.value
            message.params = match.params
            return route.target
        case .otherMethods(let allowed):
            let refusal = Self.refusal(path, allowed)
            guard let request, request.method == "OPTIONS" else { throw refusal }
            request.response.statusCode = 204
            request.response.fields.append("Allow", refusal.fields.first("Allow") ?? "")
            return nil
        case .everything(let methods):
            request?.response.statusCode = 204
            request?.response.fields.append("Allow", Self.list(methods))
            return nil
        case .nothing: throw Self.refusal(path, [])
        }
    }

    package func handle(_ exchange: HTTPExchange) {
        let request = exchange.request
        let path = exchange.value
        switch find(path, method: request.method, host: { request.head.host }) {
        case .route(let route, let match):
            exchange.arrive(at: match)
            if let handle = route.handle { handle(exchange) } else { exchange.serve(by: route.target) }
        case .otherMethods(let allowed):
            let refusal = Self.refusal(path, allowed)
            guard request.method == "OPTIONS" else { return exchange.refuse(refusal) }
            exchange.respond(OutgoingResponse(status: 204, fields: ["Allow": refusal.fields.first("Allow") ?? ""]))
        case .everything(let methods):
            exchange.respond(OutgoingResponse(status: 204, fields: ["Allow": Self.list(methods)]))
        case .nothing: exchange.refuse(Self.refusal(path, []))
        }
    }
}
