import Dispatch
import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

/// Authenticates users whose tokens are their names, at once or on request.
private final class TestAuthenticator: Authenticator {
    private let isSlow: Bool
    private let replies = Mutex<[@Sendable (Result<Principal, AuthenticationFailure>) -> Void]>([])
    private let asked = Mutex<[String]>([])
    private let isWaiting = DispatchSemaphore(value: 0)

    init(isSlow: Bool = false) { self.isSlow = isSlow }

    func authenticate(
        _ credentials: Credentials, _ access: Access, from address: () -> String?
    ) -> Authentication {
        switch credentials {
        case .nothing: return .known(.anonymous)
        case .bearer("busy"): return .refused(AuthenticationFailure(.unavailable, "Busy."))
        case .bearer(let name) where isSlow:
            asked.withLock { $0.append(name) }
            return .pending { reply in
                self.replies.withLock { $0.append(reply) }
                self.isWaiting.signal()
            }
        case .bearer(let name): return .known(Principal(.token, user: name))
        case .basic(let user, let password) where user == password: return .known(Principal(.password, user: user))
        default: return .refused(AuthenticationFailure(.invalid, "Wrong."))
        }
    }

    /// The requested names that have not been taken yet.
    var names: [String] { asked.withLock { $0 } }

    /// The next requested name, when its answer is outstanding.
    func nextName() throws -> String {
        guard isWaiting.wait(timeout: .now() + 60) == .success else { throw NothingCame() }
        return asked.withLock { $0.removeFirst() }
    }

    /// Answers the outstanding request.
    func reply(_ outcome: Result<Principal, AuthenticationFailure>) throws {
        let waiting = replies.withLock { replies in
            defer { replies = [] }
            return replies
        }
        #expect(waiting.count == 1)
        for reply in waiting { reply(outcome) }
    }
}

@Suite("The gate: every request is authenticated")
struct GateTests {
    private func connect(
        _ harness: ExchangeHarness, _ authenticator: TestAuthenticator, headTimeout: Int64 = 120_000_000_000,
        start: [UInt8] = []
    ) throws -> StubClient {
        let thread = StoreThread(store: harness.store, maximumQueuedBytes: 0, onSettled: { _ in })
        let figures = Figures(
            reactors: [], shards: harness.counters, sequencer: harness.sequencer, store: harness.store,
            storeThread: thread)
        return try harness.connectStream(start: start) { shard, stream in
            var settings = HTTPSettings(shard.configuration)
            settings.makeRefusal = Routes.refusal
            settings.headTimeout = headTimeout
            let handler = Routes.users(figures, hasMetrics: false, authenticator, listener: "here")
            return HTTPConnection(stream: stream, settings: settings, handler: handler, refusal: nil)
        }
    }

    private func request(_ line: String, _ token: String? = nil, _ fields: String = "", body: String = "") -> [UInt8] {
        let token = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
        return Array("\(line) HTTP/1.1\r\nHost: localhost\r\n\(token)\(fields)\(length)\r\n\(body)".utf8)
    }

    private func status(_ stub: StubClient) throws -> Int {
        let head = try stub.read(until: "\r\n\r\n")
        let length = head.split(separator: "\r\n").first { $0.hasPrefix("Content-Length: ") }
        _ = try stub.read(length.flatMap { Int($0.dropFirst(16)) } ?? 0)
        return try #require(Int(head.dropFirst(9).prefix(3)))
    }

    /// A proxy sends the requests of many clients over one connection: each has its own rights.
    @Test func authenticatesEachRequestOfAConnection() throws {
        let harness = try ExchangeHarness()
        var condition = AccessRule.Condition()
        condition.user = "alice"
        var rule = AccessRule(for: condition)
        rule.publish = [try FilterTemplate("of/{user}/#")]
        rule.subscribe = [try FilterTemplate("of/alice/#")]
        let rules = Access([rule])
        try harness.run { $0.adopt(rules) }
        let stub = try connect(harness, TestAuthenticator())
        let basic = "Authorization: Basic \(Base64.encode(Array("alice:alice".utf8)))\r\n"
        for (token, fields, wanted) in [
            ("alice", "", 200), ("bob", "", 403), (nil, "", 401), ("alice", "", 200), ("busy", "", 503),
            (nil, basic, 200), (nil, "Authorization: Basic alice\r\n", 401), (nil, "Authorization: alice\r\n", 401),
            (nil, "Authorization: Digest alice\r\n", 401),
        ] {
            try stub.write(request("POST /t/of/alice/x", token, fields))
            #expect(try status(stub) == wanted, "\(token ?? "") \(fields)")
        }
        for (line, token, wanted) in [
            ("GET /t/of/alice/x", "alice", 404), ("GET /t/of/alice/x", "bob", 403),
            ("DELETE /t/of/alice/x", "bob", 403),
            ("GET /s/of/alice/x?poll=1", "bob", 403), ("GET /health/live", "bob", 200),
        ] {
            try stub.write(request(line, token))
            #expect(try status(stub) == wanted, "\(line) \(token)")
        }
    }

    @Test func marksAnswersToAUserAsPrivate() throws {
        let harness = try ExchangeHarness()
        let stub = try connect(harness, TestAuthenticator())
        try stub.write(request("PUT /t/a?retain", body: "x"))
        #expect(try status(stub) == 200)
        var condition = AccessRule.Condition()
        condition.isEveryone = true
        var rule = AccessRule(for: condition)
        rule.subscribe = [try FilterTemplate("a")]
        let rules = Access([rule])
        try harness.run { $0.adopt(rules) }
        try stub.write(request("GET /t/a", "alice"))
        let head = try stub.read(until: "\r\n\r\n")
        #expect(
            head.contains("Referrer-Policy: no-referrer\r\n") && head.contains("Cache-Control: private, no-cache\r\n"))
    }

    /// Neither the next request nor a body is read before the client has been authenticated.
    @Test func waitsForALateAuthenticator() throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        let stub = try connect(harness, authenticator)
        try stub.write(request("POST /t/a", "first", body: "x") + request("GET /t/a", "second"))
        #expect(try authenticator.nextName() == "first")
        // Everything received has been handled by now.
        for _ in 0..<10 { try harness.run { _ in } }
        #expect(authenticator.names == [])
        #expect(harness.published().isEmpty)
        try authenticator.reply(.success(.anonymous))
        #expect(try status(stub) == 200)
        #expect(try authenticator.nextName() == "second")
        try authenticator.reply(.failure(AuthenticationFailure(.invalid, "Wrong.")))
        #expect(try status(stub) == 401)
        // The connection stays open.
        try stub.write(request("GET /health/live"))
        #expect(try status(stub) == 200)
    }

    @Test func timesOutASlowAuthenticator() throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        let stub = try connect(harness, authenticator, headTimeout: 50_000_000, start: request("GET /t/a", "first"))
        #expect(try status(stub) == 503)
        #expect(try stub.readToEnd().isEmpty, "the connection has ended")
        try authenticator.reply(.success(.anonymous))
        try harness.run { _ in }
    }

    @Test func ignoresAnAnswerAfterTheClientLeft() throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        let stub = try connect(harness, authenticator)
        try stub.write(request("GET /t/a", "first"))
        #expect(try authenticator.nextName() == "first")
        stub.leave()
        try authenticator.reply(.success(.anonymous))
        let next = try connect(harness, authenticator)
        try next.write(request("GET /health/live"))
        #expect(try status(next) == 200)
    }

    /// The handshake waits like any request, and frames that come with it wait for their socket.
    @Test func aHandshakeWaitsForALateAuthenticator() throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        let stub = try connect(harness, authenticator)
        let upgrade = """
            Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n
            """
        try stub.write(request("GET /ws", "first", upgrade))
        try stub.send(#"{"op":"ping","id":7}"#)
        #expect(try authenticator.nextName() == "first")
        try authenticator.reply(.success(Principal(.token, user: "first")))
        #expect(try stub.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 101 "))
        #expect(try stub.receive().op == "welcome")
        #expect(try stub.receive().id == 7)
        #expect(try harness.run { $0.everybody.first?.client.principal.user } == "first")
    }
    /// A balancer sends readers elsewhere.
    @Test func anUnreadableStoreIsNotReady() throws {
        let store = GateStore()
        let harness = try ExchangeHarness(store)
        store.setBusy(true)
        let stub = try connect(harness, TestAuthenticator())
        try stub.write(request("GET /t/a"))
        #expect(try status(stub) == 503)
        try stub.write(request("GET /health/ready"))
        #expect(try stub.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 503 "))
        #expect(try stub.read(until: "}").contains("the store cannot be read"))
    }
}
