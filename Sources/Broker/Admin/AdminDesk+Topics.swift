internal import WSTransport

/// The topics there are, and what is published to them.
extension AdminDesk {
    /// The longest that publications are counted for one question, in seconds.
    private static let maximumSeconds = 60.0
    /// So many questions may have publications counted at once.
    private static let maximumMeters = 8

    /// A topic is known when it has a retained value, somebody subscribes to it by name, or something was published to
    /// it while it was counted.
    func topics(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let filter = try filter(question)
        let seconds = question.seconds ?? 0
        guard (0...Self.maximumSeconds).contains(seconds) else {
            throw Refusal(.badRequest, "seconds: expected 0 to \(Int(Self.maximumSeconds)), found \(seconds).")
        }
        guard seconds > 0 else { return gatherTopics(filter, rates: [], seconds: 0, then) }
        guard shard.meters.count < Self.maximumMeters else {
            throw Refusal(.limitExceeded, "Too many administrators count publications already.")
        }
        nextMeter += 1
        let number = nextMeter
        everyone.ask(from: shard) {
            $0.meters[number] = TopicMeter(filter: filter)
        } then: { [self] _ in
            shard.reactor.run(afterNanoseconds: Int64(seconds * 1e9)) { [self] in
                everyone.ask(from: shard) {
                    $0.meters.removeValue(forKey: number)?.counts
                } then: { [self] counts in
                    gatherTopics(filter, rates: counts.compactMap(\.self), seconds: seconds, then)
                }
            }
        }
    }

    private func gatherTopics(
        _ filter: TopicFilter?, rates: [[Topic: TopicMeter.Count]], seconds: Double, _ then: @escaping Completion
    ) {
        everyone.ask(from: shard) {
            $0.filters(coveredBy: filter)
        } then: { [self] answers in
            var known: [Topic: TopicRow] = [:]
            for count in FilterCount.merge(answers) {
                guard let topic = count.filter.literalTopic else { continue }
                known[topic, default: TopicRow()].subscriptions = count.clients
            }
            for (topic, count) in rates.joined() {
                known[topic, default: TopicRow()].published.messages += count.messages
                known[topic, default: TopicRow()].published.bytes += count.bytes
            }
            var retained = 0
            scan(filter ?? .everything, after: nil) { message in
                known[message.topic, default: TopicRow()].message = message
                retained += 1
                return retained < Self.maximumRows
            } then: { end in
                then(
                    end.map { isFinished in
                        let sorted = known.sorted { $0.key.name < $1.key.name }
                        return AdminAnswer(
                            list: sorted.prefix(Self.maximumRows).map { $0.value.describe($0.key, seconds: seconds) },
                            isTruncated: !isFinished || sorted.count > Self.maximumRows)
                    })
            }
        }
    }
}

/// What is known of one topic.
private struct TopicRow {
    var subscriptions = 0
    var message: Message?
    var published = TopicMeter.Count()

    /// - Parameter seconds: how long publications were counted; 0: they were not.
    func describe(_ topic: Topic, seconds: Double) -> [UInt8] {
        AdminAnswer { writer in
            writer.member("topic", topic.name)
            writer.member("subscriptions", subscriptions)
            writer.member("retained", message != nil)
            if let message {
                writer.member("bytes", message.payload.count)
                writer.member("seq", message.seq)
                writer.member("time", message.time)
            }
            if seconds > 0 {
                writer.member("messagesPerSecond", Double(published.messages) / seconds)
                writer.member("bytesPerSecond", Double(published.bytes) / seconds)
            }
        }.json
    }
}
