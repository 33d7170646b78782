internal import WSTransport

/// Who is connected, and to what they subscribe.
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
        gather({ shard in
            shard.everybody.filter { selection.matches($0) }.map { Self.describe($0, withFilters: false) }
        }) { then(.success(AdminAnswer(list: $0))) }
    }

    func client(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let name = question.client ?? ""
        let selection = Selection(name: name)
        gather({ shard in
            shard.everybody.filter { selection.matches($0) }.map { Self.describe($0, withFilters: true) }
        }) { found in
            guard let first = found.first else {
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
        gather({ shard in
            let chosen = shard.everybody.filter { selection.matches($0) }
            for session in chosen { session.disconnect(.kicked, reason: "disconnected by an administrator") }
            return chosen.map { _ in [] }
        }) { kicked in
            if let name = selection.name, kicked.isEmpty {
                return then(.failure(Refusal(.notFound, "There is no client \(name).")))
            }
            then(.success(AdminAnswer { $0.member("kicked", kicked.count) }))
        }
    }

    func subscriptions(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let wanted = try filter(question)
        gather({ shard in shard.filters(coveredBy: wanted) }) { rows in
            let counts = FilterCount.merge(rows)
            then(
                .success(
                    AdminAnswer(
                        list: counts.map { row in
                            AdminAnswer { writer in
                                writer.member("filter", row.filter)
                                writer.member("clients", row.clients)
                            }.json
                        })))
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
struct FilterCount {
    let filter: String
    var clients: Int

    /// Adds up what several shards know; rows are a count, a space and the filter.
    static func merge(_ rows: [[UInt8]]) -> [FilterCount] {
        var counts: [[UInt8]: Int] = [:]
        for row in rows {
            guard let space = row.firstIndex(of: 32) else { continue }
            let count = Int(String(decoding: row[..<space], as: UTF8.self)) ?? 0
            counts[Array(row[(space + 1)...]), default: 0] += count
        }
        return counts.map { FilterCount(filter: String(decoding: $0.key, as: UTF8.self), clients: $0.value) }
            .sorted { $0.filter < $1.filter }
    }
}

extension Shard {
    /// A row for each filter in use here: a count, a space and the filter.
    func filters(coveredBy wanted: TopicFilter?) -> [[UInt8]] {
        var rows: [[UInt8]] = []
        tree.forEachFilter { filter, count in
            guard wanted?.covers(filter) ?? true else { return }
            rows.append(Array("\(count) \(filter.name)".utf8))
        }
        return rows
    }
}
