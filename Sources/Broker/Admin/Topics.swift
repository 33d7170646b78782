internal import Synchronization
internal import WSTransport

extension TopicsRequest: PeerRequest {
    var patience: Int64 { 3_000_000_000 + Int64(min(max(seconds, 0), Self.maximumSeconds) * 1e9) }

    func gather(_ own: Answer, of name: String, _ others: [PeerAnswer<Answer>], missing: [String]) -> Answer {
        // All brokers have the same retained values; each knows its own subscribers and publishers.
        var known: [String: TopicSummary] = [:]
        for row in own.elements { known[row.topic] = row }
        for row in others.flatMap(\.answer.elements) {
            guard var sum = known[row.topic] else {
                known[row.topic] = row
                continue
            }
            sum.subscriptions += row.subscriptions
            sum.retained = sum.retained ?? row.retained
            if let rate = row.rate {
                sum.rate = .init(
                    messagesPerSecond: (sum.rate?.messagesPerSecond ?? 0) + rate.messagesPerSecond,
                    bytesPerSecond: (sum.rate?.bytesPerSecond ?? 0) + rate.bytesPerSecond)
            }
            known[row.topic] = sum
        }
        let sorted = known.values.sorted { $0.topic < $1.topic }
        var list = AdminList(sorted, atMost: AdminDesk.maximumRows)
        list.isTruncated = list.isTruncated || own.isTruncated || others.contains { $0.answer.isTruncated }
        list.missing = missing
        return list
    }

    /// The longest time that publications are counted for one request, in seconds.
    private static let maximumSeconds = 60.0
    /// How many requests may count publications at the same time.
    private static let maximumMeters = 8

    /// Lists topics that have a retained value, are subscribed to by name, or were published to while they were
    /// counted.
    func answerHere(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let desk = caller.desk
        let filter = try desk.filter(filter)
        guard (0...Self.maximumSeconds).contains(seconds) else {
            throw Refusal(.badRequest, "seconds: expected 0 to \(Int(Self.maximumSeconds)), found \(seconds).")
        }
        guard seconds > 0 else { return gather(desk, filter, rates: [], then) }
        guard desk.shard.meters.count < Self.maximumMeters else {
            throw Refusal(.limitExceeded, "Too many requests are already counting publications.")
        }
        let number = desk.facts.administration.lastMeter.wrappingAdd(1, ordering: .relaxed).newValue
        desk.everyone.ask(from: desk.shard) {
            $0.meters[number] = TopicMeter(filter: filter)
        } then: { _ in
            desk.shard.reactor.run(afterNanoseconds: Int64(seconds * 1e9)) {
                desk.everyone.ask(from: desk.shard) {
                    $0.meters.removeValue(forKey: number)?.counts
                } then: { counts in
                    gather(desk, filter, rates: counts.compactMap(\.self), then)
                }
            }
        }
    }

    private func gather(
        _ desk: AdminDesk, _ filter: TopicFilter?, rates: [[Topic: TopicMeter.Count]],
        _ then: @escaping (Result<Answer, Refusal>) -> Void
    ) {
        desk.everyone.ask(from: desk.shard) {
            $0.filters(coveredBy: filter)
        } then: { answers in
            var known: [Topic: TopicSummary] = [:]
            for count in FilterCount.merge(answers) {
                guard let topic = count.filter.literalTopic else { continue }
                known[topic, default: TopicSummary()].subscriptions = count.clients
            }
            var published: [Topic: TopicMeter.Count] = [:]
            for (topic, count) in rates.joined() {
                known[topic] = known[topic] ?? TopicSummary()
                published[topic, default: TopicMeter.Count()].messages += count.messages
                published[topic, default: TopicMeter.Count()].bytes += count.bytes
            }
            var retained = 0
            desk.scan(filter ?? .everything, after: nil) { message in
                known[message.topic, default: TopicSummary()].retained = .init(
                    bytes: message.payload.count, seq: message.number, time: message.time)
                retained += 1
                return retained < AdminDesk.maximumRows
            } then: { end in
                then(
                    end.map { isFinished in
                        let sorted = known.sorted { $0.key.name < $1.key.name }
                        let rows = sorted.prefix(AdminDesk.maximumRows).map { topic, summary in
                            row(topic, summary, published[topic] ?? TopicMeter.Count())
                        }
                        return AdminList(rows, isTruncated: !isFinished || sorted.count > AdminDesk.maximumRows)
                    })
            }
        }
    }

    private func row(_ topic: Topic, _ summary: TopicSummary, _ published: TopicMeter.Count) -> TopicSummary {
        var row = summary
        row.topic = topic.name
        if seconds > 0 {
            row.rate = .init(
                messagesPerSecond: Double(published.messages) / seconds,
                bytesPerSecond: Double(published.bytes) / seconds)
        }
        return row
    }
}
