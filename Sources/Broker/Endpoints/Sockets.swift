internal import WSTransport

/// The three kinds of WebSocket a listener serves.
struct Sockets {
    let isAdministrative: Bool

    /// Of `/ws`: many subscriptions, JSON.
    func json() -> any DirectHandler {
        ws.upgrade { (exchange, request) throws(HTTPRefusal) in
            let shard = try exchange.shard()
            let identity = try identity(exchange, shard)
            let isOffered = request.subprotocols.contains(JSONSession.subprotocol)
            return Admission(
                subprotocol: isOffered ? JSONSession.subprotocol : nil, options: shard.socketOptions
            ) { socket in
                JSONSession(
                    shard: shard, socket: socket, client: client(shard, identity, socket, JSONSession.subprotocol))
            }
        }
    }

    /// Of `/t/TOPIC`: one topic, both ways.
    func topic() -> any DirectHandler {
        ws.upgrade { (exchange, _) throws(HTTPRefusal) in
            let shard = try exchange.shard()
            let identity = try identity(exchange, shard)
            let topic = try exchange.topic(shard.settings.topicLimits)
            try checkSubscribe(identity, TopicFilter(topic))
            var options = TopicSession.Options()
            options.isRetaining = try exchange.flag("retain") ?? false
            options.subscribe = try exchange.subscribeOptions()
            options.subscribe.hearsItself = try exchange.flag("echo") ?? true
            // Only a notice could say what was dropped.
            guard options.subscribe.slow == .close else {
                throw HTTPRefusal(Refusal(.badRequest, "slow: a topic socket knows close only."))
            }
            return Admission(options: shard.socketOptions) { [options] socket in
                TopicSession(
                    shard: shard, socket: socket, client: client(shard, identity, socket, "topic"), topic: topic,
                    options: options)
            }
        }
    }

    /// Of `/s/FILTER`: one filter, read only.
    func subscription() -> any DirectHandler {
        ws.upgrade { (exchange, _) throws(HTTPRefusal) in
            let shard = try exchange.shard()
            let identity = try identity(exchange, shard)
            let filter = try exchange.filter(shard.settings.topicLimits)
            try checkSubscribe(identity, filter)
            let options = try exchange.subscribeOptions()
            return Admission(options: shard.socketOptions) { socket in
                SubscriptionSession(
                    shard: shard, socket: socket, client: client(shard, identity, socket, "subscription"),
                    filter: filter, options: options)
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
