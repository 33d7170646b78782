internal import WSTransport

extension KickRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let selection = ClientSelection(user: user, inside: try caller.desk.filter(filter))
        guard client != nil || user != nil || filter != nil else {
            throw Refusal(.badRequest, "kick: expected a client, a user or a filter.")
        }
        let end = { @Sendable (session: any Session) in
            guard selection.matches(session) else { return false }
            session.end(.kicked("disconnected by an administrator"))
            return true
        }
        let (everyone, shard) = (caller.desk.everyone, caller.desk.shard)
        if let client {
            return everyone.ask(client: client, from: shard) {
                end($0)
            } then: { isKicked in
                if isKicked == true { return then(.success(Answer(kicked: 1))) }
                then(.failure(Refusal(.notFound, "There is no client \(client).")))
            }
        }
        everyone.ask(from: shard) {
            $0.everybody.count { end($0) }
        } then: {
            then(.success(Answer(kicked: $0.reduce(0, +))))
        }
    }
}
