import Foundation

@testable import WSTransport

/// The test's own client: sends text and reads answers.
final class HTTPPeer {
    struct Answer: Equatable {
        var status: Int
        var fields: HeaderFields
        var body: String
        /// The chunks of the body, if it came in chunks.
        var chunks: [String] = []
    }

    /// The bytes are not an HTTP answer.
    struct Malformed: Error { let what: String }

    let socket: SocketPeer
    private(set) var buffer: [UInt8] = []

    init(_ socket: SocketPeer) { self.socket = socket }

    func send(_ text: String) throws { try socket.send(text) }

    private func more() throws {
        let bytes = try socket.readSome()
        guard !bytes.isEmpty else {
            throw Malformed(what: "the end, after: " + String(decoding: buffer, as: UTF8.self))
        }
        buffer += bytes
    }

    /// The next answer; `isHead`: to a HEAD, so that no body follows.
    func readAnswer(isHead: Bool = false) throws -> Answer {
        let head = try readHead()
        var answer = Answer(status: head.status, fields: head.fields, body: "")
        guard !isHead, head.status >= 200, head.status != 204, head.status != 304 else { return answer }
        if head.fields.tokens("Transfer-Encoding") == ["chunked"] {
            while let chunk = try readChunk() { answer.chunks.append(chunk) }
            answer.body = answer.chunks.joined()
        } else {
            guard let length = head.fields.only("Content-Length").flatMap(Int.init) else {
                throw Malformed(what: "no Content-Length")
            }
            answer.body = try take(length)
        }
        return answer
    }

    func readHead() throws -> HTTPResponseHead {
        while true {
            let parsed = try buffer.withUnsafeBytes {
                try HTTPHeadParser.parseResponse($0, maximumHeadSize: 65_536)
            }
            if let (head, count) = parsed {
                buffer.removeFirst(count)
                return head
            }
            try more()
        }
    }

    /// One chunk; `nil` for the last.
    func readChunk() throws -> String? {
        var line = ""
        while !line.hasSuffix("\r\n") { line += try take(1) }
        guard let size = Int(line.filter { !$0.isNewline }, radix: 16) else {
            throw Malformed(what: "size \(line.debugDescription)")
        }
        let chunk = try take(size)
        guard try take(2) == "\r\n" else { throw Malformed(what: "chunk end") }
        return size == 0 ? nil : chunk
    }

    func take(_ count: Int) throws -> String {
        while buffer.count < count { try more() }
        defer { buffer.removeFirst(count) }
        return String(decoding: buffer.prefix(count), as: UTF8.self)
    }

    /// Everything until the end of the stream.
    func readToEnd() throws -> String {
        defer { buffer = [] }
        return String(decoding: buffer + (try socket.readToEnd()), as: UTF8.self)
    }
}

/// HTTP connections on their own reactor, over pairs of sockets.
struct HTTPHarness {
    let reactor: ReactorThread
    private let settings: @Sendable (inout HTTPSettings) -> Void
    private let routes: @Sendable (inout Routing, Stage) -> Void

    init(
        routes: @escaping @Sendable (inout Routing, Stage) -> Void = HTTPHarness.standard,
        settings: @escaping @Sendable (inout HTTPSettings) -> Void = { _ in }
    ) throws {
        reactor = try ReactorThread()
        self.settings = settings
        self.routes = routes
    }

    /// Connects a peer.
    ///
    /// - Parameter start: the bytes that the peer has sent when the connection begins, so that no time-out can occur
    ///   first.
    func connect(refusal: HTTPRefusal? = nil, sendBytes: Int32? = nil, start: String = "") throws -> HTTPPeer {
        let (peer, other) = SocketPeer.pair(sendBytes: sendBytes)
        try peer.send(start)
        let (settings, routes) = (settings, routes)
        try reactor.run { reactor, stage in
            var values = HTTPSettings()
            values.headTimeout = 120_000_000_000
            settings(&values)
            var routing = Routing()
            routes(&routing, stage)
            let stream = reactor.adopt(FileDescriptor(adopting: other), peer: nil)
            stream.driver = HTTPConnection(stream: stream, settings: values, handler: routing, refusal: refusal)
        }
        return HTTPPeer(peer)
    }

    /// Runs the tasks that handlers of `/later` and similar paths have put off.
    func doPending() throws {
        try reactor.run { _, stage in
            let tasks = stage.pending
            stage.pending = []
            for task in tasks { task() }
        }
    }

    /// Waits until this many tasks are put off.
    func waitForPending(_ count: Int = 1) throws {
        try reactor.wait { try reactor.run { _, stage in stage.pending.count } >= count }
    }

    /// `/path` says method, path and query; `/echo` the body of at most 1000 bytes; `/ignore` leaves it unread;
    /// `/later` answers when the test says so, and `/later-echo` reads only then.
    static let standard: @Sendable (inout Routing, Stage) -> Void = { routing, stage in
        // On the reactor's thread, as the handlers are.
        nonisolated(unsafe) let stage = stage
        routing.add(["GET", "POST"], exactly: "/path/*") { exchange in
            let query = exchange.request.query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
            let text = "\(exchange.request.method) \(exchange.value) \(query)"
            exchange.respond(OutgoingResponse(contentType: "text/plain", text: text))
        }
        routing.add(["POST", "PUT"], exactly: "/echo") { Self.echo($0) }
        routing.add(["POST"], exactly: "/ignore") {
            $0.respond(OutgoingResponse(contentType: "text/plain", text: "ignored"))
        }
        routing.add(["GET"], exactly: "/nothing") { $0.respond(OutgoingResponse(status: 204, fields: ["X-A": "b"])) }
        routing.add(["GET"], exactly: "/refused") { exchange throws(HTTPRefusal) in
            exchange.extraFields = ["X-Extra": "1"]
            throw HTTPRefusal(status: 403, message: "No.", fields: [:])
        }
        routing.add(["GET"], exactly: "/later/*") { exchange in
            stage.pending.append {
                exchange.respond(OutgoingResponse(contentType: "text/plain", text: "later " + exchange.value))
            }
        }
        routing.add(["POST"], exactly: "/later-echo") { exchange in stage.pending.append { Self.echo(exchange) } }
    }

    static func echo(_ exchange: HTTPExchange) {
        exchange.readBody(maximum: 1000) { body in
            let whole = unsafe body.withUnsafeBytes { unsafe [UInt8]($0) }
            exchange.respond(OutgoingResponse(status: 200, fields: ["Content-Type": "text/plain"], body: whole))
        }
    }
}
