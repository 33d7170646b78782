internal import WSTransport

/// Clients and their subscriptions.
extension AdminDesk {
    /// Which clients are meant.
    private struct Selection: Sendable {
        var name: String?
        var user: String?
        /// One of its subscriptions shares a topic with this filter.
        var overlapping: TopicFilter?
        /// One of its subscriptions matches nothing that this filter does not.
        var inside: TopicFilter?

        func matches(_ session: any Session) -> Bool {
            if let name, session.client.name != name { return false }
            if let user, session.client.identity.user != user { return false }
            let filters = session.subscriptions.all
            if let overlapping, !filters.contains(where: { overlapping.overlaps($0.filter) }) { return false }
            if let inside, !filters.contains(where: { inside.covers($0.filter) }) { return false }
            return true
        }
    }

    func clients(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let selection = Selection(user: question.user, overlapping: try filter(question))
        everyone.ask(from: shard) { shard in
            shard.everybody.filter { selection.matches($0) }.map { Self.describe($0, withFilters: false) }
        } then: {
            then(.success(AdminAnswer(list: $0.flatMap(\.self))))
        }
    }

    func client(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let name = question.client ?? ""
        let selection = Selection(name: name)
        everyone.ask(from: shard) { shard in
            shard.everybody.first { selection.matches($0) }.map { Self.describe($0, withFilters: true) }
        } then: { found in
            guard let first = found.compactMap(\.self).first else {
                return then(.failure(Refusal(.notFound, "There is no client \(name).")))
            }
            var answer = AdminAnswer(list: [])
            answer.json = first
            then(.success(answer))
        }
    }

    func kick(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let selection = Selection(name: question.client, user: question.user, inside: try filter(question))
        guard selection.name != nil || selection.user != nil || selection.inside != nil else {
            throw Refusal(.badRequest, "kick: expected a client, a user or a filter.")
        }
        everyone.ask(from: shard) { shard in
            let chosen = shard.everybody.filter { selection.matches($0) }
            for session in chosen { session.disconnect(.kicked, reason: "disconnected by an administrator") }
            return chosen.count
        } then: { counts in
            let kicked = counts.reduce(0, +)
            if let name = selection.name, kicked == 0 {
                return then(.failure(Refusal(.notFound, "There is no client \(name).")))
            }
            then(.success(AdminAnswer { $0.member("kicked", kicked) }))
        }
    }

    func subscriptions(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let wanted = try filter(question)
        everyone.ask(from: shard) {
            $0.filters(coveredBy: wanted)
        } then: { answers in
            let list = FilterCount.merge(answers).map { row in
                AdminAnswer { writer in
                    writer.member("filter", row.filter.name)
                    writer.member("clients", row.clients)
                }.json
            }
            then(.success(AdminAnswer(list: list)))
        }
    }

    private static func describe(_ session: any Session, withFilters: Bool) -> [UInt8] {
        AdminAnswer { writer in
            let client = session.client
            writer.member("id", client.name)
            writer.name("user")
            if let user = client.identity.user { writer.string(user) } else { writer.null() }
            writer.member("address", client.address)
            writer.member("protocol", client.protocolName)
            writer.member("connectedAt", client.connectedAt)
            writer.member("subscriptions", session.subscriptions.count)
            writer.member("pendingBytes", session.stream.unsentBytes)
            writer.member("kernelBytes", session.stream.kernelBytes)
            writer.name("roundTripMilliseconds")
            if let roundTrip = session.roundTrip {
                writer.double(Double(roundTrip / 1000) / 1000)
            } else {
                writer.null()
            }
            guard withFilters else { return }
            writer.name("filters")
            writer.beginArray()
            for subscription in session.subscriptions.all { writer.string(subscription.filter.name) }
            writer.endArray()
        }.json
    }
}

/// How many clients subscribe to a filter.
struct FilterCount: Sendable, Equatable {
    let filter: TopicFilter
    var clients: Int

    /// Adds up what several shards know; in the order of the filters' names.
    static func merge(_ counts: [[FilterCount]]) -> [FilterCount] {
        var clients: [TopicFilter: Int] = [:]
        for count in counts.joined() { clients[count.filter, default: 0] += count.clients }
        return clients.map { FilterCount(filter: $0.key, clients: $0.value) }
            .sorted { $0.filter.name < $1.filter.name }
    }
}

extension Shard {
    /// The filters in use here.
    func filters(coveredBy wanted: TopicFilter?) -> [FilterCount] {
        var counts: [FilterCount] = []
        tree.forEachFilter { filter, count in
            guard wanted?.covers(filter) ?? true else { return }
            counts.append(FilterCount(filter: filter, clients: count))
        }
        return counts
    }
}
