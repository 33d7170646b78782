internal import WSTransport

extension KickRequest: PeerRequest {
    var concerned: String? { client }
    var patience: Int64 { 5_000_000_000 }
    /// A ban of a user ends the connections at other brokers before these could count them.
    var asksOthersFirst: Bool { isBanning && user != nil }

    var question: KickRequest {
        guard asksOthersFirst else { return self }
        var request = self
        (request.isBanning, request.isDryRun) = (false, true)
        return request
    }

    func gather(_ own: Answer, of name: String, _ others: [PeerAnswer<Answer>], missing: [String]) -> Answer {
        var all = own
        for other in others.map(\.answer) {
            all.kicked += other.kicked
            if asksOthersFirst { all.kicked += other.matching ?? 0 }
            all.matching = all.matching.map { $0 + (other.matching ?? 0) }
            all.banned = all.banned.map { $0 + (other.banned ?? []).filter { !(all.banned ?? []).contains($0) } }
            all.notBanned += other.notBanned
        }
        all.missing = missing
        return all
    }

    func answerHere(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let selection = ClientSelection(user: user, inside: try caller.desk.filter(filter))
        guard client != nil || user != nil || filter != nil else {
            throw Refusal(.badRequest, "kick: expected a client, a user or a filter.")
        }
        try checkReason()
        if isDryRun { return count(selection, caller, then) }
        if isBanning { return ban(selection, caller, then) }
        let words = reason.isEmpty ? "disconnected by an administrator" : reason
        let (everyone, shard) = (caller.desk.everyone, caller.desk.shard)
        if let client {
            return everyone.ask(client: client, from: shard) { session -> Bool? in
                guard selection.matches(session) else { return false }
                session.end(.kicked(words))
                return true
            } then: { isKicked in
                if isKicked == true {
                    caller.tellKicked(1, self)
                    return then(.success(Answer(kicked: 1)))
                }
                then(.failure(Refusal(.notFound, "There is no client \(client).")))
            }
        }
        everyone.ask(
            from: shard,
            patiently: { shard, answer in
                shard.endSessions(judge: { selection.matches($0) ? .kicked(words) : nil }, then: answer)
            },
            then: {
                let kicked = $0.reduce(0, +)
                caller.tellKicked(kicked, self)
                then(.success(Answer(kicked: kicked)))
            })
    }

    private func checkReason() throws(Refusal) {
        guard reason.utf8.count <= Self.maximumReason else {
            throw Refusal(.badRequest, "reason: expected at most \(Self.maximumReason) bytes.")
        }
        guard !isBanning || reason.isEmpty else {
            throw Refusal(.badRequest, "reason: a banned client is told that it is banned; use note for the reason.")
        }
    }

    /// Counts the selected clients without disconnecting them.
    private func count(
        _ selection: ClientSelection, _ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void
    ) {
        let (isOne, number) = (client != nil, client.flatMap { Client.number(named: $0) })
        caller.desk.everyone.ask(from: caller.desk.shard) { shard in
            shard.everybody.count { (!isOne || $0.client.id == number) && selection.matches($0) }
        } then: { counts in
            var answer = Answer(kicked: 0)
            answer.matching = counts.reduce(0, +)
            if let client, answer.matching == 0 {
                return then(.failure(Refusal(.notFound, "There is no client \(client).")))
            }
            then(.success(answer))
        }
    }

    /// Bans the clients before it disconnects them, so that none can reconnect in between.
    private func ban(
        _ selection: ClientSelection, _ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void
    ) {
        let (isOne, number) = (client != nil, client.flatMap { Client.number(named: $0) })
        let isMeant = { @Sendable (session: any Session) in
            (!isOne || session.client.id == number) && selection.matches(session)
        }
        caller.desk.everyone.ask(from: caller.desk.shard) { shard in
            shard.everybody.filter(isMeant).map { shard.subjectOfBan($0.client) }
        } then: { answers in
            let found = answers.flatMap(\.self)
            if let client, found.isEmpty { return then(.failure(Refusal(.notFound, "There is no client \(client)."))) }
            var subjects = Set(found.compactMap(\.self))
            if let user, let named = Ban.Subject(.user, user) { subjects.insert(named) }
            do throws(Refusal) {
                try caller.ban(subjects.sorted { $0.name < $1.name }, seconds, note) { result in
                    let added: Bans.Added
                    switch result {
                    case .success(let success): added = success
                    case .failure(let refusal): return then(.failure(refusal))
                    }
                    caller.desk.shareBans(added.list, ending: isMeant) { kicked in
                        caller.tellKicked(kicked, self)
                        var answer = Answer(kicked: kicked)
                        answer.banned = added.bans.map(\.subject.description)
                        answer.notBanned = found.count { $0 == nil } + added.left
                        then(.success(answer))
                    }
                }
            } catch {
                then(.failure(error))
            }
        }
    }
}

extension AdminCaller {
    /// Reports an event about disconnected clients, with the administrator.
    fileprivate func tellKicked(_ count: Int, _ request: KickRequest) {
        guard count > 0 else { return }
        desk.facts.events?.tell(.kicked) { event in
            event.client = request.client
            event.user = request.user
            if let filter = request.filter { event.add("filter", filter) }
            event.add("clients", count)
            if request.isBanning { event.add("what", "ban") }
            event.add("by", actorName)
            if !request.note.isEmpty { event.add("note", request.note) }
        }
    }
}

extension Shard {
    /// The subject to ban for a client; `nil` if the ban would affect others, too.
    fileprivate func subjectOfBan(_ client: Client) -> Ban.Subject? {
        let peer = client.host.flatMap { SocketAddress(host: $0, port: 0) }
        // The address is that of a proxy that does not say which client it speaks for.
        if client.principal.user == nil, endpoints.trusts(peer) { return nil }
        return Ban.Subject(of: client.principal, at: peer)
    }
}
