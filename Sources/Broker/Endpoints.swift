package import WSTransport

/// Everything a listener serves, as one routing, shared by all reactors.
///
/// The contract's §2.
package enum Endpoints {
    /// The handler of a listener for users.
    package static func users(_ figures: Figures, hasMetrics: Bool) -> any DirectHandler {
        var routing = common(isAdministrative: false)
        routing.add(["GET"], exactly: "/health/live") { (exchange) throws(HTTPRefusal) in
            try exchange.takesOnly([])
            HealthEndpoint(shard: try exchange.shard()).live(exchange)
        }
        routing.add(["GET"], exactly: "/health/ready") { (exchange) throws(HTTPRefusal) in
            try exchange.takesOnly([])
            HealthEndpoint(shard: try exchange.shard()).ready(exchange)
        }
        if hasMetrics {
            routing.add(["GET"], exactly: "/metrics") { (exchange) throws(HTTPRefusal) in
                try exchange.takesOnly([])
                exchange.respond(
                    OutgoingResponse(
                        status: 200,
                        fields: [
                            "Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store",
                        ],
                        body: figures.prometheus()))
            }
        }
        Page.add(to: &routing)
        return FrontDoor(routing: routing)
    }

    /// The handler of the administration socket, whose reactor keeps the ``AdminDesk``.
    static func administrators(_ options: WebSocketConnection.Options) -> any DirectHandler {
        var routing = common(isAdministrative: true)
        routing.add(
            ["GET"], exactly: "/admin",
            ws.upgrade { (exchange, request) throws(HTTPRefusal) in
                guard let desk = try exchange.shard().reactor[AdminDesk.self] else {
                    throw HTTPRefusal(status: 404, code: "not-found", message: "Nobody administers here.")
                }
                return Admission(
                    subprotocol: request.subprotocols.contains(AdminWire.subprotocol) ? AdminWire.subprotocol : nil,
                    options: options
                ) { socket in AdminSession(socket: socket, desk: desk) }
            })
        return FrontDoor(routing: routing)
    }

    private static func common(isAdministrative: Bool) -> Routing {
        let sockets = Sockets(isAdministrative: isAdministrative)
        @Sendable func topics(_ exchange: HTTPExchange) throws(HTTPRefusal) -> TopicEndpoint {
            TopicEndpoint(shard: try exchange.shard(), isAdministrative: isAdministrative)
        }
        var routing = Routing()
        routing.add(["GET"], exactly: "/ws", sockets.json())
        routing.add(
            ["GET"], exactly: "/t/*",
            SocketOr(
                socket: sockets.topic(),
                other: ExchangeFunction { (exchange) throws(HTTPRefusal) in try topics(exchange).read(exchange) }))
        routing.add(["POST", "PUT"], exactly: "/t/*") { (exchange) throws(HTTPRefusal) in
            try topics(exchange).publish(exchange)
        }
        routing.add(["DELETE"], exactly: "/t/*") { (exchange) throws(HTTPRefusal) in
            try topics(exchange).delete(exchange)
        }
        routing.add(
            ["GET"], exactly: "/s/*",
            SocketOr(
                socket: sockets.subscription(),
                other: ExchangeFunction { (exchange) throws(HTTPRefusal) in
                    try FollowEndpoint(shard: try exchange.shard(), isAdministrative: isAdministrative)
                        .follow(exchange)
                }))
        return routing
    }

    /// The answer to a request that is turned down, as the contract words it.
    package static func refusal(_ refusal: HTTPRefusal) -> OutgoingResponse {
        let code = refusal.code.isEmpty ? ErrorCode(status: refusal.status).rawValue : refusal.code
        var writer = JSONWriter(capacity: 128)
        writer.beginObject()
        writer.name("error")
        writer.beginObject()
        writer.member("code", code)
        writer.member("message", refusal.message)
        writer.endObject()
        writer.endObject()
        var fields = refusal.fields
        fields.append("Content-Type", "application/json")
        // What is refused now may be there in a moment: no cache keeps the refusal.
        fields.append("Cache-Control", "no-store")
        switch refusal.status {
        case 401: fields.append("WWW-Authenticate", #"Bearer realm="broker", error="invalid_token""#)
        case 429, 503: fields.append("Retry-After", code == ErrorCode.rateLimited.rawValue ? "1" : "5")
        default: break
        }
        return OutgoingResponse(status: refusal.status, fields: fields, body: writer.bytes + [10])
    }
}
