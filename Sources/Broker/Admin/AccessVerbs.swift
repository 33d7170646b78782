internal import WSTransport

extension ExplainAccessRequest: AnsweredRequest {
    var subject: String? {
        "\(action)\(name.isEmpty ? "" : " ")\(name) by \(Who(client: client, user: user, roles: roles, address: address))"
    }

    func outcome(_ answer: Answer) -> String { answer.isAllowed ? "allowed" : "denied" }

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let action = AccessExplanation.Action(rawValue: action) else {
            throw Refusal(.badRequest, "action: expected \(AccessExplanation.Action.expectation), found \"\(action)\".")
        }
        let (who, name) = (Who(client: client, user: user, roles: roles, address: address), name)
        who.find(
            caller,
            { (shard, subject, grant) throws(Refusal) in
                let explanation: AccessExplanation
                do throws(TopicError) {
                    explanation = try AccessExplanation(shard.access.rules, subject, by: grant, action, name)
                } catch {
                    throw Refusal(action == .subscribe ? .badFilter : .badTopic, "name: \(error)")
                }
                return Answer(explanation, shard.access.rules, written: shard.configuration.access.rules.count)
            }, then: then)
    }
}

extension ListAccessRequest: AnsweredRequest {
    var subject: String? { Who(client: client, user: user, roles: roles, address: address).description }

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) {
        let who = Who(client: client, user: user, roles: roles, address: address)
        who.find(
            caller,
            { (shard, subject, _) throws(Refusal) in
                AdminList(Self.lines(shard.access.rules, subject, written: shard.configuration.access.rules.count))
            }, then: then)
    }

    /// What the rules allow and deny a client.
    ///
    /// - Parameter written: how many rules the configuration has.
    package static func lines(_ rules: AccessRules, _ subject: Subject, written: Int) -> [Line] {
        AccessExplanation.Action.allCases.filter { $0.administration == nil }.flatMap { action in
            AccessExplanation.lines(rules, subject, action).map { said in
                var line = Line()
                line.right = action.rawValue
                line.isDenial = said.isDenial
                line.filters = said.filters
                line.rule = rules.title(said.source, written: written)
                return line
            }
        }
    }
}

/// The subject of an administrator's question about rights.
private struct Who: Sendable, CustomStringConvertible {
    /// The id of a connected client; `nil` if ``user`` is the subject.
    var client: String?
    /// `nil` for a client without credentials.
    var user: String?
    var roles: [String]
    var address: String?

    var description: String { client.map { "client \($0)" } ?? user.map { "user \($0)" } ?? "anonymous" }

    /// Passes the subject to `body` as the rules see it, on the thread of the shard that knows it.
    ///
    /// - Parameter body: also gets the grant that decides the client's rights; `nil` if the rules decide.
    func find<Answer: Sendable>(
        _ caller: AdminCaller, _ body: @escaping @Sendable (Shard, Subject, Grant?) throws(Refusal) -> Answer,
        then: @escaping (Result<Answer, Refusal>) -> Void
    ) {
        let shard = caller.desk.shard
        guard let client else {
            var principal = Principal.anonymous
            if let user {
                let all = shard.access.users.roles(of: user).union(roles.exact)
                principal = Principal(.token, user: user, roles: all)
            }
            let subject = Subject(principal, address: address)
            return then(Result { () throws(Refusal) in try body(shard, subject, nil) })
        }
        caller.desk.everyone.ask(client: client, from: shard) { session -> Result<Answer, Refusal>? in
            guard let shard = session.connection?.reactor[Shard.self] else { return nil }
            let (subject, grant) = shard.standing(of: session.client)
            return Result { () throws(Refusal) in try body(shard, subject, grant) }
        } then: { found in
            then(found ?? .failure(Refusal(.notFound, "There is no client \(AuditEvent.clip(client)).")))
        }
    }
}

extension ExplainAccessRequest.Answer {
    /// - Parameter written: the number of rules in the configuration.
    package init(_ explanation: AccessExplanation, _ rules: AccessRules, written: Int) {
        self.init()
        isAllowed = explanation.isAllowed
        reason = explanation.reason
        denier = explanation.denier.map { rules.title($0, written: written) }
        lines = explanation.lines.map { said in
            var line = ExplainAccessRequest.Line()
            line.rule = rules.title(said.source, written: written)
            line.template = said.template
            line.isDenial = said.isDenial
            line.filters = said.filters
            line.matches = said.matches
            return line
        }
    }
}

extension AccessRules {
    /// The title of a source: a rule as it is in the configuration, or the client's token.
    ///
    /// - Parameter written: the number of rules in the configuration; they are the last ones of all rules.
    fileprivate func title(_ source: AccessExplanation.Source, written: Int) -> String {
        let number: Int
        switch source {
        case .rule(let rule): number = rule
        case .token: return "its token"
        case .ceiling: return "its token, at most"
        }
        let first = rules.count - written
        guard number >= first else { return "anonymous" }
        let condition = rules[number].condition
        var words = ["rules[\(number - first)]"]
        if condition.isEveryone { words.append("everyone") }
        if let user = condition.user { words.append("user \(user)") }
        if let role = condition.role { words.append("role \(role)") }
        return words.joined(separator: " ")
    }
}

extension CheckTokenRequest: AnsweredRequest {
    static var event: AuditEvent.Name { .token("check") }
    var subject: String? { OpaqueToken(token).map { "token \($0.id)" } }
    func outcome(_ answer: Answer) -> String { answer.isValid ? "valid" : answer.reason }

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard let authenticator = caller.desk.facts.authenticator else {
            throw Refusal(.unavailable, "This broker accepts no tokens.")
        }
        let shard = caller.desk.shard
        func conclude(_ outcome: Result<Principal, AuthenticationFailure>) {
            switch outcome {
            case .success(let principal): then(.success(Answer(principal, shard.access, from: address)))
            case .failure(let failure):
                var answer = Answer()
                answer.reason = failure.cause ?? failure.message
                then(.success(answer))
            }
        }
        switch authenticator.authenticate(.bearer(token), shard.access, from: { address }) {
        case .known(let principal): conclude(.success(principal))
        case .refused(let failure): conclude(.failure(failure))
        case .pending(let begin):
            let link = ReactorLink(remote: shard.reactor.remote)
            link.bind(Conclusion(conclude), on: shard.reactor)
            begin { outcome in link.take(Conclusion.self) { $0?.body(outcome) } }
        }
    }
}

extension CheckTokenRequest {
    /// Checks one of the broker's own tokens by the users file alone, without rules.
    package func answer(by users: UserTable, now: Int64) -> Answer {
        var answer = Answer()
        guard let opaque = OpaqueToken(token) else {
            answer.reason = "not a token of this broker"
            return answer
        }
        guard let principal = users.principal(for: opaque, from: { address }, now: now) else {
            answer.reason = users.rejection(of: opaque, from: { address }, now: now)
            return answer
        }
        return Answer(principal, Access(AccessRules([]), users: users), from: address)
    }
}

/// The continuation of a token's check, on its reactor's thread.
private final class Conclusion {
    let body: (Result<Principal, AuthenticationFailure>) -> Void
    init(_ body: @escaping (Result<Principal, AuthenticationFailure>) -> Void) { self.body = body }
}

extension CheckTokenRequest.Answer {
    fileprivate init(_ principal: Principal, _ access: Access, from address: String?) {
        self.init()
        isValid = true
        kind = principal.kind.rawValue
        user = principal.user ?? ""
        id = principal.token
        roles = principal.roles.map(\.text).sorted()
        expires = principal.expires
        let subject = Subject(principal, address: address)
        let administration = access.adminRights(of: subject)
        rights = access.rules.entries(for: subject).flatMap(\.words)
        rights += AdminRight.allCases.filter(administration.contains).map { "administer \($0.rawValue)" }
        limits = principal.ceilings.flatMap { $0.entries(for: subject) }.flatMap(\.words)
    }
}

extension AccessRules {
    /// The rights that the rules and the client's token give and deny.
    fileprivate func entries(for subject: Subject) -> [Grant.Entry] {
        let carried = subject.principal.carried?.entries(for: subject) ?? []
        return carried + applying(to: subject).flatMap { rules[$0].entries(for: subject) }
    }
}

extension Grant.Entry {
    /// The rights as text, such as `publish a/#`.
    fileprivate var words: [String] {
        [
            (Rights.publish, "publish"), (.subscribe, "subscribe"), (.retain, "retain"),
            (.noPublish, "deny publish"), (.noSubscribe, "deny subscribe"),
        ].filter { rights.contains($0.0) }.map { "\($0.1) \(filter.name)" }
    }
}
