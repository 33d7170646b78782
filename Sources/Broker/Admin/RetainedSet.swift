internal import WSTransport

extension RetainedSetRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let settings = caller.desk.shard.settings
        var draft = try draft(topic: try caller.desk.topic(topic, limits: settings.topicLimits))
        let most = settings.limits.message
        guard draft.payload.count <= most else {
            throw Refusal(.tooLarge, "The value has \(draft.payload.count) bytes, limits.message allows \(most).")
        }
        draft.contentType = type
        try ContentType.check(type)
        if let kind {
            draft.kind = try checked(kind, of: draft.payload.array)
        } else if type != nil, draft.kind == .text {
            draft.kind = ContentType.kind(of: draft.payload.span, type: type)
        }
        if let properties {
            draft.properties = try Self.read(properties, settings.topicLimits)
        }
        if let timeToLive { draft.timeToLive = try Lifetime.milliseconds(seconds: timeToLive) }
        if let expires {
            let (rest, isNonsense) = expires.subtractingReportingOverflow(Lifetime.now)
            guard rest > 0, !isNonsense else { return then(.success(.expired)) }
            draft.timeToLive = rest
        }
        try caller.desk.publish(draft, from: caller.source) { result in
            then(result.map { .set(seq: $0.seq, isStored: $0.isStored) })
        }
    }

    private static func read(_ properties: [UInt8], _ limits: TopicLimits) throws(Refusal) -> MessageProperties? {
        guard let object = try? JSONObject.parse(properties.span) else {
            throw Refusal(.badRequest, "The headers cannot be read.")
        }
        return try JSONCommand.properties(object, limits)
    }

    private func draft(topic: Topic) throws(Refusal) -> Draft {
        let (bytes, kind): ([UInt8], Message.Kind)
        switch data {
        case .json(let value): (bytes, kind) = (value, .json)
        case .text(let text): (bytes, kind) = (text, .text)
        case nil: throw Refusal(.badRequest, "data is missing.")
        }
        guard let encoding else { return Draft(topic: topic, payload: bytes, kind: kind) }
        guard encoding == "base64" else {
            throw Refusal(.badRequest, "encoding: expected \"base64\", found \"\(encoding)\".")
        }
        guard let decoded = Base64.decode(String(decoding: bytes, as: UTF8.self)) else {
            throw Refusal(.badRequest, "data: expected a string of base64.")
        }
        return Draft(topic: topic, payload: decoded, kind: .binary)
    }

    /// The kind with this name, if the data can be of that kind.
    private func checked(_ name: String, of payload: [UInt8]) throws(Refusal) -> Message.Kind {
        let isJSON = if case .json = data { true } else { false }
        switch name {
        case "text" where !isJSON && String(validating: payload, as: UTF8.self) != nil: return .text
        case "json" where JSONScanner.validate(payload.span): return .json
        case "binary": return .binary
        case "text", "json": throw Refusal(.badRequest, "data: not valid for the kind \(name).")
        default: throw Refusal(.badRequest, "kind: expected text, json or binary, found \"\(name)\".")
        }
    }
}
