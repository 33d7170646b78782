internal import WSTransport

extension RetainedGetRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let topic = try caller.desk.topic(topic)
        guard let message = try caller.desk.shard.sequencer.value(of: topic) else {
            throw Refusal(.notFound, "\(topic) has no retained value.")
        }
        then(
            .success(
                RetainedValue { writer in
                    writer.member("kind", message.kind.administrativeName)
                    if isExact {
                        message.writeExactly(to: &writer)
                    } else {
                        MessageObject.write(value: message, to: &writer)
                    }
                }))
    }
}
