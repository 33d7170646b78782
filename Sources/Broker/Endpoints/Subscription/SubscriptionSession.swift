internal import WSTransport

/// A subscription socket: messages of one filter as JSON objects, read-only.
final class SubscriptionSession: ClientSocket {
    static let subprotocol = "broker.subscription.v1"

    init(
        shard: Shard, socket: WebSocketConnection, client: Client, filter: TopicFilter, options: SubscribeOptions
    ) {
        super.init(shard: shard, socket: socket, client: client, lanes: shard.endpoints.forms.subscription)
        if shard.isAhead(options.since) {
            shard.afterReaching(options.since) { [self] in subscribe(filter, options) }
        } else {
            subscribe(filter, options)
        }
    }

    private func subscribe(_ filter: TopicFilter, _ options: SubscribeOptions) {
        do throws(Refusal) {
            let seq = try shard.subscribe(self, to: filter, options)
            if !subscriptions.isBehind { sendLive(filter, seq: seq) }
        } catch {
            closeWith(error)
        }
    }
}
