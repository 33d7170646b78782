internal import WSTransport

/// The retained values, and the topics there are.
extension AdminDesk {
    /// The most rows of one answer.
    private static let maximumRows = 10_000
    /// How many keys of the store are looked at in one turn.
    private static let visits = 1_000

    func listRetained(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let everything = try Self.everything()
        let filter = try filter(question) ?? everything
        var rows: [[UInt8]] = []
        scan(filter, after: nil) { message in
            rows.append(Self.describe(message))
            return rows.count < Self.maximumRows
        } then: { end in
            then(end.map { isFinished in AdminAnswer(list: rows, isTruncated: !isFinished) })
        }
    }

    func readRetained(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let topic = try topic(question)
        guard let message = try shard.sequencer.value(of: topic) else {
            throw Refusal(.notFound, "\(topic) has no retained value.")
        }
        then(
            .success(
                AdminAnswer { writer in
                    writer.member("kind", Self.name(of: message.kind))
                    MessageObject.write(message, isSnapshot: false, to: &writer)
                }))
    }

    func setRetained(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let topic = try topic(question)
        guard let data = question.data else { throw Refusal(.badRequest, "data: expected a string.") }
        var draft = Draft(topic: topic, payload: data, kind: .text)
        if let encoding = question.encoding {
            guard encoding == "base64" else {
                throw Refusal(.badRequest, "encoding: expected \"base64\", found \"\(encoding)\".")
            }
            guard let bytes = Base64.decode(String(decoding: data, as: UTF8.self)) else {
                throw Refusal(.badRequest, "data: expected a string of base64.")
            }
            draft.payload = bytes
            draft.kind = .binary
        }
        draft.contentType = question.type
        try Content.check(question.type)
        if draft.contentType != nil, draft.kind == .text {
            draft.kind = Content.kind(of: draft.payload, type: question.type)
        }
        if let seconds = question.timeToLive { draft.timeToLive = try Content.timeToLive(seconds: seconds) }
        try publish(draft) { result in
            then(
                result.map { receipt in
                    AdminAnswer { writer in
                        writer.member("seq", receipt.seq)
                        writer.member("stored", receipt.isStored)
                    }
                })
        }
    }

    func deleteRetained(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        guard let filter = try filter(question) else { throw Refusal(.badFilter, "filter is missing.") }
        if let topic = filter.literalTopic {
            return try publish(removal(of: topic, condition: .present)) { result in
                then(result.map { _ in AdminAnswer { $0.member("deleted", 1) } })
            }
        }
        var topics: [Topic] = []
        scan(filter, after: nil) { message in
            topics.append(message.topic)
            return true
        } then: { [self] end in
            if case .failure(let refusal) = end { return then(.failure(refusal)) }
            remove(topics, deleted: 0, then)
        }
    }

    /// Removes a bounded number at a time, each group when the one before is on disk.
    private func remove(_ topics: [Topic], deleted: Int, _ then: @escaping Completion) {
        let group = topics.prefix(Self.visits)
        guard !group.isEmpty else { return then(.success(AdminAnswer { $0.member("deleted", deleted) })) }
        var missing = group.count
        var removed = deleted
        var failure: Refusal?
        for topic in group {
            let completion: (Result<Receipt, Refusal>) -> Void = { [self] result in
                switch result {
                case .success: removed += 1
                // Somebody else was quicker.
                case .failure(let refusal) where refusal.code == .notFound: break
                case .failure(let refusal): failure = refusal
                }
                missing -= 1
                guard missing == 0 else { return }
                if let failure { return then(.failure(failure)) }
                remove(Array(topics.dropFirst(group.count)), deleted: removed, then)
            }
            do throws(Refusal) {
                try publish(removal(of: topic, condition: .present), completion)
            } catch {
                completion(.failure(error))
            }
        }
    }

    private func removal(of topic: Topic, condition: Draft.Condition) -> Draft {
        var draft = Draft(topic: topic, payload: [], kind: .binary)
        draft.condition = condition
        return draft
    }

    private func publish(_ draft: Draft, _ then: @escaping (Result<Receipt, Refusal>) -> Void) throws(Refusal) {
        guard !shard.isDraining else { throw Refusal(.unavailable, "The broker is shutting down.") }
        guard !draft.topic.isSystem else { throw Refusal(.forbidden, "\(draft.topic) belongs to the broker.") }
        var draft = draft
        draft.isRetained = true
        draft.acknowledgement = .stored
        draft.completion = then
        shard.publish(draft)
    }

    /// Shows `body` what matches, some a turn; `then` gets whether that was all.
    private func scan(
        _ filter: TopicFilter, after position: Topic?, _ body: @escaping (Message) -> Bool,
        then: @escaping (Result<Bool, Refusal>) -> Void
    ) {
        var goesOn = true
        do throws(StorageError) {
            let end = try shard.store.scan(
                filter, after: position, visiting: Self.visits, now: WallClock.unixMilliseconds
            ) { message in
                goesOn = body(message)
                return goesOn
            }
            switch end {
            case .finished: then(.success(true))
            case .stopped where !goesOn: then(.success(false))
            case .stopped(let topic):
                shard.reactor.runSoon { [self] in scan(filter, after: topic, body, then: then) }
            }
        } catch {
            then(.failure(Refusal(error)))
        }
    }

    private static func everything() throws(Refusal) -> TopicFilter {
        do throws(TopicError) { return try TopicFilter("#") } catch { throw Refusal(.internal, "\(error)") }
    }

    private static func name(of kind: Message.Kind) -> String {
        switch kind {
        case .text: "text"
        case .json: "json"
        case .binary: "binary"
        }
    }

    private static func describe(_ message: Message) -> [UInt8] {
        AdminAnswer { writer in
            writer.member("topic", message.topic.name)
            writer.member("seq", message.seq)
            writer.member("time", message.time)
            writer.member("bytes", message.payload.count)
            writer.member("kind", name(of: message.kind))
            if let type = message.contentType { writer.member("type", type) }
            if message.expiry != 0 { writer.member("expires", message.expiry) }
        }.json
    }

    // MARK: Topics

    /// A topic is known when it has a retained value or somebody subscribes to it by name.
    func topics(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let filter = try filter(question)
        let everything = try Self.everything()
        gather({ shard in shard.filters(coveredBy: filter) }) { [self] rows in
            var known: [Topic: TopicRow] = [:]
            for count in FilterCount.merge(rows) {
                guard let topic = try? Topic(count.filter) else { continue }
                known[topic] = TopicRow(subscriptions: count.clients)
            }
            var retained = 0
            scan(filter ?? everything, after: nil) { message in
                known[message.topic, default: TopicRow(subscriptions: 0)].message = message
                retained += 1
                return retained < Self.maximumRows
            } then: { end in
                then(
                    end.map { isFinished in
                        let sorted = known.sorted { $0.key.name < $1.key.name }.prefix(Self.maximumRows)
                        return AdminAnswer(list: sorted.map { $0.value.describe($0.key) }, isTruncated: !isFinished)
                    })
            }
        }
    }
}

/// What is known of one topic.
private struct TopicRow {
    let subscriptions: Int
    var message: Message?

    func describe(_ topic: Topic) -> [UInt8] {
        AdminAnswer { writer in
            writer.member("topic", topic.name)
            writer.member("subscriptions", subscriptions)
            writer.member("retained", message != nil)
            if let message {
                writer.member("bytes", message.payload.count)
                writer.member("seq", message.seq)
                writer.member("time", message.time)
            }
        }.json
    }
}
