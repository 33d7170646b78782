internal import Broker
internal import WSTransport

/// A connection that speaks `broker.v1.json` (the contract's §3).
struct MessageClient {
    /// A frame from the broker.
    enum Notice {
        case welcome(maximumMessage: Int)
        /// The answer to a request, as received.
        case ok(id: Int?, [UInt8])
        case error(id: Int?, String)
        case message(TopicMessage)
        /// The reply to a request.
        case reply(id: Int?, TopicMessage)
        /// Messages that match this filter are missing; `missed` says how many, if known.
        case gap(String, missed: Int?)
        /// The retained values, and the missed messages up to this position, have arrived.
        case live(FeedPosition)
        /// The subscription has ended, because its right was revoked; the value is a sentence.
        case revoked(String)
        /// Anything else, such as additions of later versions.
        case other
    }

    let endpoint: Endpoint
    /// The longest frame that the broker accepts, in bytes.
    private(set) var maximumMessage = 1 << 20
    private let client: WebSocket
    private var waiting = Fifo<Notice>()

    /// Connects, and waits for the welcome.
    init(_ options: ConnectionOptions) async throws {
        let target = try options.target()
        try await self.init(target, try options.security(of: target))
    }

    /// Connects to a given broker, and waits for the welcome.
    init(_ target: Target, _ security: TLSContext?) async throws {
        endpoint = target.endpoint
        let options = target.options("broker.v1.json", security)
        do { client = try await ws.open(target.url(of: "/ws"), options: options) } catch {
            throw Failure.connecting(endpoint, error)
        }
        while true {
            switch try await next() {
            case .welcome(let maximum):
                maximumMessage = maximum
                return
            case .error(_, let reason): throw Failure.failed(reason)
            default: continue
            }
        }
    }

    /// Sends one request.
    func send(_ request: [UInt8]) async throws {
        do {
            try await client.send(String(decoding: request, as: UTF8.self))
        } catch is WS.Error {
            throw Failure.closed(endpoint, client)
        }
    }

    /// Waits for the next frame from the broker; throws when the connection ends.
    mutating func next() async throws -> Notice {
        while true {
            if let notice = waiting.popFirst() { return notice }
            do {
                guard let message = try await client.receive() else {
                    throw Failure.closed(endpoint, client)
                }
                for notice in try Self.notices(in: message.body) { waiting.append(notice) }
            } catch is WS.Error {
                throw Failure.closed(endpoint, client)
            }
        }
    }

    /// How the connection ended, if another connection may do better; otherwise `nil`.
    var passingEnd: (code: CloseCode, reason: String)? {
        guard client.endReason != .violation, let code = client.closeCode else { return nil }
        return (code, client.closeReason ?? "")
    }

    /// Closes the connection cleanly.
    func close() async { await client.closeAndWait() }

    private static func notices(in frame: [UInt8]) throws(Failure) -> [Notice] {
        var notices: [Notice] = []
        do throws(JSONError) {
            var scanner = JSONScanner(frame.span, maximumDepth: AdminWire.maximumDepth)
            while let object = try scanner.nextObject() { notices.append(try notice(object)) }
        } catch {
            throw .notUnderstood(error)
        }
        return notices
    }

    private static func notice(_ object: borrowing JSONObject) throws(JSONError) -> Notice {
        switch try object.string("op") {
        case "welcome": return .welcome(maximumMessage: try object.integer("maximumMessage", as: Int.self) ?? 1 << 20)
        case "ok":
            return .ok(
                id: try object.integer("id", as: Int.self), TopicMessage.members(of: object, without: ["op", "id"]))
        case "error":
            let code = try object.string("code") ?? "error"
            return .error(
                id: try object.integer("id", as: Int.self), "\(try object.string("message") ?? "refused") (\(code))")
        case "live":
            let (seq, position) = (try object.integer("seq", as: UInt64.self), try object.string("position"))
            return .live(FeedPosition(seq: seq, position: position) ?? FeedPosition(0))
        case "revoked": return .revoked(try object.string("message") ?? "")
        case "message": return .message(try TopicMessage(object))
        case "reply": return .reply(id: try object.integer("id", as: Int.self), try TopicMessage(object))
        case "gap":
            return .gap(
                try object.string("filter") ?? "", missed: try object.integer("missed", as: Int.self))
        default: return .other
        }
    }
}
