internal import WSTransport

/// The three kinds of WebSocket that a listener serves.
enum Sockets {
    private static let topicParameters =
        ["retain", "ttl", "echo", "ephemeral", "grace"] + HTTPExchange.subscribeParameters

    /// `/ws`: many subscriptions, in JSON or MessagePack.
    static func json(_ visit: Visit) throws(HTTPRefusal) {
        let (exchange, shard) = (visit.exchange, visit.shard)
        try exchange.takesOnly([])
        let subprotocols = [JSONSession.subprotocol, JSONSession.packedSubprotocol]
        let wanted = exchange.request.head.fields.tokens("Sec-WebSocket-Protocol").first(where: subprotocols.contains)
        let subprotocol = wanted ?? JSONSession.subprotocol
        let client = try visit.makeClient(subprotocol)
        // Needed if the client authenticates later.
        shard.endpoints.gates[visit.gate.listener] = visit.gate
        let settings = shard.endpoints.settings
        let options = shard.mustAuthenticate(client) ? settings.unauthenticatedOptions : settings.objectOptions
        let chosen = try exchange.chosen(subprotocol)
        exchange.upgrade { _ in
            Admission(subprotocol: chosen, options: options) { socket in
                JSONSession(
                    shard: shard, socket: socket, client: client,
                    isPacked: subprotocol == JSONSession.packedSubprotocol)
            }
        }
    }

    /// `/t/TOPIC`: one topic, publishing and subscribing.
    static func topic(_ visit: Visit) throws(HTTPRefusal) {
        let (exchange, shard) = (visit.exchange, visit.shard)
        try exchange.takesOnly(topicParameters)
        let topic = try exchange.topic(shard.settings.topicLimits)
        let client = try visit.makeClient("topic")
        try checkSubscribe(shard, client, TopicFilter(topic))
        var options = TopicSession.Options()
        let timeToLive = try exchange.timeToLive()
        let lease = try exchange.lease()
        guard timeToLive == nil || lease == nil else {
            throw HTTPRefusal(Refusal(.badRequest, "ephemeral: expected without ttl."))
        }
        options.isRetaining = try exchange.flag("retain") ?? false || lease != nil
        options.subscribe = try exchange.subscribeOptions()
        options.subscribe.hearsItself = try exchange.flag("echo") ?? true
        // A topic socket has no notices, which other policies need to report dropped messages.
        guard options.subscribe.slow == .close else {
            throw HTTPRefusal(Refusal(.badRequest, "slow: a topic socket supports only close."))
        }
        let chosen = try exchange.chosen(TopicSession.subprotocol)
        exchange.upgrade { [options] _ in
            Admission(subprotocol: chosen, options: shard.endpoints.settings.socketOptions) { socket in
                if let lease {
                    return EphemeralTopicSession(
                        shard: shard, socket: socket, client: client, topic: topic, options: options, lease: lease)
                }
                guard let timeToLive else {
                    return TopicSession(shard: shard, socket: socket, client: client, topic: topic, options: options)
                }
                return ExpiringTopicSession(
                    shard: shard, socket: socket, client: client, topic: topic, options: options,
                    timeToLive: timeToLive)
            }
        }
    }

    /// `/s/FILTER`: one filter, read-only.
    static func subscription(_ visit: Visit) throws(HTTPRefusal) {
        let (exchange, shard) = (visit.exchange, visit.shard)
        try exchange.takesOnly(HTTPExchange.subscribeParameters)
        let filter = try exchange.filter(shard.settings.topicLimits)
        let client = try visit.makeClient("subscription")
        try checkSubscribe(shard, client, filter)
        let options = try exchange.subscribeOptions()
        let chosen = try exchange.chosen(SubscriptionSession.subprotocol)
        exchange.upgrade { _ in
            Admission(subprotocol: chosen, options: shard.endpoints.settings.socketOptions) { socket in
                SubscriptionSession(shard: shard, socket: socket, client: client, filter: filter, options: options)
            }
        }
    }

    /// Checks the right to subscribe early, while the refusal can still be a status; the session checks it again.
    private static func checkSubscribe(
        _ shard: Shard, _ client: Client, _ filter: TopicFilter
    ) throws(HTTPRefusal) {
        do throws(Refusal) { try shard.checkSubscribe(client, to: filter) } catch { throw HTTPRefusal(error) }
    }
}

extension HTTPExchange {
    /// `subprotocol`, if it is offered.
    ///
    /// Refuses an offer of tokens only: a token is never repeated, and without a chosen subprotocol a browser reports
    /// 1006. It is called before the upgrade, so that a page gets the reason in a CLOSE.
    fileprivate func chosen(_ subprotocol: String) throws(HTTPRefusal) -> String? {
        let fields = request.head.fields
        guard fields.has(.webSocketProtocol) else { return nil }
        let offered = fields.list("Sec-WebSocket-Protocol")
        if offered.contains(subprotocol) { return subprotocol }
        guard offered.contains(where: Presented.isToken) else { return nil }
        throw HTTPRefusal(
            Refusal(
                .badRequest,
                "Offer the subprotocol \(subprotocol) in addition to bearer.TOKEN, because the broker never selects a token."
            ))
    }
}
