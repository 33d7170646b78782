internal import WSTransport

/// One client of `broker.v1.json`.
///
/// The contract's §3.
final class JSONSession: ClientSocket {
    static let subprotocol = "broker.v1.json"
    /// How many lines of one frame may be no JSON before its sender is taken for a stranger.
    private static let maximumBroken = 100

    init(shard: Shard, socket: WebSocketConnection, client: Client) {
        super.init(shard: shard, socket: socket, client: client, form: .json)
        welcome()
    }

    private func welcome() {
        var writer = JSONWriter(capacity: 128)
        writer.beginObject()
        writer.member("op", "welcome")
        writer.member("client", client.name)
        writer.member("server", "broker/\(BrokerVersion.current)")
        writer.member("keepalive", shard.settings.keepalive.interval.map { Int($0.components.seconds) } ?? 0)
        writer.member("maximumMessage", shard.settings.limits.message)
        writer.member("epoch", shard.store.epoch)
        writer.endObject()
        socket.send(.text, writer.bytes)
    }

    override func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        guard opcode == .text else {
            return socket.close(.unsupportedData, reason: "broker.v1.json is text")
        }
        var offset = 0
        var isEmpty = true
        var broken = 0
        while offset < payload.count, socket.readyState == .open {
            var scanner = JSONScanner(payload, from: offset)
            do throws(JSONError) {
                guard let object = try scanner.nextObject() else { break }
                isEmpty = false
                offset = scanner.offset
                answer(object)
            } catch {
                isEmpty = false
                fail(nil, Refusal(.badRequest, "Not a JSON object: \(error)."))
                broken += 1
                guard broken < Self.maximumBroken else {
                    return socket.close(.badRequest, reason: "\(broken) broken lines in one frame")
                }
                // The next line may be in order again.
                while offset < payload.count, payload[offset] <= 32 { offset += 1 }
                while offset < payload.count, payload[offset] != 10 { offset += 1 }
            }
        }
        if isEmpty { fail(nil, Refusal(.badRequest, "The frame holds no JSON object.")) }
    }

    private func answer(_ object: borrowing JSONObject) {
        var id: [UInt8]?
        do throws(Refusal) {
            id = try object.identifier()
            switch try JSONCommand(object, limits: shard.settings.topicLimits) {
            case .subscribe(let filters, let options):
                try subscribe(filters, id, options)
            case .unsubscribe(let filters):
                try unsubscribe(filters, id)
            case .publish(let draft):
                try publish(draft, id)
            case .ping:
                send("pong", id) { _ in }
            }
        } catch {
            fail(id, error)
        }
    }

    private func subscribe(
        _ filters: [TopicFilter], _ id: [UInt8]?, _ options: SubscribeOptions
    ) throws(Refusal) {
        // All or nothing: what is certain to be refused is refused before anything is changed.
        let new =
            filters.count > 1
            ? Set(filters).filter { !subscriptions.contains($0) }.count
            : filters.first.map { subscriptions.contains($0) ? 0 : 1 } ?? 0
        let most = shard.settings.limits.subscriptionsPerClient
        guard subscriptions.count + new <= most else {
            shard.counters.subscriptionLimit.add(1)
            throw Refusal(.limitExceeded, "More than \(most) subscriptions for one client.")
        }
        for filter in filters where !client.identity.permissions.allowsSubscribe(to: filter) {
            throw Refusal(.forbidden, "You may not subscribe to \(filter).")
        }
        var position: UInt64?
        var live: [(TopicFilter, UInt64)] = []
        for filter in filters {
            let seq = try shard.subscribe(self, to: filter, options)
            position = min(position ?? seq, seq)
            if !options.hasBeginning { live.append((filter, seq)) }
        }
        if let position, id != nil {
            send("ok", id) { writer in
                writer.member("seq", position)
                writer.member("epoch", shard.store.epoch)
            }
        }
        for (filter, seq) in live { sendLive(filter, seq: seq) }
    }

    private func unsubscribe(_ filters: [TopicFilter], _ id: [UInt8]?) throws(Refusal) {
        for filter in filters where !subscriptions.contains(filter) {
            throw Refusal(.notFound, "There is no subscription to \(filter).")
        }
        for filter in filters { _ = shard.unsubscribe(self, from: filter) }
        if id != nil { send("ok", id) { _ in } }
    }

    private func publish(_ draft: consuming Draft, _ id: [UInt8]?) throws(Refusal) {
        try shard.checkPublish(client, to: draft.topic)
        draft.origin = client.id
        draft.completion = { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let receipt):
                guard id != nil else { return }
                send("ok", id) { writer in
                    writer.member("seq", receipt.seq)
                    writer.member("stored", receipt.isStored)
                }
            case .failure(let refusal):
                fail(id, refusal)
            }
        }
        shard.publish(draft, from: stream)
    }

    private func fail(_ id: [UInt8]?, _ refusal: Refusal) {
        shard.counters.errors.add(1)
        send("error", id) { writer in
            writer.member("code", refusal.code.rawValue)
            writer.member("message", refusal.message)
        }
    }

    private func send(_ operation: String, _ id: [UInt8]?, _ members: (inout JSONWriter) -> Void) {
        var writer = JSONWriter(capacity: 96)
        writer.beginObject()
        writer.member("op", operation)
        if let id { writer.member("id", raw: id.span) }
        members(&writer)
        writer.endObject()
        socket.send(.text, writer.bytes)
    }
}
