internal import WSTransport

/// One administrator on `/admin`: one JSON object a request, one an answer.
///
/// At the administration socket it has every right, and is no client.
class AdminSession: WebSocketSession {
    /// The data of a request may nest as deep as any, inside the request.
    private static let maximumDepth = JSONScanner.maximumDepth + 1

    let socket: WebSocketConnection
    let desk: AdminDesk
    private let allRights: Set<AdminRight>
    /// The copy of the store that is under way for it.
    var backup: Backup?
    /// How many requests have not been answered.
    private(set) var underWay = 0

    /// - Parameter rights: what it is allowed to do; on the administration socket all of it.
    init(socket: WebSocketConnection, desk: AdminDesk, rights: Set<AdminRight> = Set(AdminRight.allCases)) {
        self.socket = socket
        self.desk = desk
        allRights = rights
    }

    /// Makes an administrator's socket of a request.
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

    /// What it may do now.
    var rights: Set<AdminRight> { allRights }

    /// What of the administrator the audit log names; `nil`: its process is not known.
    var actor: AuditEvent.Actor? { AuditEvent.Actor(socket.stream) }

    /// Whether it goes on: it is connected, and its credentials hold.
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
        underWay += 1
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

    /// A request has been answered.
    func oneIsDone() { underWay -= 1 }

    // MARK: The audit log

    /// What puts a request into the audit log, with what came of it.
    private func makeRecord<Request: AnsweredRequest>(of request: Request) -> (_ result: String) -> Void {
        guard Request.isAudited, let tally = desk.shard.reactor[AuditTally.self], tally.isOn else { return { _ in } }
        let event = event(request.ownEvent, about: request.subject)
        return { [event] result in
            var event = event
            event.result = result
            tally.write(event)
        }
    }

    /// Counts a verb that it has no right to, and puts it into the audit log: what it repeats within a second is one line.
    func deny(_ verb: AuditEvent.Name, about subject: String?) {
        desk.shard.counters.deniedAdministration.add(1)
        func denial() -> AuditEvent {
            var event = event(verb, about: subject)
            event.result = ErrorCode.forbidden.rawValue
            return event
        }
        desk.shard.reactor[AuditTally.self]?.count(AuditTally.Matter(verb, of: socket.stream.token), denial())
    }

    /// A verb of this administrator's.
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

    /// Sends bytes as they are.
    func send(_ bytes: [UInt8]) { socket.send(.binary, bytes) }

    func closing() {}

    func closed(_ event: CloseEvent) { backup?.giveUp() }
}

/// A request as the broker answers it.
protocol AnsweredRequest: AdminRequest {
    /// Calls `then` once, at once or later, on the same thread; or throws, and does not call it.
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal)
    static var isAudited: Bool { get }
    static var event: AuditEvent.Name { get }
    var ownEvent: AuditEvent.Name { get }
    /// Refuses what the settings make useless.
    func check(_ access: Access) throws(Refusal)
    var subject: String? { get }
    func outcome(_ answer: Answer) -> String
}

/// What asks.
struct AdminCaller {
    let desk: AdminDesk
    /// What the request came by.
    let source: StreamConnection
    weak var session: AdminSession?

    /// Whether it is still there, and may go on with what takes several turns.
    var goesOn: Bool { session?.goesOn ?? false }
}

extension AdminSession {
    /// Every verb there is.
    private static let all: [any AnsweredRequest.Type] = [
        StatusRequest.self, ClientsRequest.self, ClientRequest.self, KickRequest.self, TopicsRequest.self,
        SubscriptionsRequest.self, RetainedListRequest.self, RetainedGetRequest.self, RetainedSetRequest.self,
        RetainedDeleteRequest.self, RetainedExportRequest.self, BackupRequest.self, BackupNextRequest.self,
        DrainRequest.self, ReloadRequest.self, LogLevelRequest.self, ConfigShowRequest.self, ConfigPlanRequest.self,
        BansRequest.self, AddBanRequest.self,
        RemoveBanRequest.self,
        ListUsersRequest.self, AddUserRequest.self, SetPasswordRequest.self, RemoveUserRequest.self,
        DisableUserRequest.self, SetRolesRequest.self, ListTokensRequest.self, MintTokenRequest.self,
        RevokeTokenRequest.self, CheckTokenRequest.self, ExplainAccessRequest.self, ReadAuditRequest.self,
        ReadEventsRequest.self, WhyRequest.self, TraceRequest.self,
    ]

    /// By their names.
    static let verbs = Dictionary(uniqueKeysWithValues: all.map { ($0.verb, $0) })
}
