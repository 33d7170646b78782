internal import WSTransport

/// A command of `broker.v1.json`.
///
/// docs/protocol.md describes the operations and their members.
package enum JSONCommand {
    case subscribe([TopicFilter], SubscribeOptions)
    case unsubscribe([TopicFilter])
    case publish(Draft)
    /// A publication that waits for a reply; `timeout` in milliseconds.
    case request(Draft, timeout: Int64)
    case authenticate(Credentials)
    case ping

    /// Parses a command.
    ///
    /// - Parameter maximumFilters: of a longer list of filters, only one more than this is read.
    package init(
        _ object: borrowing JSONObject, limits: TopicLimits, maximumFilters: Int = .max - 1
    ) throws(Refusal) {
        guard let operation = try Self.text("op", of: object) else { throw Refusal(.badRequest, "op is missing.") }
        if operation.says("publish") {
            let draft = try Self.draft(object, limits)
            self =
                if let timeout = try Self.timeout(object) { .request(draft, timeout: timeout) } else { .publish(draft) }
        } else if operation.says("subscribe") {
            self = .subscribe(try Self.filters(object, limits, maximumFilters), try Self.options(object))
        } else if operation.says("unsubscribe") {
            // A subscription that is older than a lowered limit can still be ended.
            self = .unsubscribe(try Self.filters(object, .none, maximumFilters))
        } else if operation.says("ping") {
            self = .ping
        } else if operation.says("authenticate") {
            self = .authenticate(try Self.credentials(object))
        } else {
            throw Refusal(
                .badRequest,
                "op: expected subscribe, unsubscribe, publish, authenticate or ping, found \"\(operation.text)\".")
        }
    }

    /// A member that is a string, for comparison with the words that it may be.
    @_lifetime(copy object)
    private static func text(_ name: JSONName, of object: borrowing JSONObject) throws(Refusal) -> JSONValue? {
        do throws(JSONError) { return try object.text(name) } catch { throw Refusal(.badRequest, "\(error).") }
    }

    private static func read<Value>(_ body: () throws(JSONError) -> Value?) throws(Refusal) -> Value? {
        do throws(JSONError) { return try body() } catch { throw Refusal(.badRequest, "\(error).") }
    }

    private static func credentials(_ object: borrowing JSONObject) throws(Refusal) -> Credentials {
        let token = try read { () throws(JSONError) in try object.string("token") }
        let user = try read { () throws(JSONError) in try object.string("user") }
        let password = try read { () throws(JSONError) in try object.string("password") }
        switch (token, user, password) {
        case (let token?, nil, nil): return .bearer(token)
        case (nil, let user?, let password?): return .basic(user: user, password: password)
        default: throw Refusal(.badRequest, "authenticate: expected token, or user and password.")
        }
    }

    /// The position at which a subscription resumes; `nil` if the object is not a subscription, or names none.
    static func resumePoint(of object: borrowing JSONObject) -> ResumePoint? {
        guard (try? object.string("op")) == "subscribe" else { return nil }
        return (try? options(object))?.since
    }

    private static func options(_ object: borrowing JSONObject) throws(Refusal) -> SubscribeOptions {
        var options = SubscribeOptions()
        options.wantsSnapshot = try read { () throws(JSONError) in try object.bool("snapshot") } ?? true
        options.hearsItself = try read { () throws(JSONError) in try object.bool("echo") } ?? true
        if object.kind(of: "since") == .string {
            let text = try read { () throws(JSONError) in try object.string("since") } ?? ""
            guard options.setSince(text) else {
                throw Refusal(.badRequest, "since: \(SubscribeOptions.sinceExpectation), found \"\(text)\".")
            }
        } else if let seq = try read({ () throws(JSONError) in try object.integer("since", as: UInt64.self) }) {
            options.since = ResumePoint(seq: seq)
        }
        if let text = try read({ () throws(JSONError) in try object.string("slow") }) {
            guard let slow = SlowPolicy(rawValue: text) else {
                throw Refusal(.badRequest, "slow: \(SlowPolicy.expectation), found \"\(text)\".")
            }
            options.slow = slow
        }
        return options
    }

    private static func filters(
        _ object: borrowing JSONObject, _ limits: TopicLimits, _ maximum: Int
    ) throws(Refusal) -> [TopicFilter] {
        guard let value = object.value("filter") else { throw Refusal(.badFilter, "filter is missing.") }
        guard value.kind != .null else {
            throw Refusal(.badFilter, "filter: expected a string or a list of strings, found null.")
        }
        var names: [String] = []
        if value.kind == .array {
            names = try read { () throws(JSONError) in try object.strings("filter", atMost: maximum + 1) } ?? []
            guard !names.isEmpty else { throw Refusal(.badFilter, "filter: the list is empty.") }
        } else {
            names = [try read { () throws(JSONError) in try object.string("filter") } ?? ""]
        }
        var filters: [TopicFilter] = []
        for name in names {
            do throws(TopicError) {
                filters.append(try TopicFilter(name, limits: limits))
            } catch {
                throw Refusal(.badFilter, "filter: \(error)")
            }
        }
        return filters
    }

    /// Parses the publication of a `publish`.
    package static func draft(_ object: borrowing JSONObject, _ limits: TopicLimits) throws(Refusal) -> Draft {
        guard let name = try read({ () throws(JSONError) in try object.string("topic") }) else {
            throw Refusal(.badTopic, "topic is missing.")
        }
        let topic: Topic
        do throws(TopicError) {
            topic = try Topic(name, limits: limits)
        } catch {
            throw Refusal(.badTopic, "topic: \(error)")
        }
        let (payload, kind) = try payload(object)
        let contentType = try read { () throws(JSONError) in try object.string("type") }
        try ContentType.check(contentType)
        let isEphemeral = try read { () throws(JSONError) in try object.bool("ephemeral") } ?? false
        let isRetained = try read { () throws(JSONError) in try object.bool("retain") } ?? false || isEphemeral
        var acknowledgement = isRetained && !isEphemeral ? Draft.Acknowledgement.stored : .routed
        if let asked = try text("ack", of: object) {
            if asked.says("routed") {
                acknowledgement = .routed
            } else if asked.says("stored") {
                acknowledgement = .stored
            } else {
                throw Refusal(.badRequest, "ack: expected \"routed\" or \"stored\", found \"\(asked.text)\".")
            }
        }
        let seconds = try read { () throws(JSONError) in try object.double("ttl") }
        let timeToLive: Int64? = if let seconds { try Lifetime.milliseconds(seconds: seconds) } else { nil }
        var condition = Draft.Condition.none
        if let seq = try read({ () throws(JSONError) in try object.integer("ifSeq", as: UInt64.self) }) {
            guard isRetained else { throw Refusal(.badRequest, "ifSeq needs retain.") }
            condition = seq == 0 ? .absent : .matches([seq])
        }
        if isEphemeral {
            guard timeToLive == nil, object.value("key") == nil else {
                throw Refusal(.badRequest, "ephemeral: expected without ttl and key.")
            }
            condition = .ephemeral(try lease(object, wanted: condition))
        } else if object.value("grace") != nil || object.value("farewell") != nil {
            throw Refusal(.badRequest, "grace and farewell need ephemeral.")
        }
        return Draft(
            topic: topic, payload: payload, kind: kind, contentType: contentType,
            properties: try properties(object, limits), isRetained: isRetained, timeToLive: timeToLive,
            condition: condition, acknowledgement: acknowledgement, key: try key(object))
    }

    /// Parses the lease of an ephemeral value: how long it outlives its connection, and what replaces it.
    private static func lease(_ object: borrowing JSONObject, wanted: Draft.Condition) throws(Refusal) -> Lease {
        let seconds = try read { () throws(JSONError) in try object.double("grace") }
        let grace = if let seconds { try Lease.grace(seconds: seconds) } else { Int64(0) }
        guard let farewell = try member("farewell", of: object) else { return Lease(grace: grace, wanted: wanted) }
        let (payload, kind) = try payload(farewell)
        guard !payload.isEmpty else { throw Refusal(.badRequest, "farewell: its data is empty.") }
        let contentType = try read { () throws(JSONError) in try farewell.string("type") }
        try ContentType.check(contentType)
        return Lease(
            grace: grace, farewell: Lease.Farewell(payload: payload, kind: kind, contentType: contentType),
            wanted: wanted)
    }

    /// A member that is an object.
    @_lifetime(copy object)
    private static func member(_ name: JSONName, of object: borrowing JSONObject) throws(Refusal) -> JSONObject? {
        do throws(JSONError) { return try object.object(name) } catch { throw Refusal(.badRequest, "\(error).") }
    }

    /// How long to wait for a reply, in milliseconds; `nil` if none is requested.
    static func timeout(_ object: borrowing JSONObject) throws(Refusal) -> Int64? {
        guard try read({ () throws(JSONError) in try object.bool("reply") }) ?? false else { return nil }
        guard object.value("replyTo") == nil else {
            throw Refusal(.badRequest, "replyTo: expected without reply, for which the broker chooses the topic.")
        }
        let seconds = try read { () throws(JSONError) in try object.double("timeout") }
        let most = Double(Inboxes.maximumTimeout) / 1000
        guard let seconds else { return Inboxes.usualTimeout }
        guard seconds > 0, seconds <= most else {
            throw Refusal(
                .badRequest,
                "timeout: expected seconds above 0 and up to \(Int(most)), found \(Lifetime.text(seconds: seconds)).")
        }
        return max(1, Int64(seconds * 1000))
    }

    private static func key(_ object: borrowing JSONObject) throws(Refusal) -> PublishKey? {
        guard let text = try read({ () throws(JSONError) in try object.string("key") }) else { return nil }
        return try PublishKey(text, named: "key")
    }

    /// Parses a publication's headers, `replyTo` and `correlation`; `nil` if there are none.
    package static func properties(
        _ object: borrowing JSONObject, _ limits: TopicLimits
    ) throws(Refusal) -> MessageProperties? {
        let headers = try headers(object)
        let correlation = try read { () throws(JSONError) in try object.stringBytes("correlation") }
        var replyTo: Topic?
        if let name = try read({ () throws(JSONError) in try object.string("replyTo") }) {
            do throws(TopicError) {
                replyTo = try Topic(name, limits: limits)
            } catch {
                throw Refusal(.badTopic, "replyTo: \(error)")
            }
        }
        try check(headers)
        guard !headers.isEmpty || replyTo != nil || correlation != nil else { return nil }
        return try MessageProperties(headers: headers, replyTo: replyTo, correlation: correlation)
    }

    /// Refuses headers without a name.
    static func check(_ headers: [MessageProperties.Header]) throws(Refusal) {
        guard headers.allSatisfy({ !$0.name.isEmpty }) else { throw Refusal(.badRequest, "headers: a name is empty.") }
    }

    /// Parses `headers`; a name may have several values.
    private static func headers(_ object: borrowing JSONObject) throws(Refusal) -> [MessageProperties.Header] {
        guard object.kind(of: "headers") != nil else { return [] }
        var headers: [MessageProperties.Header] = []
        do throws(JSONError) {
            guard let members = try object.object("headers") else { return [] }
            for place in 0..<members.count {
                let (name, value) = (members.name(at: place), members.value(at: place))
                if let text = value.string {
                    headers.append(MessageProperties.Header(name: name, value: text))
                    continue
                }
                guard value.kind == .array else {
                    throw value.wrongKind("a string or an array of strings", member: "headers")
                }
                // One more than allowed is read, so that the limit's check refuses it.
                for text in try value.strings(member: "headers", atMost: MessageProperties.maximumCount + 1) {
                    headers.append(MessageProperties.Header(name: name, value: text))
                }
            }
        } catch {
            throw Refusal(.badRequest, "\(error).")
        }
        return headers
    }

    /// Parses `data`: a string is text, any other value is JSON; with `encoding` the string holds encoded bytes.
    private static func payload(_ object: borrowing JSONObject) throws(Refusal) -> ([UInt8], Message.Kind) {
        let encoding = try text("encoding", of: object)
        guard let value = object.value("data") else { throw Refusal(.badRequest, "data is missing.") }
        if let encoding {
            guard encoding.says("base64") else {
                throw Refusal(.badRequest, "encoding: expected \"base64\", found \"\(encoding.text)\".")
            }
            guard let text = value.string, let bytes = Base64.decode(text) else {
                throw Refusal(.badRequest, "data: expected a string of base64.")
            }
            return (bytes, .binary)
        }
        if let text = value.stringBytes { return (text, .text) }
        return (value.copyRawBytes(), .json)
    }
}
