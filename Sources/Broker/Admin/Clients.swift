internal import WSTransport

extension ClientsRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let selection = ClientSelection(user: user, overlapping: try caller.desk.filter(filter))
        let most = AdminDesk.maximumClients
        caller.desk.everyone.ask(from: caller.desk.shard) { shard in
            var found: [ClientSummary] = []
            for session in shard.everybody where selection.matches(session) {
                found.append(ClientSummary(session, withFilters: false))
                if found.count > most { break }
            }
            return found
        } then: { answers in
            let all = answers.joined()
            then(.success(AdminList(Array(all.prefix(most)), isTruncated: all.count > most)))
        }
    }
}

extension ClientRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) {
        caller.desk.everyone.ask(client: client, from: caller.desk.shard) {
            ClientSummary($0, withFilters: true)
        } then: { summary in
            then(summary.map { .success($0) } ?? .failure(Refusal(.notFound, "There is no client \(client).")))
        }
    }
}

/// Which clients are meant.
struct ClientSelection: Sendable {
    var user: String?
    /// One of its subscriptions shares a topic with this filter.
    var overlapping: TopicFilter?
    /// One of its subscriptions matches nothing that this filter does not.
    var inside: TopicFilter?

    func matches(_ session: any Session) -> Bool {
        if let user, session.client.principal.user.exact != user.exact { return false }
        let filters = session.subscriptions.all
        if let overlapping, !filters.contains(where: { overlapping.overlaps($0.filter) }) { return false }
        if let inside, !filters.contains(where: { inside.covers($0.filter) }) { return false }
        return true
    }
}

extension ClientSummary {
    fileprivate init(_ session: any Session, withFilters: Bool) {
        self.init()
        let client = session.client
        id = client.name
        user = client.principal.user
        address = client.address
        protocolName = client.protocolName
        connectedAt = client.connectedAt
        subscriptions = session.subscriptions.count
        pendingBytes = session.connection?.unsentBytes ?? 0
        kernelBytes = session.connection?.kernelBytes ?? 0
        roundTripMilliseconds = session.roundTrip.map { Double($0 / 1000) / 1000 }
        if withFilters { filters = session.subscriptions.all.map(\.filter.name) }
    }
}
