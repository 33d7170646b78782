package import WSTransport

extension AuditTally {
    /// That of a reactor.
    package convenience init(_ log: AuditLog, on reactor: Reactor) {
        self.init(log) { [unowned reactor] body in reactor.run(afterNanoseconds: 1_000_000_000, body) }
    }
}

extension AuditTally: Witness {
    package func denied(_ act: DeniedAct, _ name: String, to client: Client, by rule: TopicFilter?) {
        let event: AuditEvent.Name =
            switch act {
            case .publish: .publishDenied
            case .subscribe: .subscribeDenied
            case .retain: .retainDenied
            }
        count(Matter(event, client), AuditEvent(event, client, target: name, rule: rule?.name))
    }

    package func revoked(_ filter: TopicFilter, of client: Client) {
        write(AuditEvent(.sessionRevoked, client, target: filter.name))
    }

    package func shutOut(_ ban: Ban, _ peer: SocketAddress?) {
        func event() -> AuditEvent {
            var event = AuditEvent(.ban("refused"), target: ban.subject.description, result: ban.id)
            event.address = peer?.description
            return event
        }
        count(Matter(.ban("refused"), of: 0, "\(ban.id) \(peer?.host ?? "")"), event())
    }

    package func limited(_ client: Client, by limit: String) {
        count(Matter(.limitHit, client, limit), AuditEvent(.limitHit, client, target: limit))
    }
}

extension AuditTally.Matter {
    /// What a client did, by its connection and its user: each request to follow a filter has a client of its own.
    fileprivate init(_ name: AuditEvent.Name, _ client: Client, _ text: String = "") {
        self.init(name, "\(client.address) \(client.principal.user ?? "") \(text)")
    }
}

extension AuditEvent {
    /// What a client did.
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
    /// What the configuration says.
    init(_ place: Settings.Log.Audit) {
        self =
            switch place {
            case .none: .none
            case .output: .output
            case .file(let path): .file(path)
            }
    }
}
