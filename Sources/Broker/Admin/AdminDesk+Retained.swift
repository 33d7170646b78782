internal import WSTransport

/// The retained values.
extension AdminDesk {
    /// The most rows of one answer.
    static let maximumRows = 10_000
    /// How many keys of the store are looked at in one turn.
    private static let visits = 1_000
    /// How often a busy store is asked, and after how long again, in nanoseconds.
    private static let attempts = 100
    private static let pause: Int64 = 20_000_000

    func listRetained(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let filter = try filter(question) ?? .everything
        var rows: [[UInt8]] = []
        var last: Topic?
        scan(filter, after: question.after.flatMap { storedTopic(Array($0.utf8)) }) { message in
            rows.append(Self.describe(message))
            last = message.topic
            return rows.count < Self.maximumRows
        } then: { end in
            then(
                end.map { isFinished in
                    AdminAnswer(list: rows, isTruncated: !isFinished, next: isFinished ? nil : last?.name)
                })
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
                    if question.isExact {
                        Self.writeExactly(message, to: &writer)
                    } else {
                        MessageObject.write(message, isSnapshot: false, to: &writer)
                    }
                }))
    }

    func setRetained(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let topic = try topic(question, limits: shard.settings.topicLimits)
        guard let data = question.data else { throw Refusal(.badRequest, "data is missing.") }
        var draft = Draft(topic: topic, payload: data, kind: question.isJSON ? .json : .text)
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
        let most = shard.settings.limits.message
        guard draft.payload.count <= most else {
            throw Refusal(.tooLarge, "The value has \(draft.payload.count) bytes, limits.message allows \(most).")
        }
        draft.contentType = question.type
        try Content.check(question.type)
        if let name = question.kind {
            draft.kind = try Self.kind(name, of: draft.payload, question)
        } else if draft.contentType != nil, draft.kind == .text {
            draft.kind = Content.kind(of: draft.payload, type: question.type)
        }
        if let seconds = question.timeToLive { draft.timeToLive = try Content.timeToLive(seconds: seconds) }
        if let expires = question.expires {
            let (rest, isNonsense) = expires.subtractingReportingOverflow(Lifetime.now)
            guard rest > 0, !isNonsense else { return then(.success(AdminAnswer { $0.member("expired", true) })) }
            draft.timeToLive = rest
        }
        try publish(draft, question) { result in
            then(
                result.map { receipt in
                    AdminAnswer { writer in
                        writer.member("seq", receipt.seq)
                        writer.member("stored", receipt.isStored)
                    }
                })
        }
    }

    /// The kind that somebody names, where the data can be of it.
    private static func kind(
        _ name: String, of data: [UInt8], _ question: AdminQuestion
    ) throws(Refusal) -> Message.Kind {
        switch name {
        case "text" where !question.isJSON && String(validating: data, as: UTF8.self) != nil: return .text
        case "json" where JSONScanner.validate(data.span): return .json
        case "binary": return .binary
        case "text", "json": throw Refusal(.badRequest, "data: not of the kind \(name).")
        default: throw Refusal(.badRequest, "kind: expected text, json or binary, found \"\(name)\".")
        }
    }

    func deleteRetained(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        guard let filter = try filter(question) else { throw Refusal(.badFilter, "filter is missing.") }
        if question.isTrial { return countRetained(filter, then) }
        if let topic = filter.literalTopic {
            return try publish(removal(of: topic, condition: .present), question) { result in
                then(result.map { _ in AdminAnswer { $0.member("deleted", 1) } })
            }
        }
        remove(filter, after: nil, deleted: 0, question, then)
    }

    /// Says how many values would be deleted.
    private func countRetained(_ filter: TopicFilter, _ then: @escaping Completion) {
        var count = 0
        scan(filter, after: nil) { _ in
            count += 1
            return true
        } then: { end in
            then(
                end.map { _ in
                    AdminAnswer { writer in
                        writer.member("deleted", 0)
                        writer.member("matching", count)
                    }
                })
        }
    }

    /// Removes a bounded number at a time, each group when the one before is on disk.
    private func remove(
        _ filter: TopicFilter, after position: Topic?, deleted: Int, _ question: AdminQuestion,
        _ then: @escaping Completion
    ) {
        var group: [Topic] = []
        scan(filter, after: position) { message in
            group.append(message.topic)
            return group.count < Self.visits
        } then: { [self] end in
            switch end {
            case .failure(let refusal): then(.failure(refusal))
            case .success(let isFinished):
                remove(group, question) { [self] result in
                    guard case .success(let count) = result, !isFinished, let last = group.last else {
                        return then(result.map { count in AdminAnswer { $0.member("deleted", deleted + count) } })
                    }
                    remove(filter, after: last, deleted: deleted + count, question, then)
                }
            }
        }
    }

    /// Removes these values; `then` gets how many there were when they are gone from the disk.
    private func remove(
        _ topics: [Topic], _ question: AdminQuestion, _ then: @escaping (Result<Int, Refusal>) -> Void
    ) {
        guard !topics.isEmpty else { return then(.success(0)) }
        var missing = topics.count
        var removed = 0
        var failure: Refusal?
        for topic in topics {
            let completion: (Result<Receipt, Refusal>) -> Void = { result in
                switch result {
                case .success: removed += 1
                // Somebody else was quicker.
                case .failure(let refusal) where refusal.code == .notFound: break
                case .failure(let refusal): failure = refusal
                }
                missing -= 1
                guard missing == 0 else { return }
                then(failure.map { .failure($0) } ?? .success(removed))
            }
            do throws(Refusal) {
                try publish(removal(of: topic, condition: .present), question, completion)
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

    private func publish(
        _ draft: Draft, _ question: AdminQuestion, _ then: @escaping (Result<Receipt, Refusal>) -> Void
    ) throws(Refusal) {
        guard !shard.isDraining else { throw Refusal(.unavailable, "The broker is shutting down.") }
        guard !draft.topic.isSystem else { throw Refusal(.forbidden, "\(draft.topic) belongs to the broker.") }
        var draft = draft
        draft.isRetained = true
        draft.acknowledgement = .stored
        draft.completion = then
        shard.publish(draft, from: question.source)
    }

    /// Shows `body` what matches, some a turn; `then` gets whether that was all.
    func scan(
        _ filter: TopicFilter, after position: Topic?, attempt: Int = 1, _ body: @escaping (Message) -> Bool,
        then: @escaping (Result<Bool, Refusal>) -> Void
    ) {
        var goesOn = true
        do throws(StorageError) {
            let end = try shard.store.scan(
                filter, after: position, visiting: Self.visits, now: Lifetime.now
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
            // It is busy before the first value is shown, never in the middle.
            guard error.isBusy, attempt < Self.attempts else { return then(.failure(Refusal(error))) }
            shard.reactor.run(afterNanoseconds: Self.pause) { [self] in
                scan(filter, after: position, attempt: attempt + 1, body, then: then)
            }
        }
    }

    static func name(of kind: Message.Kind) -> String {
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
}
