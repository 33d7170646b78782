internal import WSTransport

/// The three kinds of WebSocket a listener serves.
struct Sockets {
    let isAdministrative: Bool
    private static let topicParameters = ["retain", "ttl", "echo"] + HTTPExchange.subscribeParameters

    /// Of `/ws`: many subscriptions, JSON.
    func json() -> any DirectHandler {
        upgrade { (exchange, request, shard) throws(HTTPRefusal) in
            try exchange.takesOnly([])
            let identity = try identity(exchange, shard)
            return Admission(
                subprotocol: request.chosen(JSONSession.subprotocol), options: shard.objectOptions
            ) { socket in
                JSONSession(
                    shard: shard, socket: socket, client: client(shard, identity, socket, JSONSession.subprotocol))
            }
        }
    }

    /// Of `/t/TOPIC`: one topic, both ways.
    func topic() -> any DirectHandler {
        upgrade { (exchange, request, shard) throws(HTTPRefusal) in
            try exchange.takesOnly(Self.topicParameters)
            let identity = try identity(exchange, shard)
            let topic = try exchange.topic(shard.settings.topicLimits)
            try checkSubscribe(identity, TopicFilter(topic))
            var options = TopicSession.Options()
            options.isRetaining = try exchange.flag("retain") ?? false
            let timeToLive = try exchange.timeToLive()
            options.subscribe = try exchange.subscribeOptions()
            options.subscribe.hearsItself = try exchange.flag("echo") ?? true
            // Only a notice could say what was dropped.
            guard options.subscribe.slow == .close else {
                throw HTTPRefusal(Refusal(.badRequest, "slow: a topic socket knows close only."))
            }
            return Admission(
                subprotocol: request.chosen(TopicSession.subprotocol), options: shard.socketOptions
            ) { [options] socket in
                let client = client(shard, identity, socket, "topic")
                guard let timeToLive else {
                    return TopicSession(shard: shard, socket: socket, client: client, topic: topic, options: options)
                }
                return ExpiringTopicSession(
                    shard: shard, socket: socket, client: client, topic: topic, options: options,
                    timeToLive: timeToLive)
            }
        }
    }

    /// Of `/s/FILTER`: one filter, read only.
    func subscription() -> any DirectHandler {
        upgrade { (exchange, request, shard) throws(HTTPRefusal) in
            try exchange.takesOnly(HTTPExchange.subscribeParameters)
            let identity = try identity(exchange, shard)
            let filter = try exchange.filter(shard.settings.topicLimits)
            try checkSubscribe(identity, filter)
            let options = try exchange.subscribeOptions()
            return Admission(
                subprotocol: request.chosen(SubscriptionSession.subprotocol), options: shard.socketOptions
            ) { socket in
                SubscriptionSession(
                    shard: shard, socket: socket, client: client(shard, identity, socket, "subscription"),
                    filter: filter, options: options)
            }
        }
    }

    private func upgrade(
        _ admit: @escaping @Sendable (HTTPExchange, Handshake.Request, Shard) throws(HTTPRefusal) -> Admission
    ) -> any DirectHandler {
        ws.upgrade { (exchange, request) throws(HTTPRefusal) in
            let shard = try exchange.shard()
            do throws(HTTPRefusal) {
                return try admit(exchange, request, shard)
            } catch {
                guard let told = Admission(turningDown: request, error, shard.socketOptions) else { throw error }
                return told
            }
        }
    }

    private func identity(_ exchange: HTTPExchange, _ shard: Shard) throws(HTTPRefusal) -> Identity {
        if shard.isDraining { throw HTTPRefusal(Refusal(.unavailable, "The broker is shutting down.")) }
        return try FrontDoor.identity(of: exchange, on: shard, isAdministrative: isAdministrative)
    }

    private func checkSubscribe(_ identity: Identity, _ filter: TopicFilter) throws(HTTPRefusal) {
        guard identity.permissions.allowsSubscribe(to: filter) else {
            throw HTTPRefusal(Refusal(.forbidden, "You may not subscribe to \(filter)."))
        }
    }

    private func client(
        _ shard: Shard, _ identity: Identity, _ socket: WebSocketConnection, _ protocolName: String
    ) -> Client {
        shard.makeClient(identity, peer: socket.stream.peer, protocolName: protocolName)
    }
}

/// Serves WebSocket requests by one handler and all others by another, on the same path.
struct SocketOr: DirectHandler {
    let socket: any DirectHandler
    let other: any DirectHandler

    func handle(_ exchange: HTTPExchange) {
        (Handshake.isUpgrade(exchange.request.head) ? socket : other).handle(exchange)
    }
}

extension Handshake.Request {
    /// `subprotocol`, where it is offered.
    fileprivate func chosen(_ subprotocol: String) -> String? { subprotocols.contains(subprotocol) ? subprotocol : nil }
}

extension Admission {
    /// Opens the socket of a page that is turned down, only to close it with the reason; `nil`: a status tells it.
    ///
    /// A browser keeps from its page every answer but 101.
    init?(turningDown request: Handshake.Request, _ refusal: HTTPRefusal, _ options: WebSocketConnection.Options) {
        guard request.origin != nil, let code = CloseCode(status: refusal.status) else { return nil }
        // A browser whose offer is not answered makes 1006 of everything; a token is not repeated.
        let answered = request.subprotocols.first { !$0.hasPrefix("bearer.") }
        self.init(subprotocol: answered, options: options) { socket in
            socket.close(code, reason: refusal.message)
            return Farewell()
        }
        isRefusal = true
    }
}

/// The session of a page that is being told why it may not come in.
private final class Farewell: WebSocketSession {
    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {}
    func closed(_ event: CloseEvent) {}
}

extension CloseCode {
    /// What stands for the status of a refused request; `nil`: nothing does.
    fileprivate init?(status: Int) {
        switch status {
        case 400: self = .badRequest
        case 401: self = .unauthenticated
        case 403: self = .forbidden
        case 429: self = .tooManyMessages
        case 503: self = .tryAgainLater
        default: return nil
        }
    }
}
