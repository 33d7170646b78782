internal import WSTransport

/// Checks the host name and the origin of every request of a listener before anything else.
///
/// An attacker may point a DNS name at this machine (DNS rebinding). Under that name the attacker's page has the same
/// origin as the broker. Therefore the broker answers only to names that cannot be an attacker's, and to those that the
/// administrator lists. Runs on one reactor.
final class OriginGate {
    private unowned let shard: Shard
    private let endpoints: EndpointState
    private let address: ListenAddress
    private let isSecure: Bool
    private let forwarded: Settings.Forwarded
    /// Whether the listener's certificate covers a name.
    private let isCertified: (String) -> Bool
    private let journal: Journal
    /// The version of the settings for which the cached decisions were made.
    private var version = -1
    /// The decisions for the last request, of any client.
    private var knownHost: String?
    private var knownOrigin: Decision?

    /// An object, because each request looks at it, and would copy all of it.
    private final class Decision {
        let origin: String
        let host: String?
        let scheme: String?
        let fields: HTTPFields

        init(origin: String, host: String?, scheme: String?, fields: HTTPFields) {
            self.origin = origin
            self.host = host
            self.scheme = scheme
            self.fields = fields
        }
    }

    /// - Parameters:
    ///   - isSecure: whether the listener has TLS.
    ///   - forwarded: which fields of a trusted proxy are used.
    ///   - isCertified: whether the listener's certificate covers a name.
    init(
        shard: Shard, address: ListenAddress, isSecure: Bool, forwarded: Settings.Forwarded = .none, journal: Journal,
        isCertified: @escaping (String) -> Bool
    ) {
        self.shard = shard
        endpoints = shard.endpoints
        self.address = address
        self.isSecure = isSecure
        self.forwarded = forwarded
        self.journal = journal
        self.isCertified = isCertified
    }

    /// Fields of every response.
    static let standardFields = Array(
        """
        X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\nVary: Origin\r\n
        """.utf8)

    /// The fields for the response, and the refusal if there is one.
    ///
    /// - Parameters:
    ///   - fields: the request's fields, as far as they were parsed.
    ///   - host: the host in the request; `nil` if it names none.
    func inspect(_ fields: HTTPFields, host: String?, stream: StreamConnection) -> Inspection? {
        if version != endpoints.version {
            (version, knownHost, knownOrigin) = (endpoints.version, nil, nil)
        }
        guard forwarded != .none, endpoints.trusts(stream.peer) else {
            return inspect(fields, host, nil, From(stream, stream.peer))
        }
        let (client, scheme) = ForwardedPath.found(in: fields, forwarded, endpoints.settings.trustedProxies)
        var found = inspect(fields, host, scheme, From(stream, client ?? stream.peer)) ?? Inspection()
        found.client = client
        return found
    }

    /// The connection and the client of a request.
    private struct From {
        let stream: StreamConnection
        let client: SocketAddress?

        init(_ stream: StreamConnection, _ client: SocketAddress?) {
            self.stream = stream
            self.client = client
        }
    }

    /// - Parameter scheme: the scheme according to a trusted proxy; `nil` if there is none.
    private func inspect(_ fields: HTTPFields, _ host: String?, _ scheme: String?, _ from: From) -> Inspection? {
        if let refusal = refusal(of: host, from) { return Inspection(refusal: refusal) }
        guard fields.has(.origin) else { return nil }
        guard fields.count(of: .origin) == 1 else {
            return Inspection(refusal: HTTPRefusal(Refusal(.badRequest, "More than one Origin header.")))
        }
        // Checked before a string is made.
        if let known = knownOrigin, fields.bytes(ofFirst: .origin).hasSameBytes(as: known.origin.utf8Span.span),
            known.host == host, known.scheme == scheme
        {
            return Inspection(fields: known.fields)
        }
        var origin = fields.first(.origin) ?? ""
        if origin.utf8.count > 2 * Self.longestName { origin = Self.part(of: origin) }
        let page = OriginPolicy.Page(origin: origin, host: host, isSecure: isSecure, scheme: scheme)
        let decision = endpoints.settings.origins.decision(on: page)
        guard decision != .refused else { return objection(to: origin, host: host, fields, from) }
        var answered: HTTPFields = [
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "ETag, Last-Modified, Retry-After",
        ]
        if decision == .allowedWithCredentials { answered.append("Access-Control-Allow-Credentials", "true") }
        knownOrigin = Decision(origin: origin, host: host, scheme: scheme, fields: answered)
        return Inspection(fields: answered)
    }

    // MARK: Pages

    private func objection(
        to origin: String, host: String?, _ fields: HTTPFields, _ from: From
    ) -> Inspection {
        shard.counters.refusedOrigins.add(1)
        journal.tell(
            .warning, "refused a page: its origin is not listed in origins", once: "origin \(origin)", of: .clients,
            [("origin", origin), ("host", host ?? "")])
        tell(.originRefused, origin, from)
        let sentence = "The origin \(origin) may not connect to \(host ?? "this broker"): add it to origins."
        // A page cannot see why a handshake is refused, so the handler sends the reason in a Close frame, where it must
        // be short.
        guard !fields.hasToken(HTTPWord("websocket"), in: .upgrade) else {
            return Inspection(objection: HTTPRefusal(Refusal(.forbidden, sentence)))
        }
        let advice = " A proxy must pass on the Host field unchanged."
        return Inspection(refusal: HTTPRefusal(Refusal(.forbidden, sentence + advice)))
    }

    // MARK: Names

    /// The longest host with its port, and some room, in bytes.
    private static let longestName = 270

    private static func part(of text: String) -> String {
        String(decoding: text.utf8.prefix(longestName), as: UTF8.self) + "…"
    }

    private func refusal(of host: String?, _ from: From) -> HTTPRefusal? {
        if let host, host == knownHost { return nil }
        guard case .known(let listed) = endpoints.settings.hosts, case .internet = address else { return nil }
        guard let host, !host.isEmpty else {
            // A client of HTTP/1.0; browsers always send a host.
            return address.isLoopback
                ? nil : refuse("", from, "The request has no host name, and this broker requires one.")
        }
        // RFC 1035 §2.3.4: no name is longer; a part of it is told.
        guard host.utf8.count <= Self.longestName else {
            let part = Self.part(of: host)
            return refuse(part, from, "\(part) is not a host name.")
        }
        guard let name = HostAndPort(host)?.withoutRoot else {
            return refuse(host, from, "\(host) is not a host name.")
        }
        if name.isLoopback && (address.isLoopback || !name.isAddress)
            || listed.contains(where: { $0.matches(name.host) })
        {
            knownHost = host
            return nil
        }
        if isOwn(name, from.stream) { return nil }
        return refuse(host, from, "This broker does not answer to the name \(name.host): add it to hosts.")
    }

    private func refuse(_ host: String, _ from: From, _ message: String) -> HTTPRefusal {
        shard.counters.refusedHosts.add(1)
        journal.tell(
            .warning, "refused a request: its host name is not listed in hosts",
            once: "host \(host)", of: .clients, [("host", host)])
        tell(.hostRefused, host, from)
        return HTTPRefusal(status: 421, code: ErrorCode.forbidden.rawValue, message: message)
    }

    private func tell(_ name: AuditEvent.Name, _ target: String, _ from: From) {
        func event() -> AuditEvent {
            var event = AuditEvent(name, target: target)
            event.address = from.client?.description
            return event
        }
        shard.reactor[AuditTally.self]?.count(AuditTally.Matter(name, of: from.stream.token), event())
        shard.reactor[EventStream.self]?.tell(.refused) { event in
            event.isLogged = false
            event.address = from.client?.description
            event.add("by", name == .hostRefused ? "host" : "origin")
            event.add("target", target)
        }
    }

    private func isOwn(_ name: HostAndPort, _ stream: StreamConnection) -> Bool {
        if name.isAddress {
            let literal = name.host.hasPrefix("[") ? String(name.host.dropFirst().dropLast()) : name.host
            guard let asked = SocketAddress(host: literal, port: 0), let own = stream.localAddress else { return false }
            return asked.host.withoutMapping == own.host.withoutMapping
        }
        if isSecure { return isCertified(name.host) }
        return !address.isLoopback && name.host == Machine.name.lowercased()
    }
}

extension String {
    /// The IPv4 address of an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2); other texts are unchanged.
    fileprivate var withoutMapping: String { hasPrefix("::ffff:") && contains(".") ? String(dropFirst(7)) : self }
}

/// Handles every request before its route: refuses those that ``OriginGate`` objects to, and answers CORS preflights.
struct PreflightHandler: DirectHandler {
    let routing: Routing

    func handle(_ exchange: HTTPExchange) {
        if let objection = exchange.objection { return exchange.refuseVisibly(objection) }
        if exchange.request.method == "OPTIONS" { answerPreflight(exchange) }
        routing.handle(exchange)
    }

    /// Answers the preflight that a browser sends before a request that is not simple (Fetch §3.2).
    private func answerPreflight(_ exchange: HTTPExchange) {
        let fields = exchange.request.head.fields
        guard fields.first("Origin") != nil, fields.first("Access-Control-Request-Method") != nil else { return }
        exchange.extraFields.append("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE")
        if let asked = fields.first("Access-Control-Request-Headers") {
            exchange.extraFields.append("Access-Control-Allow-Headers", asked)
        }
        exchange.extraFields.append("Access-Control-Max-Age", "600")
    }
}
