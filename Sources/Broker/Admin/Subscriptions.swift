extension SubscriptionsRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let wanted = try caller.desk.filter(filter)
        caller.desk.everyone.ask(from: caller.desk.shard, within: AdminDesk.patience) {
            $0.filters(coveredBy: wanted)
        } then: { answers, late in
            let rows = FilterCount.merge(answers).lazy.map {
                FilterSummary(filter: $0.filter.name, clients: $0.clients)
            }
            var list = AdminList(rows, atMost: AdminDesk.maximumRows)
            list.late = late
            then(.success(list))
        }
    }
}

/// How many clients subscribe to a filter.
struct FilterCount: Sendable, Equatable {
    let filter: TopicFilter
    var clients: Int

    /// Merges the counts of several shards, in the order of the filters' names.
    static func merge(_ counts: [[FilterCount]]) -> [FilterCount] {
        var clients: [TopicFilter: Int] = [:]
        for count in counts.joined() { clients[count.filter, default: 0] += count.clients }
        return clients.map { FilterCount(filter: $0.key, clients: $0.value) }
            .sorted { $0.filter.name < $1.filter.name }
    }
}

extension Shard {
    /// The filters of this shard's clients that `wanted` covers; `nil` for all.
    func filters(coveredBy wanted: TopicFilter?) -> [FilterCount] {
        var counts: [FilterCount] = []
        unsafe directory.tree.forEachFilter { filter, count in
            guard wanted?.covers(filter) ?? true else { return }
            counts.append(FilterCount(filter: filter, clients: count))
        }
        return counts
    }
}
