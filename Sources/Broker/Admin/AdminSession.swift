internal import WSTransport

/// One administrator on `/admin` of the administration socket: one JSON object a question, one an answer.
final class AdminSession: WebSocketSession {
    static let subprotocol = "broker.admin.v1.json"

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
            let object = try JSONObject.parse(payload)
            id = try? object.identifier()
            question = try AdminQuestion(object, from: socket.stream)
        } catch {
            return reply(id, .failure(Refusal(.badRequest, "\(error).")))
        }
        do throws(Refusal) { try answer(question, id) } catch { reply(id, .failure(error)) }
    }

    private func answer(_ question: AdminQuestion, _ id: [UInt8]?) throws(Refusal) {
        try desk.answer(question) { [weak self] result in self?.reply(id, result) }
    }

    private func reply(_ id: [UInt8]?, _ result: Result<AdminAnswer, Refusal>) {
        var writer = JSONWriter(capacity: 256)
        writer.beginObject()
        if let id { writer.member("id", raw: id.span) }
        switch result {
        case .success(let answer):
            writer.member("result", raw: answer.json.span)
            if answer.isTruncated { writer.member("truncated", true) }
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

    func closed(_ event: CloseEvent) {}
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
    /// Whether ``data`` is a JSON value, as anything but a string is; with the kind `json` a string is, too.
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
    /// How long to count, in seconds.
    let seconds: Double?
    let path: String?

    init(_ object: borrowing JSONObject, from source: StreamConnection? = nil) throws(JSONError) {
        self.source = source
        verb = try object.string("verb") ?? ""
        client = try object.string("client")
        user = try object.string("user")
        filter = try object.string("filter")
        topic = try object.string("topic")
        kind = try object.string("kind")
        let found = object.kind(of: "data")
        isJSON = found != nil && (found != .string || kind == "json")
        data = try isJSON ? object.value("data")?.copyRawBytes() : object.stringBytes("data")
        encoding = try object.string("encoding")
        type = try object.string("type")
        timeToLive = try object.double("ttl")
        expires = try object.integer("expires", as: Int64.self)
        after = try object.string("after")
        isTrial = try object.bool("dryRun") ?? false
        seconds = try object.double("seconds")
        path = try object.string("path")
    }
}

/// What an administrator is told: one JSON value.
struct AdminAnswer {
    var json: [UInt8]
    var isTruncated = false

    /// A list of values that are encoded already.
    init(list: [[UInt8]], isTruncated: Bool = false) {
        var writer = JSONWriter(capacity: list.reduce(16) { $0 + $1.count + 1 })
        writer.beginArray()
        for item in list { writer.raw(item.span) }
        writer.endArray()
        json = writer.bytes
        self.isTruncated = isTruncated
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
