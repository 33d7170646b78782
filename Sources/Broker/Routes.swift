package import WSTransport

/// Everything a listener serves, as one routing, shared by all reactors.
///
/// The contract's §2.
package enum Routes {
    /// The handler of a listener for users.
    ///
    /// - Parameters:
    ///   - isAdministered: whether it has `/admin`; one that has not pays nothing for it.
    ///   - authenticator: finds out who asks.
    ///   - listener: its address, as it is configured.
    ///   - isLocal: whether its clients are on this machine: it is on loopback or in the file system, and for no proxy's.
    ///   - isSecure: whether it has TLS.
    ///   - isPrivate: whether it has TLS, or is on loopback or in the file system.
    ///   - forwarded: what is believed of a trusted proxy's fields.
    ///   - hasPreface: whether a PROXY header says who its clients are.
    package static func users(
        _ figures: Figures, hasMetrics: Bool, isAdministered: Bool = false,
        _ authenticator: any Authenticator = AnonymousOnly(), listener: String = "", isLocal: Bool = true,
        isSecure: Bool = false, isPrivate: Bool = true, forwarded: Settings.Forwarded = .none, hasPreface: Bool = false
    ) -> any DirectHandler {
        let gate = Gate(
            authenticator: authenticator, listener: listener, isLocal: isLocal, isSecure: isSecure,
            isPrivate: isPrivate, forwarded: forwarded, hasPreface: hasPreface)
        var routing = common(gate)
        SessionEndpoint.add(to: &routing, gate)
        if isAdministered {
            routing.add(
                ["GET"], exactly: "/admin",
                gate.forAdministrators.guarding { visit throws(HTTPRefusal) in try NetworkAdminSession.open(visit) })
        }
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
                let shard = try exchange.shard()
                func answer(_ pending: PendingBytes?) {
                    exchange.respond(
                        OutgoingResponse(
                            status: 200,
                            fields: [
                                "Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store",
                            ],
                            body: figures.prometheus(pending: pending)))
                }
                guard let look = shard.reactor[PendingLook.self] else { return answer(nil) }
                look.look(answer)
            }
        }
        WebFile.addClient(to: &routing)
        Page.add(to: &routing)
        return PreflightHandler(routing: routing)
    }

    /// The handler of the administration socket, whose reactor keeps the ``AdminDesk``.
    static func administrators() -> any DirectHandler {
        let gate = Gate(authenticator: AdministratorsOnly(), listener: "")
        var routing = common(gate)
        routing.add(
            ["GET"], exactly: "/admin",
            gate.guarding { visit throws(HTTPRefusal) in
                try AdminSession.open(visit) { socket, desk in AdminSession(socket: socket, desk: desk) }
            })
        return PreflightHandler(routing: routing)
    }

    private static func common(_ gate: Gate) -> Routing {
        var routing = Routing()
        routing.add(["GET"], exactly: "/ws", gate.guarding { visit throws(HTTPRefusal) in try Sockets.json(visit) })
        routing.add(
            ["GET"], exactly: "/t/*",
            gate.guarding { visit throws(HTTPRefusal) in
                if visit.wantsSocket { try Sockets.topic(visit) } else { try TopicEndpoint(visit).read() }
            })
        routing.add(
            ["POST", "PUT"], exactly: "/t/*",
            gate.guarding { visit throws(HTTPRefusal) in try TopicEndpoint(visit).publish() })
        routing.add(
            ["POST"], exactly: "/t", gate.guarding { visit throws(HTTPRefusal) in try BatchEndpoint.publish(visit) })
        routing.add(
            ["DELETE"], exactly: "/t/*",
            gate.guarding { visit throws(HTTPRefusal) in try TopicEndpoint(visit).delete() })
        routing.add(
            ["GET"], exactly: "/s/*",
            gate.guarding { visit throws(HTTPRefusal) in
                if visit.wantsSocket { try Sockets.subscription(visit) } else { try FollowEndpoint.follow(visit) }
            })
        return routing
    }

    /// The answer to a request that is refused, as the contract words it.
    package static func refusal(_ refusal: HTTPRefusal) -> OutgoingResponse {
        var fields = refusal.fields
        fields.append("Content-Type", "application/json")
        // What is refused now may be there in a moment: no cache keeps the refusal.
        fields.append("Cache-Control", "no-store")
        switch refusal.status {
        case 401: fields.append("WWW-Authenticate", #"Bearer realm="broker", error="invalid_token""#)
        case 429, 503:
            if fields.first("Retry-After") != nil { break }
            fields.append("Retry-After", refusal.stated == ErrorCode.rateLimited.rawValue ? "1" : "5")
        default: break
        }
        return OutgoingResponse(status: refusal.status, fields: fields, body: refusal.object + [10])
    }
}
