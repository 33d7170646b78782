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
        desk.everyone.ask(from: desk.shard, patiently: { $0.countFilters(coveredBy: filter, $1) }) { answers in
            desk.work {
                TopicCounts(answers, rates)
            } then: { counts in
                switch counts {
                case .success(let counts): addValues(desk, filter, to: counts, then)
                case .failure(let refusal): then(.failure(refusal))
                }
            }
        }
    }

    /// Adds the retained values, and answers.
    private func addValues(
        _ desk: AdminDesk, _ filter: TopicFilter?, to counts: TopicCounts,
        _ then: @escaping (Result<Answer, Refusal>) -> Void
    ) {
        var values: [Topic: TopicSummary.Retained] = [:]
        desk.scan(filter ?? .everything, after: nil) { message in
            values[message.topic] = .init(bytes: message.payload.count, seq: message.number, time: message.time)
            return values.count < AdminDesk.maximumRows
        } then: { end in
            let isFinished: Bool
            do throws(Refusal) { isFinished = try end.get() } catch { return then(.failure(error)) }
            let (found, seconds) = (values, seconds)
            desk.work {
                counts.list(found, isWhole: isFinished, seconds: seconds)
            } then: {
                then($0)
            }
        }
    }
}

/// The topics that are subscribed to by name or were published to.
private struct TopicCounts: Sendable {
    private var known: [Topic: TopicSummary] = [:]
    private var published: [Topic: TopicMeter.Count] = [:]

    /// - Parameters:
    ///   - filters: those of each shard.
    ///   - rates: the publications on each shard.
    init(_ filters: [[FilterCount]], _ rates: [[Topic: TopicMeter.Count]]) {
        for count in filters.joined() {
            guard let topic = count.filter.literalTopic else { continue }
            known[topic, default: TopicSummary()].subscriptions += count.clients
        }
        for (topic, count) in rates.joined() {
            known[topic] = known[topic] ?? TopicSummary()
            published[topic, default: TopicMeter.Count()].messages += count.messages
            published[topic, default: TopicMeter.Count()].bytes += count.bytes
        }
    }

    /// The rows of an answer, in the order of the topics' names.
    ///
    /// - Parameters:
    ///   - isWhole: whether `values` has all retained values.
    ///   - seconds: how long publications were counted; 0: they were not.
    func list(
        _ values: [Topic: TopicSummary.Retained], isWhole: Bool, seconds: Double
    ) -> AdminList<TopicSummary> {
        var all = known
        for (topic, value) in values { all[topic, default: TopicSummary()].retained = value }
        let sorted = all.sorted { $0.key.name < $1.key.name }
        let rows = sorted.prefix(AdminDesk.maximumRows).map { topic, summary in
            var row = summary
            row.topic = topic.name
            guard seconds > 0 else { return row }
            let count = published[topic] ?? TopicMeter.Count()
            row.rate = .init(
                messagesPerSecond: Double(count.messages) / seconds, bytesPerSecond: Double(count.bytes) / seconds)
            return row
        }
        return AdminList(rows, isTruncated: !isWhole || sorted.count > AdminDesk.maximumRows)
    }
}
