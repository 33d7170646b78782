internal import WSTransport

extension ClientsRequest: PeerRequest {
    func gather(_ own: Answer, of name: String, _ others: [PeerAnswer<Answer>], missing: [String]) -> Answer {
        let all = [own.elements] + others.map(\.answer.elements)
        var list = (try? ClientView(self, of: name))?.list(all) ?? own
        list.isTruncated = list.isTruncated || own.isTruncated || others.contains { $0.answer.isTruncated }
        list.late = own.late
        list.missing = missing + others.filter { !$0.answer.late.isEmpty }.map(\.name)
        return list
    }

    func answerHere(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let selection = ClientSelection(user: user, overlapping: try caller.desk.filter(filter))
        let view = try ClientView(self, of: caller.desk.facts.cluster?.here.name)
        caller.desk.everyone.ask(from: caller.desk.shard, within: AdminDesk.patience) { shard in
            view.rows(of: shard, selection)
        } then: { answers, late in
            var list = view.list(answers)
            list.late = late
            then(.success(list))
        }
    }
}

/// The conditions, order and limit of a list of clients.
private struct ClientView: Sendable {
    private let conditions: [ClientCondition]
    private let order: ClientField?
    private let isReversed: Bool
    private let limit: Int?
    private let node: String?
    private let now = WallClock.unixMilliseconds
    /// The maximum number of rows from one shard: one more than an answer holds shows that there are more.
    private var most: Int { min(limit ?? .max, AdminDesk.maximumClients + 1) }

    /// - Parameter node: this broker's name in its cluster; `nil` without a cluster.
    init(_ request: ClientsRequest, of node: String?) throws(Refusal) {
        self.node = node
        guard request.conditions.count <= ClientCondition.maximumCount else {
            throw Refusal(.badRequest, "where: expected at most \(ClientCondition.maximumCount) conditions.")
        }
        var conditions: [ClientCondition] = []
        for text in request.conditions {
            do throws(ClientCondition.ParseError) { conditions.append(try ClientCondition(parsing: text)) } catch {
                throw Refusal(.badRequest, "where: \(error.description).")
            }
        }
        self.conditions = conditions
        order = request.order.flatMap(ClientField.init(rawValue:))
        if let name = request.order, order == nil {
            throw Refusal(.badRequest, "sort: there is no field \"\(name)\".")
        }
        if let limit = request.limit, limit < 1 { throw Refusal(.badRequest, "limit: expected 1 or more.") }
        (isReversed, limit) = (request.isReversed, request.limit)
    }

    func rows(of shard: Shard, _ selection: ClientSelection) -> [ClientSummary] {
        // Without an order, any clients will do.
        let enough = order == nil ? most : .max
        let needsDetails = conditions.contains { $0.field.isDetail } || order?.isDetail ?? false
        var found: [(row: ClientSummary, session: any Session)] = []
        for session in shard.everybody where selection.matches(session) {
            var row = ClientSummary(session, withFilters: false)
            row.node = node
            if needsDetails { row.addDetails(of: session) }
            guard conditions.allSatisfy({ $0.holds(for: row, now: now) }) else { continue }
            found.append((row, session))
            if found.count >= enough { break }
        }
        if order != nil { found.sort { comesFirst($0.row, $1.row) } }
        return found.prefix(most).map { row, session in
            var row = row
            if !needsDetails { row.addDetails(of: session) }
            return row
        }
    }

    func list(_ answers: [[ClientSummary]]) -> AdminList<ClientSummary> {
        var all = answers.flatMap(\.self)
        if order != nil { all.sort(by: comesFirst) }
        if let limit { all = Array(all.prefix(limit)) }
        return AdminList(all, atMost: AdminDesk.maximumClients)
    }

    private func comesFirst(_ first: ClientSummary, _ second: ClientSummary) -> Bool {
        guard let order else { return false }
        return isReversed ? order.precedes(second, first, now: now) : order.precedes(first, second, now: now)
    }
}

extension ClientRequest: PeerRequest {
    var concerned: String? { client }

    func gather(_ own: Answer, of name: String, _ others: [PeerAnswer<Answer>], missing: [String]) -> Answer {
        var row = own
        row.node = name
        return row
    }

    func answerHere(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) {
        caller.desk.everyone.ask(client: client, from: caller.desk.shard) {
            ClientSummary($0, withFilters: true)
        } then: { summary in
            then(summary.map { .success($0) } ?? .failure(Refusal(.notFound, "There is no client \(client).")))
        }
    }
}

extension ClientPolicyRequest: PeerRequest {
    var subject: String? { "client \(client) to \(slow)" }
    var node: String? { nil }
    var concerned: String? { client }

    func gather(_ own: Answer, of name: String, _ others: [PeerAnswer<Answer>], missing: [String]) -> Answer { own }

    func answerHere(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let policy = SlowPolicy(rawValue: slow) else {
            let known = SlowPolicy.allCases.map(\.rawValue).joined(separator: ", ")
            throw Refusal(.badRequest, "slow: expected one of \(known), found \"\(AuditEvent.clip(slow))\".")
        }
        caller.desk.everyone.ask(client: client, from: caller.desk.shard) { session -> Result<Answer, Refusal>? in
            guard let shard = session.connection?.reactor[Shard.self] else { return nil }
            return Result { () throws(Refusal) in Answer(changed: try shard.changePolicy(of: session, to: policy)) }
        } then: { outcome in
            then(outcome ?? .failure(Refusal(.notFound, "There is no client \(AuditEvent.clip(client)).")))
        }
    }
}

/// A selection of clients.
struct ClientSelection: Sendable {
    var user: String?
    /// Selects clients with a subscription that overlaps this filter; `nil` for all.
    var overlapping: TopicFilter?
    /// Selects clients with a subscription that this filter covers; `nil` for all.
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
        let (client, connection) = (session.client, session.connection)
        id = client.name
        user = client.principal.user
        address = client.address
        protocolName = client.protocolName
        origin = client.source?.origin
        agent = client.source?.agent
        published = client.published
        connectedAt = client.connectedAt
        subscriptions = session.subscriptions.count
        pendingBytes = connection?.unsentBytes ?? 0
        kernelBytes = connection?.kernelBytes ?? 0
        if pendingBytes > 0 { waitingMilliseconds = connection.map { Double($0.unsentAge / 1_000_000) } }
        isBehind = session.subscriptions.isBehind
        listener = client.listener
        tls = connection?.tlsVersion
        reactor = ClientNumbers.shard(of: client.id)
        roundTripMilliseconds = session.roundTrip.map { Double($0 / 1000) / 1000 }
        guard withFilters else { return }
        filters = session.subscriptions.all.map(\.filter.name)
        addDetails(of: session)
    }

    /// Adds the members that are slow to find out.
    fileprivate mutating func addDetails(of session: any Session) {
        let policies = Set(session.subscriptions.all.map(\.slow))
        let words = SlowPolicy.allCases.filter(policies.contains).map(\.rawValue)
        policy = words.isEmpty ? nil : words.joined(separator: ",")
        let traffic = session.connection?.traffic
        receivedBytes = traffic?.received
        sentBytes = traffic?.sent
    }
}
