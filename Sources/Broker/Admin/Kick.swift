internal import WSTransport

extension KickRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let selection = ClientSelection(name: client, user: user, inside: try caller.desk.filter(filter))
        guard client != nil || user != nil || filter != nil else {
            throw Refusal(.badRequest, "kick: expected a client, a user or a filter.")
        }
        caller.desk.everyone.ask(from: caller.desk.shard) { shard in
            let chosen = shard.everybody.filter { selection.matches($0) }
            for session in chosen { session.end(.kicked("disconnected by an administrator")) }
            return chosen.count
        } then: { counts in
            let kicked = counts.reduce(0, +)
            if let client, kicked == 0 { return then(.failure(Refusal(.notFound, "There is no client \(client)."))) }
            then(.success(Answer(kicked: kicked)))
        }
    }
}
