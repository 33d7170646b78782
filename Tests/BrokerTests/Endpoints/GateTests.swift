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

    /// The fields of a handshake.
    private static let upgrade = """
        Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n
        """

    /// The handshake waits like any request, and frames that come with it wait for their socket.
    @Test func aHandshakeWaitsForALateAuthenticator() throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        let stub = try connect(harness, authenticator)
        try stub.write(request("GET /ws", "first", Self.upgrade))
        try stub.send(#"{"op":"ping","id":7}"#)
        #expect(try authenticator.nextName() == "first")
        try authenticator.reply(.success(Principal(.token, user: "first")))
        #expect(try stub.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 101 "))
        #expect(try stub.receive().op == "welcome")
        #expect(try stub.receive().id == 7)
        #expect(try harness.run { $0.everybody.first?.client.principal.user } == "first")
    }

    // MARK: Changes during a check

    private static func access(_ users: [AccessEntry.Content] = []) -> Access {
        Access(Settings(), users: CredentialTests.table(users))
    }

    /// What a check says of credentials that are right now: it was begun with other users.
    @Test func aRejectedRequestIsCheckedAgainIfTheUsersHaveChanged() throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        let stub = try connect(harness, authenticator)
        try stub.write(request("POST /t/a", "first", body: "x"))
        #expect(try authenticator.nextName() == "first")
        let changed = Self.access()
        try harness.run { $0.adopt(changed) }
        try authenticator.reply(.failure(.wrong))
        #expect(try authenticator.nextName() == "first")
        try authenticator.reply(.success(.anonymous))
        #expect(try status(stub) == 200)
        // Without a change, once is enough.
        try stub.write(request("GET /t/a", "second"))
        #expect(try authenticator.nextName() == "second")
        try authenticator.reply(.failure(.wrong))
        #expect(try status(stub) == 401 && authenticator.names == [])
    }

    @Test func aRejectedAuthenticateIsCheckedAgainIfTheUsersHaveChanged() throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        try harness.run { $0.endpoints.gates[""] = Gate(authenticator: authenticator, listener: "") }
        let stub = try harness.connectJSON()
        try stub.send(#"{"op":"authenticate","id":1,"token":"first"}{"op":"ping","id":2}"#)
        #expect(try authenticator.nextName() == "first")
        let changed = Self.access()
        try harness.run { $0.adopt(changed) }
        try authenticator.reply(.failure(.wrong))
        #expect(try authenticator.nextName() == "first")
        try authenticator.reply(.success(Principal(.token, user: "first")))
        let first = try stub.receive()
        #expect(first.op == "ok" && first.id == 1)
        #expect(try stub.receive().id == 2, "commands wait for both checks")
        #expect(try harness.run { $0.everybody.first?.client.principal.user } == "first")
    }

    /// However busy the broker is, a client that has sent its credentials in time is not late.
    @Test(arguments: [true, false])
    func theTimeOfACheckIsNotTheClients(isRight: Bool) throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        let nothing = Access([])
        try harness.run { shard in
            shard.endpoints.gates[""] = Gate(authenticator: authenticator, listener: "")
            shard.adopt(nothing)
        }
        let stub = try harness.connectJSON()
        try stub.send(#"{"op":"authenticate","id":1,"token":"first"}{"op":"ping","id":2}"#)
        #expect(try authenticator.nextName() == "first")
        try harness.run { $0.everybody.first?.timeHasCome(for: .late) }
        try authenticator.reply(isRight ? .success(Principal(.token, user: "first")) : .failure(.wrong))
        #expect(try stub.receive().op == (isRight ? "ok" : "error"))
        let next = try #require(try stub.frame())
        #expect(next.opcode == (isRight ? 0x1 : 0x8))
        if !isRight { #expect(next.payload.prefix(2) == [0x11, 0x38], "4408") }
    }

    /// A password that is set again gets another hash, and was right all the time.
    @Test func aPasswordThatIsSetAgainDuringItsCheckIsRight() throws {
        let harness = try ExchangeHarness()
        let checks = CredentialChecks(try PasswordChecks(threads: 1))
        func user(_ password: String) throws -> AccessEntry.Content {
            .user(CredentialTests.user("ann", password: try CredentialTests.hash(password)))
        }
        let before = Self.access([try user("secret")])
        let principal = try #require(before.users.principal(forPasswordOf: "ann"))
        let credentials = Credentials.basic(user: "ann", password: "secret")
        func concluded(
            _ outcome: Result<Principal, AuthenticationFailure>, _ after: Access, _ check: PendingCheck
        ) throws -> Authentication {
            let found = Answer<Authentication>()
            try harness.run { shard in
                shard.adopt(after)
                found.put(check.concluded(outcome, credentials, checks, on: shard, from: { nil }))
            }
            return try found.get()
        }
        let after = Self.access([try user("secret")])
        let outcomes: [Result<Principal, AuthenticationFailure>] = [.success(principal), .failure(.wrong)]
        for outcome in outcomes {
            switch try concluded(outcome, after, PendingCheck(before)) {
            case .pending(let begin):
                let answer = Answer<Result<Principal, AuthenticationFailure>>()
                begin { answer.put($0) }
                #expect(try answer.get().value?.user == "ann")
            case .known(let known): #expect(known.user == "ann", "the second check was remembered")
            case .refused(let failure): Issue.record("\(failure)")
            }
        }
        // Another user's change costs no computation.
        let computed = checks.passwords.begun.load(ordering: .relaxed)
        let same = Self.access(
            before.users.password(of: "ann").map { hash in
                [.user(CredentialTests.user("ann", password: hash)), .user(CredentialTests.user("bob"))]
            } ?? [])
        guard case .refused = try concluded(.failure(.wrong), same, PendingCheck(before)) else {
            Issue.record("it is computed again")
            return
        }
        #expect(checks.passwords.begun.load(ordering: .relaxed) == computed)
    }

    @Test func aCheckIsRepeatedOnlyAFewTimes() throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        let stub = try connect(harness, authenticator)
        try stub.write(request("GET /t/a", "first"))
        for _ in 0...4 {
            #expect(try authenticator.nextName() == "first")
            let changed = Self.access()
            try harness.run { $0.adopt(changed) }
            try authenticator.reply(.failure(.wrong))
        }
        #expect(try status(stub) == 401)
    }

    /// A WebSocket that opens after all others were told to reconnect would never be told.
    @Test func aHandshakeDuringAShutdownIsRefused() throws {
        let harness = try ExchangeHarness()
        let authenticator = TestAuthenticator(isSlow: true)
        let stub = try connect(harness, authenticator)
        try stub.write(request("GET /ws", "first", Self.upgrade))
        #expect(try authenticator.nextName() == "first")
        try harness.run { $0.isDraining = true }
        try authenticator.reply(.success(Principal(.token, user: "first")))
        #expect(try status(stub) == 503)
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
