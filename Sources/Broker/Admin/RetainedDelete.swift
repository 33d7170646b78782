internal import WSTransport

extension RetainedDeleteRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let filter = try caller.desk.filter(filter) else { throw Refusal(.badFilter, "filter is missing.") }
        if isTrial { return count(filter, caller, then) }
        if let topic = filter.literalTopic {
            return try caller.desk.publish(Self.removal(of: topic), from: caller.source) { result in
                then(result.map { _ in Answer(deleted: 1) })
            }
        }
        // Values in memory come first, then those on disk.
        remove(caller.desk.shard.sequencer.ephemerals(matching: filter).map(\.topic), caller) { result in
            guard case .success(let count) = result else { return then(result.map { Answer(deleted: $0) }) }
            remove(filter, after: nil, deleted: count, caller, then)
        }
    }

    /// Counts the values that would be deleted.
    private func count(
        _ filter: TopicFilter, _ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void
    ) {
        var count = caller.desk.shard.sequencer.ephemerals(matching: filter).count
        caller.desk.scan(filter, after: nil) { _ in
            count += 1
            return true
        } then: { end in
            then(end.map { _ in Answer(deleted: 0, matching: count) })
        }
    }

    /// Removes values in groups, each one after the previous one is gone from the disk.
    private func remove(
        _ filter: TopicFilter, after position: Topic?, deleted: Int, _ caller: AdminCaller,
        _ then: @escaping (Result<Answer, Refusal>) -> Void
    ) {
        var group: [Topic] = []
        caller.desk.scan(filter, after: position) { message in
            group.append(message.topic)
            return group.count < AdminDesk.visits
        } then: { end in
            switch end {
            case .failure(let refusal): then(.failure(refusal))
            case .success(let isFinished):
                remove(group, caller) { result in
                    guard case .success(let count) = result, !isFinished, caller.goesOn, let last = group.last else {
                        return then(result.map { count in Answer(deleted: deleted + count) })
                    }
                    remove(filter, after: last, deleted: deleted + count, caller, then)
                }
            }
        }
    }

    /// Removes values; calls `then` with how many existed, when their removal is on disk.
    private func remove(
        _ topics: [Topic], _ caller: AdminCaller, _ then: @escaping (Result<Int, Refusal>) -> Void
    ) {
        guard !topics.isEmpty else { return then(.success(0)) }
        var missing = topics.count
        var removed = 0
        var failure: Refusal?
        for topic in topics {
            let completion: (Result<Receipt, Refusal>) -> Void = { result in
                switch result {
                case .success: removed += 1
                // Another client removed it first.
                case .failure(let refusal) where refusal.code == .notFound: break
                case .failure(let refusal): failure = refusal
                }
                missing -= 1
                guard missing == 0 else { return }
                then(failure.map { .failure($0) } ?? .success(removed))
            }
            do throws(Refusal) {
                try caller.desk.publish(Self.removal(of: topic), from: caller.source, completion)
            } catch {
                completion(.failure(error))
            }
        }
    }

    private static func removal(of topic: Topic) -> Draft {
        var draft = Draft(topic: topic, payload: [], kind: .binary)
        draft.condition = .present
        return draft
    }
}
