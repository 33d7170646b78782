internal import WSTransport

extension SubscriptionsRequest: AnsweredRequest {
    /// How long the answer waits for busy event loops, which count their filters in several turns, in nanoseconds.
    private static let patience: Int64 = 5_000_000_000

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let desk = caller.desk
        let wanted = try desk.filter(filter)
        desk.everyone.ask(from: desk.shard, within: Self.patience) { shard, answer in
            shard.countFilters(coveredBy: wanted, answer)
        } then: { answers, late in
            desk.work {
                let rows = FilterCount.merge(answers).lazy.map {
                    FilterSummary(filter: $0.filter.name, clients: $0.clients)
                }
                var list = AdminList(rows, atMost: AdminDesk.maximumRows)
                list.late = late
                return list
            } then: {
                then($0)
            }
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
    /// Counts the clients of this shard for each filter that `wanted` covers; `nil` for all.
    ///
    /// Looks at some in each turn. A filter that comes or goes meanwhile may be missing.
    func countFilters(coveredBy wanted: TopicFilter?, _ then: @escaping ([FilterCount]) -> Void) {
        FilterCounting(on: self, wanted, then).goOn()
    }
}

/// A count of one shard's filters; runs on its thread.
private final class FilterCounting {
    /// How many places of filters are looked at in one turn, which takes one or two milliseconds.
    private static let visits = 4096

    private let shard: Shard
    private let wanted: TopicFilter?
    private let then: ([FilterCount]) -> Void
    private var counts: [FilterCount] = []
    private var place = 0

    init(on shard: Shard, _ wanted: TopicFilter?, _ then: @escaping ([FilterCount]) -> Void) {
        (self.shard, self.wanted, self.then) = (shard, wanted, then)
    }

    func goOn() {
        let next = unsafe shard.directory.tree.forEachFilter(from: place, visiting: Self.visits) { filter, count in
            guard wanted?.covers(filter) ?? true else { return }
            counts.append(FilterCount(filter: filter, clients: count))
        }
        guard let next else { return then(counts) }
        place = next
        shard.reactor.runSoon { [self] in goOn() }
    }
}
