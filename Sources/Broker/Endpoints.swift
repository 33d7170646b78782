package import WSTransport

/// Everything a listener serves, as one routing.
///
/// The contract's §2.
package enum Endpoints {
    /// The handler of a listener for users.
    package static func users(_ shard: Shard, figures: Figures) -> any ExchangeHandler {
        var routing = common(shard, isAdministrative: false)
        let health = HealthEndpoint(shard: shard)
        routing.add(["GET"], "/health/live") { (exchange) throws(HTTPRefusal) in health.live(exchange) }
        routing.add(["GET"], "/health/ready") { (exchange) throws(HTTPRefusal) in health.ready(exchange) }
        if shard.settings.metrics.enabled {
            routing.add(["GET"], "/metrics") { (exchange) throws(HTTPRefusal) in
                exchange.respond(
                    OutgoingResponse(
                        status: 200, fields: ["Content-Type": "text/plain; version=0.0.4; charset=utf-8"],
                        body: figures.prometheus()))
            }
        }
        routing.add(["GET"], "/") { (exchange) throws(HTTPRefusal) in
            exchange.respond(Page.response)
        }
        return FrontDoor(shard: shard, isAdministrative: false, routing: routing)
    }

    /// The handler of the administration socket.
    static func administrators(_ shard: Shard, desk: AdminDesk, options: WebSocketConnection.Options)
        -> any ExchangeHandler
    {
        var routing = common(shard, isAdministrative: true)
        routing.add(
            ["GET"], "/admin",
            ws.upgrade { (_, request) throws(HTTPRefusal) in
                Admission(
                    subprotocol: request.subprotocols.contains(AdminSession.subprotocol)
                        ? AdminSession.subprotocol : nil,
                    options: options
                ) { socket in AdminSession(socket: socket, desk: desk) }
            })
        return FrontDoor(shard: shard, isAdministrative: true, routing: routing)
    }

    private static func common(_ shard: Shard, isAdministrative: Bool) -> ExchangeRouting {
        let sockets = Sockets(shard: shard, isAdministrative: isAdministrative)
        let topics = TopicEndpoint(shard: shard, isAdministrative: isAdministrative)
        let follow = FollowEndpoint(shard: shard, isAdministrative: isAdministrative)
        var routing = ExchangeRouting()
        routing.add(["GET"], "/ws", sockets.json())
        routing.add(
            ["GET"], "/t/*",
            SocketOr(
                socket: sockets.topic(),
                other: ExchangeFunction { (exchange) throws(HTTPRefusal) in try topics.read(exchange) }))
        routing.add(["POST", "PUT"], "/t/*") { (exchange) throws(HTTPRefusal) in try topics.publish(exchange) }
        routing.add(["DELETE"], "/t/*") { (exchange) throws(HTTPRefusal) in try topics.delete(exchange) }
        routing.add(
            ["GET"], "/s/*",
            SocketOr(
                socket: sockets.subscription(),
                other: ExchangeFunction { (exchange) throws(HTTPRefusal) in try follow.follow(exchange) }))
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
        return OutgoingResponse(status: refusal.status, fields: fields, body: writer.bytes + [10])
    }
}
