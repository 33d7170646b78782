internal import WSTransport

/// `POST`, `PUT`, `GET`, `HEAD` and `DELETE` of `/t/TOPIC`.
struct TopicEndpoint {
    let shard: Shard
    let isAdministrative: Bool

    private func client(_ exchange: HTTPExchange) throws(HTTPRefusal) -> Client {
        let identity = try FrontDoor.identity(of: exchange, on: shard, isAdministrative: isAdministrative)
        // One client for the connection, so that its rate is one rate.
        if let known = exchange.attachment as? Client { return known }
        let client = shard.makeClient(identity, peer: exchange.request.peer, protocolName: "http")
        exchange.attachment = client
        return client
    }

    // MARK: Publishing

    func publish(_ exchange: HTTPExchange) throws(HTTPRefusal) {
        let client = try client(exchange)
        let topic = try exchange.topic(shard.settings.topicLimits)
        for name in ["since", "slow"] where exchange.request.parameter(name) != nil {
            throw HTTPRefusal(Refusal(.badRequest, "\(name): a publication has none."))
        }
        var draft = Draft(topic: topic, payload: [], kind: .text)
        draft.isRetained = try exchange.flag("retain") ?? false
        draft.acknowledgement = try acknowledgement(exchange, isRetained: draft.isRetained)
        draft.condition = try condition(exchange, isRetained: draft.isRetained)
        draft.contentType = exchange.request.head.fields.first("Content-Type")
        try refuse { () throws(Refusal) in
            try Content.check(draft.contentType)
            if let text = exchange.request.parameter("ttl") {
                guard let seconds = Double(text) else {
                    throw Refusal(.badRequest, "ttl: expected seconds, found \"\(text)\".")
                }
                draft.timeToLive = try Content.timeToLive(seconds: seconds)
            }
            try shard.checkPublish(client, to: topic)
        }
        guard exchange.request.head.fields.first("Content-Encoding") == nil else {
            throw HTTPRefusal(Refusal(.badRequest, "Content-Encoding is not available in this version."))
        }
        exchange.readBody(maximum: shard.settings.limits.message) { [draft] body in
            var draft = draft
            draft.payload = body
            draft.kind = Content.kind(of: body, type: draft.contentType)
            draft.completion = { result in
                switch result {
                case .success(let receipt): exchange.respond(Self.answer(receipt))
                case .failure(let refusal): exchange.refuse(refusal)
                }
            }
            shard.publish(draft, from: exchange.stream)
        }
    }

    private static func answer(_ receipt: Receipt) -> OutgoingResponse {
        OutgoingResponse(
            contentType: "application/json", text: "{\"seq\":\(receipt.seq),\"stored\":\(receipt.isStored)}\n")
    }

    private func acknowledgement(_ exchange: HTTPExchange, isRetained: Bool) throws(HTTPRefusal)
        -> Draft.Acknowledgement
    {
        switch exchange.request.parameter("ack") {
        case nil: return isRetained ? .stored : .routed
        case "routed": return .routed
        case "stored": return .stored
        case .some(let other):
            throw HTTPRefusal(Refusal(.badRequest, "ack: expected routed or stored, found \"\(other)\"."))
        }
    }

    private func condition(_ exchange: HTTPExchange, isRetained: Bool) throws(HTTPRefusal) -> Draft.Condition {
        let fields = exchange.request.head.fields
        let (match, noneMatch) = (fields.list("If-Match"), fields.list("If-None-Match"))
        guard !match.isEmpty || !noneMatch.isEmpty else { return .none }
        guard isRetained else {
            throw HTTPRefusal(Refusal(.badRequest, "If-Match and If-None-Match need retain."))
        }
        guard match.isEmpty || noneMatch.isEmpty else {
            throw HTTPRefusal(Refusal(.badRequest, "If-Match and If-None-Match exclude each other."))
        }
        if !noneMatch.isEmpty {
            guard noneMatch == ["*"] else {
                throw HTTPRefusal(Refusal(.badRequest, "If-None-Match: expected * for a publication."))
            }
            return .absent
        }
        if match == ["*"] { return .matches(Self.anySeq) }
        return .matches(try Self.seqs(match))
    }

    /// Stands for `If-Match: *`: an empty list, which ``Sequencer`` takes for "any value".
    private static let anySeq: [UInt64] = []

    private static func seqs(_ tags: [String]) throws(HTTPRefusal) -> [UInt64] {
        var seqs: [UInt64] = []
        for tag in tags {
            guard tag.utf8.count > 2, tag.hasPrefix("\""), tag.hasSuffix("\"") else {
                throw HTTPRefusal(Refusal(.badRequest, "If-Match: expected \"SEQ\" in quotation marks, found \(tag)."))
            }
            // A tag that is no number of ours is well-formed and matches nothing.
            seqs.append(UInt64(tag.dropFirst().dropLast()) ?? 0)
        }
        return seqs
    }

    private func refuse(_ body: () throws(Refusal) -> Void) throws(HTTPRefusal) {
        do throws(Refusal) { try body() } catch { throw HTTPRefusal(error) }
    }

    // MARK: The retained value

    func read(_ exchange: HTTPExchange) throws(HTTPRefusal) {
        let client = try client(exchange)
        let topic = try exchange.topic(shard.settings.topicLimits)
        guard client.identity.permissions.allowsSubscribe(to: TopicFilter(topic)) else {
            throw HTTPRefusal(Refusal(.forbidden, "You may not read \(topic)."))
        }
        var found: Message?
        try refuse { () throws(Refusal) in found = try shard.sequencer.value(of: topic) }
        guard let message = found else {
            throw HTTPRefusal(Refusal(.notFound, "\(topic) has no retained value."))
        }
        var fields: HTTPFields = [
            "ETag": "\"\(message.seq)\"",
            "Last-Modified": HTTPDate.format(unixSeconds: message.time / 1000),
            "Cache-Control": "no-cache",
        ]
        guard !isFresh(exchange.request.head.fields, message) else {
            return exchange.respond(OutgoingResponse(status: 304, fields: fields))
        }
        fields.append("Content-Type", message.contentType ?? Content.type(of: message.kind))
        // What somebody published is not to run as a page of this origin.
        fields.append("X-Content-Type-Options", "nosniff")
        fields.append("Content-Security-Policy", "default-src 'none'; sandbox")
        exchange.respond(OutgoingResponse(status: 200, fields: fields, body: message.payload))
    }

    /// RFC 9110 §13.2.2: `If-Modified-Since` counts only without `If-None-Match`.
    private func isFresh(_ fields: HTTPFields, _ message: Message) -> Bool {
        let tags = fields.list("If-None-Match")
        if !tags.isEmpty {
            return tags.contains { tag in
                tag == "*" || (tag.hasPrefix("W/") ? String(tag.dropFirst(2)) : tag) == "\"\(message.seq)\""
            }
        }
        guard let text = fields.first("If-Modified-Since"), let since = HTTPDate.parse(text) else { return false }
        return message.time / 1000 <= since
    }

    func delete(_ exchange: HTTPExchange) throws(HTTPRefusal) {
        let client = try client(exchange)
        let topic = try exchange.topic(shard.settings.topicLimits)
        try refuse { () throws(Refusal) in try shard.checkPublish(client, to: topic) }
        var draft = Draft(topic: topic, payload: [], kind: .binary)
        draft.isRetained = true
        draft.acknowledgement = .stored
        let match = exchange.request.head.fields.list("If-Match")
        draft.condition = match.isEmpty || match == ["*"] ? .present : .matches(try Self.seqs(match))
        draft.completion = { result in
            switch result {
            case .success: exchange.respond(OutgoingResponse(status: 204))
            case .failure(let refusal): exchange.refuse(refusal)
            }
        }
        shard.publish(draft, from: exchange.stream)
    }
}
