package import WSTransport

extension AuditTally {
    /// The tally of a reactor.
    package convenience init(_ log: AuditLog, on reactor: Reactor) {
        self.init(log) { [unowned reactor] body in reactor.run(afterNanoseconds: 1_000_000_000, body) }
    }
}

extension AuditTally {
    package func denied(_ act: DeniedAct, _ name: String, to client: Client, by rule: TopicFilter?) {
        let event: AuditEvent.Name =
            switch act {
            case .publish: .publishDenied
            case .subscribe: .subscribeDenied
            case .retain: .retainDenied
            }
        var line = AuditEvent(event, client, target: name, rule: rule?.name)
        line.result = client.principal.objection
        count(Matter(event, client), line)
    }

    package func revoked(_ filter: TopicFilter, of client: Client) {
        write(AuditEvent(.sessionRevoked, client, target: filter.name))
    }

    package func ended(_ client: Client) {
        write(AuditEvent(.sessionRevoked, client, target: "client \(client.name)"))
    }

    package func examined(
        _ credentials: Credentials, _ outcome: Result<Principal, AuthenticationFailure>, from peer: SocketAddress?
    ) {
        guard isOn else { return }
        var event: AuditEvent
        switch outcome {
        case .success(let principal):
            guard hasAuthentications else { return }
            event = AuditEvent(.authOK)
            event.user = principal.user.map(AuditEvent.clip)
            event.token = principal.token.map(AuditEvent.clip)
            event.result = principal.objection
        case .failure(let failure):
            event = AuditEvent(.authFailed)
            (event.user, event.token) = credentials.claimed
            event.result = failure.cause ?? failure.message
        }
        event.kind = credentials.kind
        event.address = peer?.description
        // Counted by address: otherwise a stranger could fill the log with ever new names.
        let who = event.name == .authOK ? "\(event.user ?? "") \(event.token ?? "")" : ""
        count(Matter(event.name, of: 0, "\(peer?.host ?? "") \(credentials.kind) \(who)"), event)
    }

    package func limited(_ peer: SocketAddress?, by limit: String) {
        func event() -> AuditEvent {
            var event = AuditEvent(.limitHit, target: limit)
            event.address = peer?.description
            return event
        }
        count(Matter(.limitHit, of: 0, "\(limit) \(peer?.host ?? "")"), event())
    }

    package func shutOut(_ ban: Ban, _ peer: SocketAddress?) {
        func event() -> AuditEvent {
            var event = AuditEvent(.ban("refused"), target: ban.subject.description, result: ban.id)
            event.address = peer?.description
            return event
        }
        // Counted by ban: a banned network has many addresses.
        count(Matter(.ban("refused"), of: 0, ban.id), event())
    }

    package func limited(_ client: Client, by limit: String) {
        count(Matter(.limitHit, client, limit), AuditEvent(.limitHit, client, target: limit))
    }
}

extension Credentials {
    /// The kind, as the audit log and the metrics name it.
    var kind: String {
        switch self {
        case .nothing: "anonymous"
        case .bearer(let text): OpaqueToken.isJWT(text) ? "jwt" : "token"
        case .basic: "password"
        case .certificate: "certificate"
        case .peer: "peer"
        case .session: "session"
        case .malformed: "unknown"
        case .administrator: "administrator"
        }
    }

    /// The user that they claim, and the id of a token: never the secret.
    fileprivate var claimed: (user: String?, token: String?) {
        switch self {
        case .bearer(let text):
            (JSONWebToken.subject(of: text).map { AuditEvent.clip($0) }, OpaqueToken(text)?.id)
        case .basic(let user, _): (AuditEvent.clip(user), nil)
        case .certificate(let certificate): (certificate.names.first.map { AuditEvent.clip($0) }, nil)
        case .peer(let number): ("uid \(number)", nil)
        case .nothing, .malformed, .session, .administrator: (nil, nil)
        }
    }
}

extension AuditTally.Matter {
    /// An act of a client, by its address with the port and its user: each request to follow a filter has a client of
    /// its own.
    fileprivate init(_ name: AuditEvent.Name, _ client: Client, _ text: String = "") {
        self.init(name, "\(client.address) \(client.principal.user ?? "") \(text)")
    }
}

extension AuditEvent {
    /// An event about an act of a client.
    package init(_ name: Name, _ client: Client, target: String, rule: String? = nil) {
        self.init(name, target: target)
        user = client.principal.user.map(Self.clip)
        kind = client.principal.kind.rawValue
        self.client = client.name
        address = client.address
        token = client.principal.token.map(Self.clip)
        self.rule = rule
    }
}

extension AuditLog.Place {
    /// The place from the configuration.
    init(_ place: Settings.Log.Audit) {
        self =
            switch place {
            case .none: .none
            case .output: .output
            case .file(let path): .file(path)
            }
    }
}
