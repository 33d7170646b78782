internal import WSTransport

/// One administrator on `/admin` of the administration socket: one JSON object a request, one an answer.
final class AdminSession: WebSocketSession {
    /// The data of a request may nest as deep as any, inside the request.
    private static let maximumDepth = JSONScanner.maximumDepth + 1

    /// The longest request, in bytes: a value of the longest topic and payload that are allowed, as export writes it.
    static func maximumQuestion(message: Int, topic: Int) -> Int { 2 * message + 2 * topic + 4096 }

    private let socket: WebSocketConnection
    private let desk: AdminDesk
    private let rights: Set<AdminRight>
    /// The copy of the store that is under way for it.
    var backup: Backup?

    /// - Parameter rights: what it is allowed to do; on the administration socket all of it.
    init(socket: WebSocketConnection, desk: AdminDesk, rights: Set<AdminRight> = Set(AdminRight.allCases)) {
        self.socket = socket
        self.desk = desk
        self.rights = rights
    }

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
        let request = try Request(object)
        let record = makeRecord(of: request)
        func decline(_ refusal: Refusal) {
            record(refusal.code.rawValue)
            refuse(id, refusal)
        }
        guard rights.contains(Request.right) else {
            let message = "\(Request.verb): needs the right \"\(Request.right.rawValue)\"."
            return decline(Refusal(.forbidden, message))
        }
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
            }
        } catch {
            decline(error)
        }
    }

    /// What puts a request into the audit log, with what came of it.
    private func makeRecord<Request: AnsweredRequest>(of request: Request) -> (_ result: String) -> Void {
        guard Request.isAudited, let tally = desk.shard.reactor[AuditTally.self], tally.isOn else { return { _ in } }
        var event = AuditEvent(.admin(Request.verb))
        event.actor = AuditEvent.Actor(socket.stream)
        event.target = request.subject.map(AuditEvent.clip)
        return { [event] result in
            var event = event
            event.result = result
            tally.write(event)
        }
    }

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

    func closed(_ event: CloseEvent) { backup?.giveUp() }
}

/// A request as the broker answers it.
protocol AnsweredRequest: AdminRequest {
    /// Calls `then` once, at once or later, on the same thread; or throws, and does not call it.
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal)
    static var isAudited: Bool { get }
    var subject: String? { get }
    func outcome(_ answer: Answer) -> String
}

/// What asks.
struct AdminCaller {
    let desk: AdminDesk
    /// What the request came by.
    let source: StreamConnection
    weak var session: AdminSession?
}

extension AdminSession {
    /// Every verb there is.
    private static let all: [any AnsweredRequest.Type] = [
        StatusRequest.self, ClientsRequest.self, ClientRequest.self, KickRequest.self, TopicsRequest.self,
        SubscriptionsRequest.self, RetainedListRequest.self, RetainedGetRequest.self, RetainedSetRequest.self,
        RetainedDeleteRequest.self, RetainedExportRequest.self, BackupRequest.self, BackupNextRequest.self,
        DrainRequest.self, ReloadRequest.self,
    ]

    /// By their names.
    static let verbs = Dictionary(uniqueKeysWithValues: all.map { ($0.verb, $0) })
}
