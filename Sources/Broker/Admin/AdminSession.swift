internal import WSTransport

/// One administrator on `/admin` of the administration socket: one JSON object a question, one an answer.
final class AdminSession: WebSocketSession {
    static let subprotocol = "broker.admin.v1.json"

    /// The data of a question may nest as deep as any, inside the question.
    private static let maximumDepth = JSONScanner.maximumDepth + 1

    /// The longest question, in bytes: a value of the longest topic and payload that are allowed, as export writes it.
    static func maximumQuestion(_ limits: Settings.Limits) -> Int { 2 * limits.message + 2 * limits.topic + 4096 }

    private let socket: WebSocketConnection
    private let desk: AdminDesk

    init(socket: WebSocketConnection, desk: AdminDesk) {
        self.socket = socket
        self.desk = desk
    }

    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {
        var id: [UInt8]?
        let question: AdminQuestion
        do throws(JSONError) {
            let object = try JSONObject.parse(payload, maximumDepth: Self.maximumDepth)
            id = try? object.identifier()
            question = try AdminQuestion(object, from: socket.stream)
        } catch {
            id = id ?? RefusedObject(payload, from: 0, error).identifier
            return reply(id, .failure(Refusal(.badRequest, "\(error).")))
        }
        do throws(Refusal) { try answer(question, id) } catch { reply(id, .failure(error)) }
    }

    private func answer(_ question: AdminQuestion, _ id: [UInt8]?) throws(Refusal) {
        switch question.verb {
        case "backup":
            try desk.beginBackup(for: self)
            reply(id, .success(AdminAnswer { _ in }))
        case "backup.next":
            try desk.nextPiece(of: self) { [weak self] piece in self?.hand(piece, id) }
        default:
            try desk.answer(question) { [weak self] result in self?.reply(id, result) }
        }
    }

    private func hand(_ piece: BackupStream.Piece, _ id: [UInt8]?) {
        switch piece {
        case .bytes(let bytes): socket.send(.binary, bytes)
        case .end(nil): reply(id, .success(AdminAnswer { _ in }))
        case .end(let failure?): reply(id, .failure(Refusal(.unavailable, "\(failure).")))
        }
    }

    private func reply(_ id: [UInt8]?, _ result: Result<AdminAnswer, Refusal>) {
        var writer = JSONWriter(capacity: 256)
        writer.beginObject()
        if let id { writer.member("id", raw: id.span) }
        switch result {
        case .success(let answer):
            writer.member("result", raw: answer.json.span)
            if answer.isTruncated { writer.member("truncated", true) }
            if let next = answer.next { writer.member("next", next) }
        case .failure(let refusal):
            writer.name("error")
            writer.beginObject()
            writer.member("code", refusal.code.rawValue)
            writer.member("message", refusal.message)
            writer.endObject()
        }
        writer.endObject()
        socket.send(.text, writer.bytes)
    }

    func closed(_ event: CloseEvent) { desk.abandonBackup(of: self) }
}

/// What an administrator asks.
struct AdminQuestion {
    let verb: String
    /// What it came by, which is not read on while the broker cannot keep up with what it publishes; `nil`: nothing.
    let source: StreamConnection?
    let client: String?
    let user: String?
    let filter: String?
    let topic: String?
    let data: [UInt8]?
    /// Whether ``data`` is a JSON value, as anything but a string is; with the kind `json` a string is, too, unless it is
    /// base64 of one.
    let isJSON: Bool
    let kind: String?
    let encoding: String?
    let type: String?
    let timeToLive: Double?
    /// When the value ceases to be, in Unix milliseconds.
    let expires: Int64?
    /// Go on after this topic.
    let after: String?
    /// Only say what would be done.
    let isTrial: Bool
    /// The data byte for byte, in base64 where JSON would change it.
    let isExact: Bool
    /// How long to count, in seconds.
    let seconds: Double?

    init(_ object: borrowing JSONObject, from source: StreamConnection? = nil) throws(JSONError) {
        self.source = source
        verb = try object.string("verb") ?? ""
        client = try object.string("client")
        user = try object.string("user")
        filter = try object.string("filter")
        topic = try object.string("topic")
        kind = try object.string("kind")
        let found = object.kind(of: "data")
        encoding = try object.string("encoding")
        isJSON = found != nil && (found != .string || kind == "json" && encoding == nil)
        data = try isJSON ? object.value("data")?.copyRawBytes() : object.stringBytes("data")
        type = try object.string("type")
        timeToLive = try object.double("ttl")
        expires = try object.integer("expires", as: Int64.self)
        after = try object.string("after")
        isTrial = try object.bool("dryRun") ?? false
        isExact = try object.bool("exact") ?? false
        seconds = try object.double("seconds")
    }
}

/// What an administrator is told: one JSON value.
struct AdminAnswer {
    var json: [UInt8]
    var isTruncated = false
    /// Where the next question goes on; `nil`: nowhere.
    var next: String?

    /// A list of values that are encoded already.
    init(list: [[UInt8]], isTruncated: Bool = false, next: String? = nil) {
        var writer = JSONWriter(capacity: list.reduce(16) { $0 + $1.count + 1 })
        writer.beginArray()
        for item in list { writer.raw(item.span) }
        writer.endArray()
        json = writer.bytes
        self.isTruncated = isTruncated
        self.next = next
    }

    /// An object with the members that `body` writes.
    init(_ body: (inout JSONWriter) -> Void) {
        var writer = JSONWriter(capacity: 256)
        writer.beginObject()
        body(&writer)
        writer.endObject()
        json = writer.bytes
    }
}
