package import WSTransport

/// The routing of everything that a listener serves, shared by all reactors.
///
/// §2 of the contract.
package enum Routes {
    /// The handler of a listener for users.
    ///
    /// - Parameters:
    ///   - isAdministered: whether it has `/admin`; a listener without it has no cost for it.
    ///   - authenticator: identifies the client of a request.
    ///   - listener: its address as configured.
    ///   - isLocal: whether its clients are on this machine: it is on loopback or in the file system, and not for a
    ///     proxy.
    ///   - isSecure: whether it has TLS.
    ///   - isPrivate: whether it has TLS, or is on loopback or in the file system.
    ///   - forwarded: the fields of a trusted proxy that are accepted.
    ///   - hasPreface: whether a PROXY header names its clients.
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
                func answer(_ text: [UInt8]) {
                    exchange.respond(
                        OutgoingResponse(
                            status: 200,
                            fields: [
                                "Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store",
                            ],
                            body: text))
                }
                guard let look = shard.reactor[PendingLook.self] else { return answer(figures.prometheus()) }
                look.look { pending in answer(look.text { figures.prometheus(pending: pending) }) }
            }
        }
        WebFile.addClient(to: &routing)
        Page.add(to: &routing)
        return PreflightHandler(routing: routing)
    }

    /// The handler of the administration socket; its reactor has the ``AdminDesk``.
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

    /// The response to a refused request, in the contract's words.
    package static func refusal(_ refusal: HTTPRefusal) -> OutgoingResponse {
        var fields = refusal.fields
        fields.append("Content-Type", "application/json")
        // The request may succeed a moment later, so no cache may keep the refusal.
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
