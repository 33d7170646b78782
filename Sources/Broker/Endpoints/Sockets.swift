internal import WSTransport

/// The three kinds of WebSocket a listener serves.
enum Sockets {
    private static let topicParameters = ["retain", "ttl", "echo"] + HTTPExchange.subscribeParameters

    /// Of `/ws`: many subscriptions, JSON.
    static func json(_ visit: Visit) throws(HTTPRefusal) {
        let (exchange, shard) = (visit.exchange, visit.shard)
        try exchange.takesOnly([])
        exchange.upgrade { request in
            Admission(
                subprotocol: request.chosen(JSONSession.subprotocol), options: shard.endpoints.settings.objectOptions
            ) { socket in
                JSONSession(shard: shard, socket: socket, client: visit.makeClient(JSONSession.subprotocol))
            }
        }
    }

    /// Of `/t/TOPIC`: one topic, both ways.
    static func topic(_ visit: Visit) throws(HTTPRefusal) {
        let (exchange, shard) = (visit.exchange, visit.shard)
        try exchange.takesOnly(topicParameters)
        let topic = try exchange.topic(shard.settings.topicLimits)
        let client = visit.makeClient("topic")
        try checkSubscribe(shard, client, TopicFilter(topic))
        var options = TopicSession.Options()
        options.isRetaining = try exchange.flag("retain") ?? false
        let timeToLive = try exchange.timeToLive()
        options.subscribe = try exchange.subscribeOptions()
        options.subscribe.hearsItself = try exchange.flag("echo") ?? true
        // Only a notice could say what was dropped.
        guard options.subscribe.slow == .close else {
            throw HTTPRefusal(Refusal(.badRequest, "slow: a topic socket supports only close."))
        }
        exchange.upgrade { [options] request in
            Admission(
                subprotocol: request.chosen(TopicSession.subprotocol), options: shard.endpoints.settings.socketOptions
            ) { socket in
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
    static func subscription(_ visit: Visit) throws(HTTPRefusal) {
        let (exchange, shard) = (visit.exchange, visit.shard)
        try exchange.takesOnly(HTTPExchange.subscribeParameters)
        let filter = try exchange.filter(shard.settings.topicLimits)
        let client = visit.makeClient("subscription")
        try checkSubscribe(shard, client, filter)
        let options = try exchange.subscribeOptions()
        exchange.upgrade { request in
            Admission(
                subprotocol: request.chosen(SubscriptionSession.subprotocol),
                options: shard.endpoints.settings.socketOptions
            ) { socket in
                SubscriptionSession(shard: shard, socket: socket, client: client, filter: filter, options: options)
            }
        }
    }

    /// The session asks again, when it is too late for a status.
    private static func checkSubscribe(
        _ shard: Shard, _ client: Client, _ filter: TopicFilter
    ) throws(HTTPRefusal) {
        do throws(Refusal) { try shard.checkSubscribe(client, to: filter) } catch { throw HTTPRefusal(error) }
    }
}

extension Handshake.Request {
    /// `subprotocol`, where it is offered.
    fileprivate func chosen(_ subprotocol: String) -> String? { subprotocols.contains(subprotocol) ? subprotocol : nil }
}
