internal import WSTransport

/// An administrator on a listener with `admin: true`: a client like any other, whose rights are checked for each
/// request.
///
/// Therefore everything that ends a client ends the session: an expired or revoked token, a disabled user, a kick, a
/// drain.
final class NetworkAdminSession: AdminSession, Session {
    /// How many requests may be in progress before reading pauses.
    private static let maximumUnanswered = 64
    /// How many commands of other clients one request counts as.
    private static let weight = 20

    let client: Client
    let subscriptions = SubscriptionSet()

    init(socket: WebSocketConnection, desk: AdminDesk, client: Client) {
        self.client = client
        super.init(socket: socket, desk: desk, rights: [])
        desk.shard.join(self)
    }

    /// Upgrades a request to an administrator's WebSocket, if the client has any administrative right.
    static func open(_ visit: Visit) throws(HTTPRefusal) {
        try visit.exchange.takesOnly([])
        let client = try visit.makeClient(AdminWire.subprotocol)
        guard !visit.shard.access.adminRights(of: client.subject).isEmpty else {
            tellOfStranger(client, visit)
            throw HTTPRefusal(
                Refusal(
                    .forbidden,
                    "You may not administer the broker: that needs read, write or operate in a rule's admin."))
        }
        try open(visit) { socket, desk in NetworkAdminSession(socket: socket, desk: desk, client: client) }
    }

    /// Counts and logs an authenticated client without administrative rights.
    private static func tellOfStranger(_ client: Client, _ visit: Visit) {
        visit.shard.counters.deniedAdministration.add(1)
        func denial() -> AuditEvent {
            var event = AuditEvent(.admin("open"), client, target: client.listener)
            event.result = ErrorCode.forbidden.rawValue
            return event
        }
        let matter = AuditTally.Matter(.admin("open"), "\(client.address) \(client.principal.user ?? "")")
        visit.shard.reactor[AuditTally.self]?.count(matter, denial())
    }

    // MARK: An administrator

    override var rights: Set<AdminRight> {
        goesOn ? desk.shard.access.adminRights(of: client.subject) : []
    }

    override var goesOn: Bool { super.goesOn && !client.hasEnded(desk.shard.grants) }

    override var actor: AuditEvent.Actor? { client.principal.user.map { .network(user: AuditEvent.clip($0)) } }

    override func event(_ verb: AuditEvent.Name, about subject: String?) -> AuditEvent {
        var event = super.event(verb, about: subject)
        event.kind = client.principal.kind.rawValue
        event.client = client.name
        event.address = client.address
        event.token = client.principal.token.map(AuditEvent.clip)
        return event
    }

    override func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        super.received(opcode, payload)
        let stream = socket.stream
        if unanswered >= Self.maximumUnanswered { stream.pauseReading(for: .user) }
        guard !desk.shard.takesMore(from: stream.slot, after: Self.weight) else { return }
        stream.pauseReading(for: .turn)
        desk.shard.inNextTurn { [stream] in stream.resumeReading(for: .turn) }
    }

    override func oneIsDone() {
        super.oneIsDone()
        if unanswered == Self.maximumUnanswered - 1 { socket.stream.resumeReading(for: .user) }
    }

    override func closing() { desk.shard.leave(self) }

    override func closed(_ event: CloseEvent) {
        desk.shard.leave(self)
        super.closed(event)
    }

    // MARK: A client without subscriptions

    var connection: StreamConnection? { socket.stream }
    var lane: Lane? { nil }
    var roundTrip: Int64? { socket.roundTrip }

    func sendSnapshot(_ message: Message) {}
    func sendLive(_ filter: TopicFilter, seq: UInt64) {}
    func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool) {}
    func revoked(_ filter: TopicFilter, _ refusal: Refusal) {}

    func end(_ reason: SessionEnd) { socket.end(reason) }

    func takeOverLimits() { socket.adopt(desk.shard.endpoints.settings.adminOptions) }
}
