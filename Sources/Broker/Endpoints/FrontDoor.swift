internal import WSTransport

/// What every request passes before its endpoint: where it comes from, what it presents, CORS.
struct FrontDoor: DirectHandler {
    /// The administrator's socket: no origins, every right.
    let isAdministrative: Bool
    let routing: Routing

    func handle(_ exchange: HTTPExchange) {
        let fields = exchange.request.head.fields
        if let origin = fields.first("Origin") {
            guard allows(origin, fields.first("Host") ?? "", exchange) else {
                return exchange.refuse(
                    Refusal(.forbidden, "The origin \(origin) is not on the list of allowed origins."))
            }
            exchange.extraFields.append("Access-Control-Allow-Origin", origin)
            exchange.extraFields.append("Vary", "Origin")
            if exchange.request.method == "OPTIONS", fields.first("Access-Control-Request-Method") != nil {
                exchange.extraFields.append("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE")
                if let asked = fields.first("Access-Control-Request-Headers") {
                    exchange.extraFields.append("Access-Control-Allow-Headers", asked)
                }
                exchange.extraFields.append("Access-Control-Max-Age", "600")
            } else {
                exchange.extraFields.append("Access-Control-Expose-Headers", "ETag, Last-Modified")
            }
        }
        routing.handle(exchange)
    }

    private func allows(_ origin: String, _ host: String, _ exchange: HTTPExchange) -> Bool {
        (try? exchange.shard())?.settings.origins.contains { $0.allows(origin, host: host) } ?? false
    }

    /// Who is asking.
    ///
    /// Credentials are refused until there are users: silence would look like a success.
    static func identity(of exchange: HTTPExchange, on shard: Shard, isAdministrative: Bool) throws(HTTPRefusal)
        -> Identity
    {
        if isAdministrative { return Identity(user: nil, permissions: .all) }
        let fields = exchange.request.head.fields
        let offered = fields.list("Sec-WebSocket-Protocol")
        let presents =
            fields.first("Authorization") != nil || offered.contains { $0.hasPrefix("bearer.") }
            || exchange.request.parameter("token") != nil
        guard !presents else {
            throw HTTPRefusal(Refusal(.unauthenticated, "Users and tokens are not available in this version."))
        }
        return Identity(user: nil, permissions: shard.anonymous)
    }
}

extension HTTPRefusal {
    init(_ refusal: Refusal) {
        self.init(status: refusal.code.status, code: refusal.code.rawValue, message: refusal.message)
    }
}

extension HTTPExchange {
    func refuse(_ refusal: Refusal) { refuse(HTTPRefusal(refusal)) }

    /// The topic in the path, behind the route's prefix.
    func topic(_ limits: TopicLimits) throws(HTTPRefusal) -> Topic {
        guard let name = PercentCoding.decode(value) else {
            throw HTTPRefusal(Refusal(.badTopic, "The topic is not percent-encoded UTF-8."))
        }
        do throws(TopicError) {
            return try Topic(name, limits: limits)
        } catch {
            throw HTTPRefusal(Refusal(.badTopic, "topic: \(error)"))
        }
    }

    /// The filter in the path, behind the route's prefix.
    func filter(_ limits: TopicLimits) throws(HTTPRefusal) -> TopicFilter {
        guard let name = PercentCoding.decode(value) else {
            throw HTTPRefusal(Refusal(.badFilter, "The filter is not percent-encoded UTF-8."))
        }
        do throws(TopicError) {
            return try TopicFilter(name, limits: limits)
        } catch {
            throw HTTPRefusal(Refusal(.badFilter, "filter: \(error)"))
        }
    }

    /// A query parameter that is on or off; there without a value it is on.
    func flag(_ name: String) throws(HTTPRefusal) -> Bool? {
        switch request.parameter(name) {
        case nil: return nil
        case "", "true", "1": return true
        case "false", "0": return false
        case .some(let other):
            throw HTTPRefusal(Refusal(.badRequest, "\(name): expected true or false, found \"\(other)\"."))
        }
    }

    /// How the query wants to subscribe.
    func subscribeOptions() throws(HTTPRefusal) -> SubscribeOptions {
        var options = SubscribeOptions()
        options.wantsSnapshot = try flag("snapshot") ?? true
        if let text = request.parameter("since") { options.since = try Self.resumePoint(text, named: "since") }
        if let text = request.parameter("slow") {
            guard let slow = SlowPolicy(rawValue: text) else {
                throw HTTPRefusal(Refusal(.badRequest, "slow: \(SlowPolicy.expectation), found \"\(text)\"."))
            }
            options.slow = slow
        }
        return options
    }

    /// A `seq`, alone or behind an epoch.
    static func resumePoint(_ text: String, named name: String) throws(HTTPRefusal) -> ResumePoint {
        guard let point = ResumePoint(text) else {
            throw HTTPRefusal(Refusal(.badRequest, "\(name): \(ResumePoint.expectation), found \"\(text)\"."))
        }
        return point
    }
}

extension SlowPolicy {
    /// What a message says of a word that is none of these.
    static var expectation: String { "expected close, drop-oldest or latest" }
}

extension ResumePoint {
    /// What a message says of a text that is none.
    static var expectation: String { "expected SEQ or EPOCH-SEQ" }
}
