extension ReadEventsRequest: AnsweredRequest {
    static var isAudited: Bool { false }

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let events = caller.desk.facts.events else {
            throw Refusal(.unavailable, "This broker records no events.")
        }
        var wanted: [String] = []
        for name in kinds {
            guard let kind = BrokerEvent.Kind(rawValue: name) else {
                let all = BrokerEvent.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw Refusal(.badRequest, "kinds: there is no kind \"\(name)\"; there are \(all).")
            }
            wanted.append(BrokerEvent.tag(kind))
        }
        let (client, user) = (client.map(BrokerEvent.tag(client:)), user.map(BrokerEvent.tag(user:)))
        try read(
            events.memory, caller,
            where: { [wanted] line in
                (wanted.isEmpty || wanted.contains(where: line.has)) && (client.map(line.has) ?? true)
                    && (user.map(line.has) ?? true)
            }, then)
    }
}
