internal import WSTransport

extension RetainedListRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let filter = try caller.desk.filter(filter) ?? .everything
        var rows: [RetainedSummary] = []
        var last: Topic?
        // Values in memory have no place in the store's order, so all of them are in the first page.
        if after == nil {
            let ephemerals = caller.desk.shard.sequencer.ephemerals(matching: filter)
            rows = ephemerals.sorted { $0.topic.name < $1.topic.name }.map { RetainedSummary($0) }
        }
        let ephemerals = rows.count
        caller.desk.scan(filter, after: after.flatMap { storedTopic(Array($0.utf8)) }) { message in
            rows.append(RetainedSummary(message))
            last = message.topic
            return rows.count - ephemerals < AdminDesk.maximumRows
        } then: { end in
            then(
                end.map { isFinished in
                    AdminList(rows, isTruncated: !isFinished, next: isFinished ? nil : last?.name)
                })
        }
    }
}

extension RetainedSummary {
    fileprivate init(_ message: Message) {
        self.init()
        topic = message.topic.name
        seq = message.number
        time = message.time
        bytes = message.payload.count
        kind = message.kind.administrativeName
        type = message.contentType
        if message.expiry != 0 { expires = message.expiry }
        isEphemeral = message.isEphemeral
    }
}
