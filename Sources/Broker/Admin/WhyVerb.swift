internal import WSTransport

extension WhyRequest: PeerRequest {
    static var isAudited: Bool { false }
    var concerned: String? { client }

    func gather(_ own: Answer, of name: String, _ others: [PeerAnswer<Answer>], missing: [String]) -> Answer { own }

    private static let mostMessages = 1000

    func answerHere(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let topic = try caller.desk.topic(topic)
        guard (1...Self.mostMessages).contains(limit) else {
            throw Refusal(.badRequest, "limit: expected 1 to \(Self.mostMessages), found \(limit).")
        }
        let name = client
        let missing = Refusal(
            .notFound, "There is no client \(AuditEvent.clip(name)); brokerctl events --client shows its history.")
        guard let number = Client.number(named: name) else { throw missing }
        caller.desk.everyone.ask(from: caller.desk.shard) { [limit] shard in
            shard.flight(of: topic, for: number, atMost: limit)
        } then: { parts in
            guard var answer = parts.compactMap(\.answer).first else { return then(.failure(missing)) }
            // The client's own reactor has the best record of messages; a publication may be refused on any reactor.
            let refused = parts.filter { $0.answer == nil }.flatMap(\.refused)
            answer.messages = Array((answer.messages + refused).sorted { $0.time < $1.time }.suffix(limit))
            then(.success(answer))
        }
    }
}

extension Shard {
    /// One reactor's record of a topic's last messages.
    ///
    /// - Returns: an answer if the client is on this reactor, else the refused publications.
    fileprivate func flight(
        of topic: Topic, for number: UInt64, atMost limit: Int
    ) -> (answer: WhyRequest.Answer?, refused: [WhyRequest.Message]) {
        let place = recorder.number(of: topic)
        let records = recorder.last(limit) { $0.topic == place && ($0.act == .published || $0.act == .refused) }
        guard let session = session(ofClient: number) else {
            return (nil, records.filter { $0.act == .refused }.map(WhyRequest.Message.init(refused:)))
        }
        let notes = recorder.last(100_000) { record in
            record.client == number && record.act != .published && record.act != .refused
        }
        let (client, connection) = (session.client, session.connection)
        var answer = WhyRequest.Answer()
        answer.user = client.principal.user
        answer.address = client.address
        answer.protocolName = client.protocolName
        (answer.isAllowed, answer.rule) = right(of: client, to: topic)
        answer.isBehind = session.subscriptions.isBehind
        answer.pendingBytes = connection?.unsentBytes ?? 0
        answer.unacknowledgedBytes = connection?.kernelBytes ?? 0
        answer.since = recorder.since
        let subscriptions = session.subscriptions.all
        answer.filters = subscriptions.map { WhyRequest.Filter($0, topic) }
        let story = Story(
            client: number, subscriptions: subscriptions.filter { $0.filter.matches(topic) }, notes: notes,
            cursor: session.subscriptions.ledger?.cursor,
            isAcknowledged: answer.pendingBytes == 0 && answer.unacknowledgedBytes == 0)
        answer.messages = records.map { record in
            if record.act == .refused { return WhyRequest.Message(refused: record) }
            var message = WhyRequest.Message(record)
            (message.outcome, message.reason) = story.outcome(of: record)
            return message
        }
        return (answer, [])
    }

    /// Whether a client may subscribe to a topic, and the rule or the reason.
    private func right(of client: Client, to topic: Topic) -> (Bool, String) {
        let (subject, grant) = standing(of: client)
        guard let explanation = try? AccessExplanation(access.rules, subject, by: grant, .subscribe, topic.name) else {
            return (false, "")
        }
        let said = ExplainAccessRequest.Answer(
            explanation, access.rules, written: configuration.access.rules.count)
        guard said.isAllowed else {
            return (false, [said.reason, said.denier].compactMap(\.self).joined(separator: ": "))
        }
        let line = said.lines.first { $0.matches && !$0.isDenial }
        // Rules do not apply to clients of the admin socket.
        return (true, line.map { "\($0.rule): \($0.template)" } ?? "it came through the admin socket")
    }
}

/// A reactor's record of one client, from which the fate of a message is derived.
private struct Story {
    let client: UInt64
    /// The subscriptions that match the topic.
    let subscriptions: [Subscription]
    /// The records about the client, in order.
    let notes: [FlightRecorder.Record]
    /// The client was sent everything up to this number; `nil` if it is not behind.
    let cursor: UInt64?
    let isAcknowledged: Bool

    func outcome(of record: FlightRecorder.Record) -> (word: String, reason: String) {
        let seq = record.seq
        if subscriptions.isEmpty { return ("unmatched", "none of the client's filters matches") }
        if notes.contains(where: { $0.act == .dropped && $0.seq == seq }) {
            return ("dropped", "dropped by the client's policy, because it was too slow")
        }
        if let gap = notes.first(where: { $0.act == .gap && $0.topic < seq && seq <= $0.seq }) {
            return ("gap", "the client was told that messages from \(gap.topic + 1) to \(gap.seq) are missing")
        }
        if let cursor, seq > cursor { return ("waiting", "waiting: the client has not received earlier messages") }
        let due = subscriptions.filter { $0.position < seq }
        if due.isEmpty { return ("earlier", "it was published before the subscription began") }
        if record.client == client, due.allSatisfy(\.skipsOwn) {
            return ("own", "the client published it, and does not receive its own messages")
        }
        let end = isAcknowledged ? ", and its TCP has acknowledged it" : "; its TCP has not acknowledged all yet"
        let last = notes.last { ($0.act == .behind || $0.act == .live) && $0.seq < seq }
        if last?.act == .behind { return (word, "sent when the client had caught up" + end) }
        return (word, "sent at once" + end)
    }

    private var word: String { isAcknowledged ? "acknowledged" : "sent" }
}

extension WhyRequest.Message {
    fileprivate init(_ record: FlightRecorder.Record) {
        self.init()
        seq = record.seq
        time = record.time
        from = record.client == 0 ? nil : Client.name(record.client)
    }

    fileprivate init(refused record: FlightRecorder.Record) {
        self.init(record)
        outcome = "refused"
        let codes = ErrorCode.allCases
        let code = Int(record.count) < codes.count ? codes[Int(record.count)] : .internal
        reason = "refused, so no client received it: \(code.rawValue)"
    }
}

extension WhyRequest.Filter {
    fileprivate init(_ subscription: Subscription, _ topic: Topic) {
        self.init()
        filter = subscription.filter.name
        matches = subscription.filter.matches(topic)
        since = subscription.position
        if !matches { reason = Self.difference(filter, topic) }
    }

    /// Why a filter does not match a topic.
    private static func difference(_ filter: String, _ topic: Topic) -> String {
        let wanted = filter.split(separator: "/", omittingEmptySubsequences: false)
        let found = topic.levels
        if topic.isReserved, wanted.first == "#" || wanted.first == "+" {
            return "wildcards at the beginning do not match topics with $"
        }
        for (place, level) in wanted.enumerated() where level != "#" {
            guard place < found.count else { return "the topic has only \(found.count) levels" }
            if level != "+", level != found[place] {
                return "level \(place + 1) is \"\(found[place])\", not \"\(level)\""
            }
        }
        return "the topic has more levels"
    }
}

extension TraceRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let filter = try caller.desk.filter(filter)
        var wanted: UInt64?
        if let client {
            guard let number = Client.number(named: client) else {
                throw Refusal(.notFound, "There is no client \(AuditEvent.clip(client)).")
            }
            wanted = number
        }
        caller.desk.everyone.ask(from: caller.desk.shard) { [number, isLast, wanted] shard in
            shard.trace(number, filter, wanted, isLast: isLast)
        } then: { parts in
            let taken = parts.compactMap(\.self)
            guard taken.count == parts.count else {
                return then(.failure(Refusal(.limitExceeded, "Too many traces are in progress.")))
            }
            var lines = LogLines()
            lines.lines = taken.flatMap(\.entries).sorted { $0.moment < $1.moment }.map(\.line)
            lines.missed = taken.reduce(0) { $0 + $1.missed }
            then(.success(lines))
        }
    }

    static var isAudited: Bool { false }
}

extension Shard {
    /// The entries of a trace since its last request; `nil` if there are too many traces.
    fileprivate func trace(
        _ number: UInt64, _ filter: TopicFilter?, _ client: UInt64?, isLast: Bool
    ) -> (entries: [TraceTap.Entry], missed: Int)? {
        let wasTraced = recorder.isTraced
        let tap = recorder.tap(number) {
            TraceTap(number: number, filter: filter, client: client, now: reactor.now)
        }
        guard let tap else { return nil }
        if !wasTraced { endOldTraces() }
        defer { if isLast { recorder.removeTap(number) } }
        return tap.take(now: reactor.now)
    }

    /// Removes abandoned traces: an administrator may disconnect without a last request.
    private func endOldTraces() {
        reactor.run(afterNanoseconds: TraceTap.patience) { [weak self] in
            guard let self else { return }
            if recorder.removeOldTaps(now: reactor.now) { endOldTraces() }
        }
    }
}
