package import WSTransport

extension HTTPExchange {
    /// The shard of the reactor that runs the request.
    ///
    /// Throws if the connection has closed; the answer is not sent then.
    package func shard() throws(HTTPRefusal) -> Shard {
        guard let shard = reactor?[Shard.self] else {
            throw HTTPRefusal(status: 503, code: "unavailable", message: "The connection is gone.")
        }
        return shard
    }

    func refuse(_ refusal: Refusal) { refuse(HTTPRefusal(refusal)) }

    /// The topic in the path, after the route's prefix.
    func topic(_ limits: TopicLimits) throws(HTTPRefusal) -> Topic {
        guard let name = PercentCoding.decode(value) else {
            throw HTTPRefusal(Refusal(.badTopic, "The topic is not percent-encoded UTF-8."))
        }
        do throws(TopicError) {
            return try Topic(name, limits: limits)
        } catch {
            throw HTTPRefusal(Refusal(.badTopic, "topic: \(error)"))
        }
    }

    /// The topic in the path of a publication, checked against the limits of the shard.
    func topic(publishedOn shard: Shard) throws(HTTPRefusal) -> Topic {
        if let name = PercentCoding.decode(value), let topic = shard.topic(named: name.utf8Span.span) { return topic }
        return try topic(shard.settings.topicLimits)
    }

    /// The filter in the path, after the route's prefix.
    func filter(_ limits: TopicLimits) throws(HTTPRefusal) -> TopicFilter {
        guard let name = PercentCoding.decode(value) else {
            throw HTTPRefusal(Refusal(.badFilter, "The filter is not percent-encoded UTF-8."))
        }
        do throws(TopicError) {
            return try TopicFilter(name, limits: limits)
        } catch {
            throw HTTPRefusal(Refusal(.badFilter, "filter: \(error)"))
        }
    }

    /// Refuses query parameters that this request does not use, and repeated ones.
    ///
    /// A misspelt parameter would otherwise look like a success.
    func takesOnly(_ names: [String]) throws(HTTPRefusal) {
        for (place, parameter) in request.query.enumerated() {
            let name = parameter.name
            guard names.contains(name) || name == "token" else {
                throw HTTPRefusal(Refusal(.badRequest, Self.advice(on: name, names)))
            }
            guard !request.query[..<place].contains(where: { $0.name == name }) else {
                throw HTTPRefusal(Refusal(.badRequest, "\(name): given twice."))
            }
        }
    }

    private static func advice(on name: String, _ names: [String]) -> String {
        let shown = name.prefix(100)
        if let nearest = ConfigurationKeys.nearest(to: name, among: names) {
            return "Unknown query parameter \"\(shown)\": did you mean \"\(nearest)\"?"
        }
        let known = names.isEmpty ? "none" : names.joined(separator: ", ")
        return "Unknown query parameter \"\(shown)\"; expected \(known)."
    }

    /// A boolean query parameter; without a value it is `true`.
    func flag(_ name: String) throws(HTTPRefusal) -> Bool? {
        switch request.parameter(name) {
        case nil: return nil
        case "", "true", "1": return true
        case "false", "0": return false
        case .some(let other):
            throw HTTPRefusal(Refusal(.badRequest, "\(name): expected true or false, found \"\(other)\"."))
        }
    }

    /// Refuses a body with a content coding: the broker would deliver it encoded.
    func checkContentEncoding() throws(HTTPRefusal) {
        let fields = request.head.fields
        guard !fields.has(.contentEncoding) || fields.tokens("Content-Encoding").allSatisfy({ $0 == "identity" })
        else {
            throw HTTPRefusal(
                status: 415, code: ErrorCode.badRequest.rawValue,
                message: "Content-Encoding: only identity is supported; payloads are stored unchanged.",
                fields: ["Accept-Encoding": "identity"])
        }
    }

    /// The time to live that the query gives, in milliseconds.
    func timeToLive() throws(HTTPRefusal) -> Int64? {
        guard let text = request.parameter("ttl") else { return nil }
        guard let seconds = Double(decimal: text) else {
            throw HTTPRefusal(Refusal(.badRequest, "ttl: expected seconds, found \"\(text)\"."))
        }
        do throws(Refusal) { return try Lifetime.milliseconds(seconds: seconds) } catch { throw HTTPRefusal(error) }
    }

    /// The lease of ephemeral values in the query; `nil` if the values are not ephemeral.
    func lease() throws(HTTPRefusal) -> Lease? {
        let isEphemeral = try flag("ephemeral") ?? false
        guard let text = request.parameter("grace") else { return isEphemeral ? Lease() : nil }
        guard isEphemeral else { throw HTTPRefusal(Refusal(.badRequest, "grace needs ephemeral.")) }
        guard let seconds = Double(decimal: text) else {
            throw HTTPRefusal(Refusal(.badRequest, "grace: expected seconds, found \"\(text)\"."))
        }
        do throws(Refusal) { return Lease(grace: try Lease.grace(seconds: seconds)) } catch { throw HTTPRefusal(error) }
    }

    /// The parameters of ``subscribeOptions()``.
    static let subscribeParameters = ["since", "snapshot", "slow"]

    /// The options of a subscription in the query.
    func subscribeOptions() throws(HTTPRefusal) -> SubscribeOptions {
        var options = SubscribeOptions()
        options.wantsSnapshot = try flag("snapshot") ?? true
        if let text = request.parameter("since"), !options.setSince(text) {
            throw HTTPRefusal(Refusal(.badRequest, "since: \(SubscribeOptions.sinceExpectation), found \"\(text)\"."))
        }
        if let text = request.parameter("slow") {
            guard let slow = SlowPolicy(rawValue: text) else {
                throw HTTPRefusal(Refusal(.badRequest, "slow: \(SlowPolicy.expectation), found \"\(text)\"."))
            }
            options.slow = slow
        }
        return options
    }

    /// Parses a `seq`, alone or after an epoch.
    static func resumePoint(_ text: String, named name: String) throws(HTTPRefusal) -> ResumePoint {
        guard let point = ResumePoint(text) else {
            throw HTTPRefusal(Refusal(.badRequest, "\(name): \(ResumePoint.expectation), found \"\(text)\"."))
        }
        return point
    }
}

extension Double {
    /// Parses a decimal number such as `90`, `0.5` or `1e3`; `nil` for anything else, such as the hexadecimal numbers
    /// and the words for infinity that Swift reads.
    package init?(decimal text: some StringProtocol) {
        let isDecimal = text.utf8.allSatisfy { 0x30...0x39 ~= $0 || "+-.eE".utf8.contains($0) }
        guard isDecimal, let number = Double(text) else { return nil }
        self = number
    }
}

extension SlowPolicy {
    /// The end of an error message about an unknown word.
    static var expectation: String { "expected close, drop-oldest or latest" }
}

extension ResumePoint {
    /// The end of an error message about a malformed text.
    static var expectation: String { "expected SEQ or EPOCH-SEQ" }
}
