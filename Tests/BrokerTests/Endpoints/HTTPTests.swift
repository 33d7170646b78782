import Testing

@testable import Broker
@testable import WSTransport

@Suite("§2: topics and filters over HTTP")
struct HTTPTests {
    struct Response {
        let status: Int
        let head: String
        let body: String

        /// The value of a field; `nil` where it is not there.
        func field(_ name: String) -> String? {
            head.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name.lowercased() + ": ") }
                .map { String($0.dropFirst(name.count + 2)) }
        }
    }

    /// An HTTP connection to a broker of its own.
    private func connect(_ settings: Settings = Settings()) throws -> StubClient {
        let harness = try ExchangeHarness(settings: settings)
        let thread = StoreThread(store: harness.store, maximumQueuedBytes: 0, onSettled: { _ in })
        let figures = Figures(
            reactors: [], shards: harness.counters, sequencer: harness.sequencer, store: harness.store,
            storeThread: thread)
        return try harness.connectStream { shard, stream in
            var settings = HTTPSettings(shard.configuration)
            settings.headTimeout = 120_000_000_000
            settings.makeRefusal = Routes.refusal
            let gate = OriginGate(
                shard: shard, address: .defaultAddress, isSecure: false, journal: Journal(), isCertified: { _ in false }
            )
            settings.inspect = { gate.inspect($0, host: $1, stream: $2) }
            settings.standardFields = OriginGate.standardFields
            return HTTPConnection(
                stream: stream, settings: settings, handler: Routes.users(figures, hasMetrics: true), refusal: nil)
        }
    }

    private func ask(_ stub: StubClient, _ line: String, _ fields: String = "", body: String = "") throws -> Response {
        let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
        try stub.write(Array("\(line) HTTP/1.1\r\nHost: localhost\r\n\(fields)\(length)\r\n\(body)".utf8))
        let head = try stub.read(until: "\r\n\r\n")
        let status = try #require(Int(head.dropFirst(9).prefix(3)))
        let response = Response(status: status, head: head, body: "")
        guard !line.hasPrefix("HEAD"), let length = response.field("Content-Length").flatMap({ Int($0) }) else {
            return response
        }
        let bytes = try #require(try stub.read(length))
        return Response(status: status, head: head, body: String(decoding: bytes, as: UTF8.self))
    }

    /// A request, its status, and the error's code.
    static let refused: [(String, Int, String)] = [
        ("GET /t/none", 404, "not-found"), ("GET /nothing", 404, "not-found"), ("GET /t", 405, "bad-request"),
        ("GET /t/", 400, "bad-topic"), ("GET /t/a+", 400, "bad-topic"), ("GET /t/%23", 400, "bad-topic"),
        ("GET /t/a%00", 400, "bad-topic"), ("GET /t/%FF", 400, "bad-topic"), ("GET /t/a%2", 400, "bad-topic"),
        ("GET /t/a%zz", 400, "bad-topic"), ("DELETE /t/none", 404, "not-found"), ("PATCH /t/a", 405, "bad-request"),
        ("POST /ws", 405, "bad-request"), ("GET /ws", 426, "bad-request"), ("POST /t/$SYS/x", 403, "forbidden"),
        ("POST /t/%24SYS", 403, "forbidden"), ("POST /t/a?ttl=0", 400, "bad-request"),
        ("POST /t/a?ttl=x", 400, "bad-request"), ("POST /t/a?ttl=0x10", 400, "bad-request"),
        ("POST /t/a?ttl=inf", 400, "bad-request"), ("POST /t/a?ephemeral&grace=0x1p3", 400, "bad-request"),
        ("POST /t/a?retain=maybe", 400, "bad-request"),
        ("POST /t/a?ack=disk", 400, "bad-request"), ("POST /t/a?token=x", 401, "unauthenticated"),
        ("GET /s/a%2B", 400, "bad-filter"), ("GET /s/%23/a", 400, "bad-filter"),
        ("GET /s/a?since=x", 400, "bad-request"), ("GET /t/a?retain", 400, "bad-request"),
        ("POST /t/a?retian", 400, "bad-request"), ("POST /t/a?ttl=1&ttl=2", 400, "bad-request"),
        ("GET http://evil.test/health/live", 421, "forbidden"),
        ("GET /s/", 400, "bad-filter"),
        // No credentials would change these.
        ("POST /t/$cluster/x", 403, "forbidden"), ("GET /t/$cluster/x", 403, "forbidden"),
        ("GET /s/$cluster/%23", 403, "forbidden"), ("GET /t/$inbox/x", 403, "forbidden"),
        ("GET /s/$inbox/%23", 403, "forbidden"),
    ]

    @Test(arguments: refused)
    func refuses(line: String, status: Int, code: String) throws {
        let response = try ask(connect(), line)
        #expect(response.status == status)
        #expect(response.body.hasPrefix(#"{"error":{"code":"\#(code)","message":"#), "\(response.body)")
        #expect(response.field("Content-Type") == "application/json")
        if status == 405 { #expect(response.field("Allow")?.contains("OPTIONS") == true) }
    }

    @Test func refusesTwoKeys() throws {
        let stub = try connect()
        let refused = try ask(stub, "PUT /t/a", "Idempotency-Key: k\r\nIdempotency-Key: l\r\n")
        #expect(refused.status == 400 && refused.body.contains("Idempotency-Key: given twice."))
    }

    /// The same topic, however its bytes are escaped.
    @Test(arguments: ["a%2Fb%20%C3%A9", "a/b%20%c3%a9", "%61/%62%20%C3%A9"])
    func decodesPaths(path: String) throws {
        let stub = try connect()
        #expect(try ask(stub, "PUT /t/a/b%20%C3%A9?retain", body: "value").status == 200)
        let found = try ask(stub, "GET /t/\(path)")
        #expect(found.status == 200 && found.body == "value")
        let poll = try ask(stub, "GET /s/a/%2B?poll=1")
        #expect(poll.status == 200 && poll.field("Transfer-Encoding") == "chunked")
        #expect(try stub.read(until: "0\r\n\r\n").contains(#""topic":"a/b é","seq":1,"#))
    }

    @Test func returnsARetainedValueAsPublished() throws {
        let stub = try connect()
        let put = try ask(stub, "PUT /t/a?retain", "Content-Type: text/x; a=b\r\n", body: "héllo")
        #expect(put.body == #"{"seq":1,"stored":true}"# + "\n")
        let found = try ask(stub, "GET /t/a")
        #expect(found.body == "héllo" && found.field("Content-Type") == "text/x; a=b")
        #expect(found.field("ETag") == #""1""# && found.field("X-Content-Type-Options") == "nosniff")
        let modified = try #require(found.field("Last-Modified"))
        #expect(try ask(stub, "HEAD /t/a").field("Content-Length") == "6")
        for fields in [
            #"If-None-Match: "1""#, #"If-None-Match: W/"1", "5""#, "If-None-Match: *", "If-Modified-Since: \(modified)",
        ] {
            #expect(try ask(stub, "GET /t/a", fields + "\r\n").status == 304, "\(fields)")
        }
        #expect(try ask(stub, "GET /t/a", "If-None-Match: \"2\"\r\nIf-Modified-Since: \(modified)\r\n").status == 200)
        #expect(try ask(stub, "DELETE /t/a", "If-Match: \"2\"\r\n").status == 412)
        #expect(try ask(stub, "DELETE /t/a", "If-Match: \"1\"\r\n").status == 204)
        #expect(try ask(stub, "GET /t/a").status == 404)
    }

    @Test func publishesConditionally() throws {
        let stub = try connect()
        func put(_ fields: String) throws -> Int {
            try ask(stub, "PUT /t/a?retain", fields + "\r\n", body: "x").status
        }
        #expect(try put("If-Match: *") == 412)
        #expect(try put("If-None-Match: *") == 200)
        #expect(try put("If-None-Match: *") == 412)
        #expect(try put(#"If-Match: "7", "1""#) == 200)
        #expect(try put(#"If-Match: "1""#) == 412)
        #expect(try put(#"If-Match: "other""#) == 412)
        #expect(try put("If-Match: *") == 200)
    }

    /// A query, and fields that are not allowed with it.
    @Test(arguments: [
        ("?retain", "If-Match: 1"), ("?retain", #"If-None-Match: "1""#), ("?retain", "If-Match: *\r\nIf-None-Match: *"),
        ("", "If-None-Match: *"), ("?retain=false", "If-Match: *"),
        ("", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"), ("?retain", "If-Unmodified-Since: yesterday"),
    ])
    func rejectsInvalidConditions(query: String, fields: String) throws {
        #expect(try ask(connect(), "PUT /t/a\(query)", fields + "\r\n", body: "x").status == 400)
    }

    @Test func refusesABodyThatIsTooLarge() throws {
        var settings = Settings()
        settings.limits.message = 10
        #expect(try ask(connect(settings), "POST /t/a", body: "0123456789").status == 200)
        let response = try ask(connect(settings), "POST /t/a", body: "0123456789x")
        #expect(response.status == 413 && response.body.contains(#""code":"too-large""#))
    }

    @Test func followsAsEventsAndAsLines() throws {
        let stub = try connect()
        _ = try ask(stub, "PUT /t/a?retain", "Content-Type: application/json\r\n", body: "{\n\"b\": 1\n}")
        let events = try ask(stub, "GET /s/a", "Accept: text/event-stream\r\nLast-Event-ID: 0\r\n")
        #expect(events.field("Content-Type") == "text/event-stream")
        #expect(try stub.read(until: "\n\n\r\n").contains("retry: 3000\n\n"))
        let text = try stub.read(until: "\n\n\r\n") + stub.read(until: "\n\n\r\n") + stub.read(until: "\n\n\r\n")
        let lines = text.split(whereSeparator: \.isNewline)
        #expect(lines.contains { $0.hasPrefix(#"data: {"op":"gap","filter":"a","since":0,"seq":1}"#) })
        #expect(lines.contains { $0.wholeMatch(of: /id: [1-9][0-9]*-1/) != nil } && lines.contains("event: live"))
        #expect(lines.contains { $0.hasPrefix(#"data: {"topic":"a","seq":1,"#) && $0.hasSuffix("}") })
    }

    @Test func refusesForeignOrigins() throws {
        let stub = try connect()
        let own = try ask(stub, "GET /health/live", "Origin: http://localhost:5173\r\n")
        #expect(own.status == 200 && own.field("Access-Control-Allow-Origin") == "http://localhost:5173")
        let foreign = try ask(stub, "GET /health/live", "Origin: http://evil\r\n")
        #expect(foreign.status == 403 && foreign.body.contains(#""code":"forbidden""#))
        #expect(foreign.field("Access-Control-Allow-Origin") == nil)
        // The first of two is known by now.
        let fields = "Origin: http://localhost:5173\r\nOrigin: http://evil\r\n"
        #expect(try ask(stub, "GET /health/live", fields).status == 400)
    }

    /// Each matter is reported once, and for clients only a limited number.
    @Test func reportsEachMatterOnce() {
        let journal = Journal()
        for number in 0..<1000 {
            journal.tell(
                .warning, "refused", once: "a \(number / 2)", of: .clients,
                [("name", String(repeating: "x", count: 10_000))])
        }
        let entries = journal.take()
        #expect(entries.count == 101 && entries.last?.metadata.isEmpty == true)
        #expect(entries.first?.metadata.first?.value.count == 200)
        #expect(journal.take().isEmpty)
        journal.tell(.error, "cannot write to the audit log", once: "audit", [])
        #expect(journal.take().map(\.message) == ["cannot write to the audit log"])
    }

    @Test func isReadyOnceAMessageAndAWriteSucceeded() throws {
        #expect(try ask(connect(), "GET /health/ready").body == #"{"status":"ok"}"# + "\n")
    }
}
