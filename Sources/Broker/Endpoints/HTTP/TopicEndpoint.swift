internal import WSTransport

/// `POST`, `PUT`, `GET`, `HEAD` and `DELETE` of `/t/TOPIC`.
struct TopicEndpoint {
    private let exchange: HTTPExchange
    private let shard: Shard
    private let client: Client

    init(_ visit: Visit) {
        exchange = visit.exchange
        shard = visit.shard
        client = visit.client()
    }

    // MARK: Publishing

    private static let publishParameters = ["retain", "ttl", "ack", "reply"]

    func publish() throws(HTTPRefusal) {
        let topic = try exchange.topic(publishedOn: shard)
        try exchange.takesOnly(Self.publishParameters)
        let isRetained = try exchange.flag("retain") ?? false
        let acknowledgement = try acknowledgement(isRetained: isRetained)
        let timeToLive = try exchange.timeToLive()
        let timeout = try exchange.replyTimeout()
        let fields = exchange.request.head.fields
        let conditions = try Preconditions(fields)
        guard isRetained || conditions.isEmpty else {
            throw HTTPRefusal(Refusal(.badRequest, "Conditions need retain, because they test the retained value."))
        }
        let contentType = ContentType.stated(fields.first(.contentType))
        var condition = Draft.Condition.none
        var properties: MessageProperties?
        var key: PublishKey?
        try refuse { () throws(Refusal) in
            try ContentType.check(contentType)
            properties = try HeaderFields.read(fields)
            if let text = fields.first(HTTPWord("Idempotency-Key")) {
                // Which of two keys counts would be a guess, and a wrong one loses the message.
                guard fields.count(of: "Idempotency-Key") == 1 else {
                    throw Refusal(.badRequest, "Idempotency-Key: given twice.")
                }
                key = try PublishKey(text, named: "Idempotency-Key")
            }
            try shard.check(publishingTo: topic, isRetained: isRetained, by: client)
            condition = try conditions.ofPublishing { () throws(Refusal) in try shard.read(topic, by: client) }
        }
        try exchange.checkContentEncoding()
        exchange.readBody(maximum: shard.settings.limits.message) {
            [condition, properties, key, exchange, shard, client] body in
            do throws(Refusal) {
                // One expression: a value that is built step by step is copied on its way.
                let draft = Draft(
                    Message(
                        topic: topic, payload: body, kind: ContentType.kind(of: body, type: contentType),
                        contentType: contentType, properties: properties, isRetained: isRetained, seq: 0, time: 0,
                        origin: client.id),
                    timeToLive: timeToLive, condition: condition, acknowledgement: acknowledgement, key: key
                ) { result in
                    switch result {
                    case .success(let receipt): exchange.respond(Self.answer(receipt))
                    case .failure(let refusal): exchange.refuse(refusal)
                    }
                }
                guard let timeout else { return try shard.publish(draft, by: client, from: exchange.stream) }
                // When the connection has closed, no client waits for the reply.
                exchange.onEnd { [inboxes = shard.inboxes] in inboxes.forget(client.id) }
                try shard.request(draft, by: client, from: exchange.stream, timeout: timeout) { _ in
                } _: { [weak exchange] outcome in
                    exchange?.respond(to: outcome)
                }
            } catch {
                exchange.refuse(error)
            }
        }
    }

    private static func answer(_ receipt: Receipt) -> OutgoingResponse {
        var writer = JSONWriter(capacity: 64)
        writer.begin(object: "{\"seq\":")
        writer.integer(receipt.seq)
        writer.end(object: receipt.isStored ? ",\"stored\":true}\n" : ",\"stored\":false}\n")
        return OutgoingResponse(status: 200, lines: answerLines, body: writer.bytes)
    }

    private static let answerLines = Array("Content-Type: application/json\r\n".utf8)

    private func acknowledgement(isRetained: Bool) throws(HTTPRefusal) -> Draft.Acknowledgement {
        switch exchange.request.parameter("ack") {
        case nil: return isRetained ? .stored : .routed
        case "routed": return .routed
        case "stored": return .stored
        case .some(let other):
            throw HTTPRefusal(Refusal(.badRequest, "ack: expected routed or stored, found \"\(other)\"."))
        }
    }

    private func refuse(_ body: () throws(Refusal) -> Void) throws(HTTPRefusal) {
        do throws(Refusal) { try body() } catch { throw HTTPRefusal(error) }
    }

    // MARK: The retained value

    // Topic limits apply to new messages only: values that were stored earlier can be read and removed.

    func read() throws(HTTPRefusal) {
        try exchange.takesOnly([])
        let topic = try exchange.topic(.none)
        var found: Message?
        try refuse { () throws(Refusal) in found = try shard.read(topic, by: client) }
        guard let message = found else {
            _ = try exchange.topic(shard.settings.topicLimits)
            throw HTTPRefusal(Refusal(.notFound, "\(topic) has no retained value."))
        }
        // The broker's own figures have no numbers that tell one value from the next.
        let outcome =
            topic.isSystem ? .go : try Preconditions(exchange.request.head.fields).outcome(ofReading: message)
        var fields = HTTPFields()
        fields.append("Last-Modified", HTTPDate.format(unixSeconds: ServedValues.all.dateToShow(message)))
        fields.append("Cache-Control", client.principal.kind == .anonymous ? "no-cache" : "private, no-cache")
        if !topic.isSystem { fields.append("ETag", "\"\(message.number)\"") }
        switch outcome {
        case .go: break
        case .isFresh: return exchange.respond(OutgoingResponse(status: 304, fields: fields))
        case .fails:
            throw HTTPRefusal(Refusal(.conflict, "The retained value of \(topic) has seq \(message.number)."))
        }
        fields.append("Content-Type", message.contentType ?? ContentType.type(of: message.kind))
        HeaderFields.add(message.properties, to: &fields)
        // A published payload must not run as a page of this origin.
        fields.append("Content-Security-Policy", "default-src 'none'; sandbox")
        exchange.respond(OutgoingResponse(status: 200, fields: fields, body: message.payload.array))
    }

    func delete() throws(HTTPRefusal) {
        try exchange.takesOnly([])
        let topic = try exchange.topic(.none)
        let conditions = try Preconditions(exchange.request.head.fields)
        var draft = Draft(topic: topic, payload: [], kind: .binary)
        draft.isRetained = true
        draft.acknowledgement = .stored
        try refuse { () throws(Refusal) in
            try shard.check(draft, by: client)
            draft.condition = try conditions.ofRemoving { () throws(Refusal) in try shard.read(topic, by: client) }
        }
        do throws(HTTPRefusal) {
            _ = try exchange.topic(shard.settings.topicLimits)
        } catch {
            guard let value = try? shard.sequencer.value(of: topic), !value.payload.isEmpty else { throw error }
        }
        draft.completion = { [exchange] result in
            switch result {
            case .success: exchange.respond(OutgoingResponse(status: 204))
            case .failure(let refusal): exchange.refuse(refusal)
            }
        }
        try refuse { [draft] () throws(Refusal) in try shard.publish(draft, by: client, from: exchange.stream) }
    }
}

extension HTTPExchange {
    /// How long the query asks to wait for a reply, in milliseconds; `nil` if it does not ask for one.
    fileprivate func replyTimeout() throws(HTTPRefusal) -> Int64? {
        guard let text = request.parameter("reply") else { return nil }
        guard let time = Rewind.milliseconds(text), 1...Inboxes.maximumTimeout ~= time else {
            let most = "\(Inboxes.maximumTimeout / 1000)s"
            throw HTTPRefusal(
                Refusal(.badRequest, "reply: expected a duration up to \(most) such as 2s, found \"\(text)\"."))
        }
        return time
    }

    /// Responds with the reply to a request.
    fileprivate func respond(to outcome: Inboxes.Outcome) {
        switch outcome {
        case .failed(let refusal): refuse(refusal)
        case .late(let time):
            refuse(
                HTTPRefusal(
                    status: 504, code: ErrorCode.unavailable.rawValue, message: "No reply within \(time) ms."))
        case .reply(let message):
            var fields: HTTPFields = [
                "Content-Type": message.contentType ?? ContentType.type(of: message.kind), "Cache-Control": "no-store",
                "Content-Security-Policy": "default-src 'none'; sandbox",
            ]
            HeaderFields.add(message.properties, to: &fields)
            respond(OutgoingResponse(status: 200, fields: fields, body: message.payload.array))
        }
    }
}
