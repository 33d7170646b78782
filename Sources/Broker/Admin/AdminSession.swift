internal import WSTransport

/// One administrator on `/admin`: each request and each answer is a JSON object.
///
/// On the administration socket an administrator has every right, and is not counted as a client.
class AdminSession: WebSocketSession {
    /// The data of a request may nest as deep as JSON data may, plus one level for the request itself.
    private static let maximumDepth = JSONScanner.maximumDepth + 1

    let socket: WebSocketConnection
    let desk: AdminDesk
    private let allRights: Set<AdminRight>
    /// The backup that was started by the administrator and is in progress.
    var backup: Backup?
    /// How many requests were not answered yet.
    private(set) var unanswered = 0

    /// - Parameter rights: the administrator's rights; all of them on the administration socket.
    init(socket: WebSocketConnection, desk: AdminDesk, rights: Set<AdminRight> = Set(AdminRight.allCases)) {
        self.socket = socket
        self.desk = desk
        allRights = rights
    }

    /// Upgrades a request to an administrator's WebSocket.
    static func open(
        _ visit: Visit, _ make: @escaping (WebSocketConnection, AdminDesk) -> AdminSession
    ) throws(HTTPRefusal) {
        guard let desk = visit.shard.reactor[AdminDesk.self] else {
            throw HTTPRefusal(status: 404, code: "not-found", message: "This listener has no administration.")
        }
        let options = visit.shard.endpoints.settings.adminOptions
        visit.exchange.upgrade { request in
            let isOffered = request.subprotocols.contains(AdminWire.subprotocol)
            return Admission(subprotocol: isOffered ? AdminWire.subprotocol : nil, options: options) { socket in
                make(socket, desk)
            }
        }
    }

    /// The administrator's present rights.
    var rights: Set<AdminRight> { allRights }

    /// The administrator, for the audit log; `nil` if the process is unknown.
    var actor: AuditEvent.Actor? { AuditEvent.Actor(socket.stream) }

    /// Whether the session is open and its credentials are still accepted.
    var goesOn: Bool { socket.readyState == .open }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        var id: [UInt8]?
        do throws(JSONError) {
            let object = try JSONObject.parse(payload, maximumDepth: Self.maximumDepth)
            id = try? object.identifier()
            let verb = try object.string("verb") ?? ""
            guard let type = Self.verbs[verb] else {
                return refuse(id, Refusal(.badRequest, "verb: there is no \"\(verb)\"."))
            }
            try answer(type, object, id)
        } catch {
            refuse(id ?? RefusedObject(payload, from: 0, error).identifier, Refusal(.badRequest, "\(error)."))
        }
    }

    private func answer<Request: AnsweredRequest>(
        _ type: Request.Type, _ object: borrowing JSONObject, _ id: [UInt8]?
    ) throws(JSONError) {
        guard rights.contains(Request.right) else {
            let request = try? Request(object)
            deny(request?.ownEvent ?? Request.event, about: request?.subject)
            let message = "\(Request.verb): needs the right \"\(Request.right.rawValue)\"."
            return refuse(id, Refusal(.forbidden, message))
        }
        let request = try Request(object)
        let record = makeRecord(of: request)
        unanswered += 1
        do throws(Refusal) {
            try request.answer(AdminCaller(desk: desk, source: socket.stream, session: self)) { [weak self] result in
                switch result {
                case .success(let answer):
                    record(request.outcome(answer))
                    self?.socket.send(.text, AdminWire.answer(id) { answer.writeAnswer(to: &$0) })
                case .failure(let refusal):
                    record(refusal.code.rawValue)
                    self?.refuse(id, refusal)
                }
                self?.oneIsDone()
            }
        } catch {
            record(error.code.rawValue)
            refuse(id, error)
            oneIsDone()
        }
    }

    /// Counts a request as answered.
    func oneIsDone() { unanswered -= 1 }

    // MARK: The audit log

    /// Returns a closure that logs a request with its result.
    private func makeRecord<Request: AnsweredRequest>(of request: Request) -> (_ result: String) -> Void {
        guard Request.isAudited, let tally = desk.shard.reactor[AuditTally.self], tally.isOn else { return { _ in } }
        let event = event(request.ownEvent, about: request.subject)
        return { [event] result in
            var event = event
            event.result = result
            tally.write(event)
        }
    }

    /// Counts and logs a verb for which the right is missing; repetitions within a second share a line.
    func deny(_ verb: AuditEvent.Name, about subject: String?) {
        desk.shard.counters.deniedAdministration.add(1)
        func denial() -> AuditEvent {
            var event = event(verb, about: subject)
            event.result = ErrorCode.forbidden.rawValue
            return event
        }
        desk.shard.reactor[AuditTally.self]?.count(AuditTally.Matter(verb, of: socket.stream.token), denial())
    }

    /// Creates an event about a verb of this administrator.
    func event(_ verb: AuditEvent.Name, about subject: String?) -> AuditEvent {
        var event = AuditEvent(verb)
        event.actor = actor
        event.target = subject.map(AuditEvent.clip)
        return event
    }

    // MARK: Answers

    private func refuse(_ id: [UInt8]?, _ refusal: Refusal) {
        let answer = AdminWire.answer(id) { writer in
            writer.name("error")
            writer.beginObject()
            writer.member("code", refusal.code.rawValue)
            writer.member("message", refusal.message)
            writer.endObject()
        }
        socket.send(.text, answer)
    }

    /// Sends bytes unchanged, as a binary message.
    func send(_ bytes: [UInt8]) { socket.send(.binary, bytes) }

    func closing() {}

    func closed(_ event: CloseEvent) { backup?.giveUp() }
}

/// A request that the broker can answer.
protocol AnsweredRequest: AdminRequest {
    /// Answers the request: calls `then` once, now or later, on the same thread; or throws, and does not call it.
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal)
    static var isAudited: Bool { get }
    static var event: AuditEvent.Name { get }
    var ownEvent: AuditEvent.Name { get }
    /// Refuses a request that the settings make useless.
    func check(_ access: Access) throws(Refusal)
    var subject: String? { get }
    func outcome(_ answer: Answer) -> String
}

/// The caller of a request.
struct AdminCaller {
    let desk: AdminDesk
    /// The connection that the request arrived on; `nil` if another broker has sent it.
    let source: StreamConnection?
    weak var session: AdminSession?
    /// The administrator, if the request comes from another broker; `nil` for one of this broker.
    var peer: String?

    /// Whether the caller is still connected, so that work that takes several turns should continue.
    var goesOn: Bool { peer != nil || session?.goesOn ?? false }

    /// The administrator, for people.
    var actorName: String { peer ?? session?.actor?.description ?? "an administrator" }
}

extension AdminSession {
    /// All verbs.
    private static let all: [any AnsweredRequest.Type] = [
        StatusRequest.self, ClientsRequest.self, ClientRequest.self, ClientPolicyRequest.self, KickRequest.self,
        TopicsRequest.self,
        SubscriptionsRequest.self, RetainedListRequest.self, RetainedGetRequest.self, RetainedSetRequest.self,
        RetainedDeleteRequest.self, RetainedExportRequest.self, BackupRequest.self, BackupNextRequest.self,
        DrainRequest.self, ReloadRequest.self, LogLevelRequest.self, ConfigShowRequest.self, ConfigPlanRequest.self,
        BansRequest.self, AddBanRequest.self,
        RemoveBanRequest.self,
        ListUsersRequest.self, AddUserRequest.self, SetPasswordRequest.self, RemoveUserRequest.self,
        DisableUserRequest.self, SetRolesRequest.self, ListTokensRequest.self, MintTokenRequest.self,
        RevokeTokenRequest.self, CheckTokenRequest.self, ExplainAccessRequest.self, ListAccessRequest.self,
        ReadAuditRequest.self, ReadEventsRequest.self, WhyRequest.self, TraceRequest.self, ClusterRequest.self,
        ForgetNodeRequest.self,
    ]

    /// The request types by their verbs.
    static let verbs = Dictionary(uniqueKeysWithValues: all.map { ($0.verb, $0) })
}
