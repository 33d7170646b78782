import Cryptography
import Foundation
import Synchronization
import Testing
import WSTransport

@testable import Broker

@Suite("JSON Web Tokens: keys at a URL, and remembered tokens")
struct JWTKeysTests {
    /// Waits for the reports of `JWTKeys`.
    private final class Reports: Sendable {
        private let news = Mutex<[JWTKeysNews]>([])
        private let semaphore = DispatchSemaphore(value: 0)

        func note(_ one: JWTKeysNews) {
            news.withLock { $0.append(one) }
            semaphore.signal()
        }

        /// The next one.
        func next() throws -> JWTKeysNews {
            try #require(semaphore.wait(timeout: .now() + 60) == .success)
            return news.withLock { $0.removeFirst() }
        }
    }

    private func keys(_ server: CannedServer, _ reports: Reports, refresh: Duration = .seconds(600)) throws -> JWTKeys {
        try JWTKeys("login", .url(server.url(), ca: nil, refresh: refresh)) { reports.note($0) }
    }

    private static func json(_ smith: TokenSmith, _ names: [String]) throws -> String {
        let keys = try names.map { #"{"kid":"\#($0)",\#(try smith.members($0))}"# }
        return #"{"keys":[\#(keys.joined(separator: ","))]}"#
    }

    /// Waits for the outcome of a token.
    private func outcome(_ authority: JWTAuthority, _ token: String) throws -> Result<Principal, AuthenticationFailure>
    {
        switch authority.authenticate(token, isRevoked: { _ in false }) {
        case .known(let principal): return .success(principal)
        case .refused(let failure): return .failure(failure)
        case .pending(let begin):
            let reply = Reply()
            begin { reply.give($0) }
            return try reply.wait()
        }
    }

    private final class Reply: Sendable {
        private let value = Mutex<Result<Principal, AuthenticationFailure>?>(nil)
        private let semaphore = DispatchSemaphore(value: 0)

        func give(_ result: Result<Principal, AuthenticationFailure>) {
            value.withLock { $0 = result }
            semaphore.signal()
        }

        func wait() throws -> Result<Principal, AuthenticationFailure> {
            try #require(semaphore.wait(timeout: .now() + 60) == .success)
            let result = value.withLock { $0 }
            return try #require(result)
        }
    }

    private func authority(_ keys: JWTKeys) -> JWTAuthority {
        JWTAuthority([(TokenSmith.issuer, keys)], clock: { TokenSmith.now })
    }

    @Test func acceptsEveryBodyFraming() throws {
        let smith = try TokenSmith()
        let json = try Self.json(smith, ["p256"])
        let bodies = [
            CannedServer.ok(json), Array("HTTP/1.1 200 OK\r\n\r\n\(json)".utf8),
            Array(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(json.utf8.count, radix: 16))\r\n\(json)\r\n0\r\n\r\n"
                    .utf8),
            Array("HTTP/1.1 103 Early Hints\r\n\r\n".utf8) + CannedServer.ok(json),
        ]
        for body in bodies {
            let (server, reports) = (try CannedServer(body), Reports())
            let keys = try keys(server, reports)
            #expect(try reports.next() == JWTKeysNews(issuer: "login", keys: 1, troubles: []))
            #expect(keys.age ?? -1 >= 0)
            keys.stop()
        }
    }

    @Test func rejectsInvalidResponses() throws {
        let smith = try TokenSmith()
        let json = try Self.json(smith, ["p256"])
        let many = Array(repeating: #"{"kid":"x",\#(try smith.members("ed25519"))}"#, count: 33).joined(separator: ",")
        let big = String(repeating: " ", count: 300 << 10)
        let answers: [(bytes: [UInt8], trouble: String)] = [
            (
                Array("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".utf8),
                "the server answered 302, and redirects are not followed"
            ),
            (Array("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".utf8), "the server answered 404"),
            (
                Array("HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n\(json)".utf8),
                "the answer has more than 262144 bytes"
            ),
            (Array("HTTP/1.1 200 OK\r\n\r\n\(big)".utf8), "the answer has more than 262144 bytes"),
            (
                Array(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(big.utf8.count, radix: 16))\r\n\(big)"
                        .utf8),
                "the answer has more than 262144 bytes"
            ),
            (Array("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n\(json)".utf8), "the answer ends too early"),
            (Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{".utf8), "the answer ends too early"),
            (
                Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".utf8),
                "the answer is encoded in an unknown way"
            ),
            ([], "the answer ends too early"),
            (CannedServer.ok(#"{"keys":[]}"#), "no key"),
            (CannedServer.ok(#"{"keys":[\#(many)]}"#), "more than 32 keys"),
        ]
        for (bytes, trouble) in answers {
            let (server, reports) = (try CannedServer(bytes), Reports())
            let keys = try keys(server, reports)
            #expect(try reports.next() == JWTKeysNews(issuer: "login", keys: nil, troubles: [trouble]))
            #expect(keys.current.set == nil && keys.age == nil)
            keys.stop()
        }
    }

    @Test func timesOut() throws {
        let server = try CannedServer(nil)
        #expect {
            try PlainFetch.get(try server.url(), timeout: 50_000_000, maximumBody: 100)
        } throws: {
            ($0 as? PlainFetch.Failure)?.description == "it took too long"
        }
    }

    /// A silent address gets its part of the time, and the next one the rest.
    @Test func triesTheNextAddressInTime() throws {
        let server = try CannedServer(CannedServer.ok("x"))
        // No connection is accepted there, and the queue is full.
        let full = try FullPort()
        let addresses = [full.port, server.port].compactMap { SocketAddress(host: "127.0.0.1", port: $0) }
        let deadline = MonotonicTime.now.advanced(byNanoseconds: 12_000_000_000)
        _ = try PlainFetch.connect(addresses, deadline)
        #expect(MonotonicTime.now < deadline)
    }

    /// A client waits only for its own timeout, however long the fetch takes.
    @Test func aClientIsAnsweredBeforeASlowFetchEnds() throws {
        let smith = try TokenSmith()
        let keys = try keys(CannedServer(nil), Reports())
        defer { keys.stop() }
        let begin = MonotonicTime.now
        #expect(throws: AuthenticationFailure.self) { try outcome(authority(keys), try smith.token()).get() }
        // The fetch itself has twice that.
        let waited = MonotonicTime.now.nanoseconds(since: begin)
        #expect(waited >= JWTKeys.clientPatience && waited < JWTKeys.patience)
    }

    /// Too many tokens at once are not guesses, and are retried.
    @Test func refusesTooManyWaitingTokensAsUnavailable() throws {
        let smith = try TokenSmith()
        let keys = try keys(CannedServer(nil), Reports())
        defer { keys.stop() }
        for _ in 0..<JWTKeys.maximumWaiting { #expect(keys.ask {} == .waits) }
        #expect(keys.ask {} == .isFull)
        let failure = AuthenticationFailure(.unavailable, "Too many tokens are being checked; try again.")
        #expect(throws: failure) { try outcome(authority(keys), try smith.token()).get() }
    }

    /// Its key may be new: the token is not rejected as wrong, and does not count as a guess.
    @Test func aFailedFetchIsNotAnInvalidToken() throws {
        let smith = try TokenSmith()
        let (server, reports) = (try CannedServer(CannedServer.ok(try Self.json(smith, ["p256"]))), Reports())
        let keys = try keys(server, reports)
        defer { keys.stop() }
        _ = try reports.next()
        let authority = authority(keys)
        server.answer(Array("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".utf8))
        let missing = AuthenticationFailure(
            .unavailable, "The keys of the token's issuer are not available; try again.")
        for _ in 0..<2 {
            #expect(throws: missing) { try outcome(authority, try smith.token(by: "ed25519")).get() }
        }
        #expect(try outcome(authority, try smith.token()).get().user == "alice")
        #expect(authority.figures.outcomes == [nil: 1, .keysMissing: 2])
    }

    /// A login server should change the name with the key, but some use no names.
    @Test(arguments: [#""kid":"p256","#, ""])
    func refetchesAtOnceWhenAKeyChangesUnderTheSameID(name: String) throws {
        let smith = try TokenSmith()
        // Of RFC 7515 A.3.
        let old =
            #""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#
            + #""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#
        func set(_ key: String) -> [UInt8] { CannedServer.ok(#"{"keys":[{\#(name)\#(key)}]}"#) }
        let (server, reports) = (try CannedServer(set(old)), Reports())
        let keys = try self.keys(server, reports)
        defer { keys.stop() }
        _ = try reports.next()
        let authority = authority(keys)
        let header = #"{\#(name)"alg":"ES256"}"#
        server.answer(set(try smith.members("p256")))
        #expect(try outcome(authority, try smith.token(header: header)).get().user == "alice")
        // Other wrong tokens do not cause another fetch at once.
        let forged = String(try smith.token(header: header).dropLast(8)) + "AAAAAAAA"
        #expect(throws: AuthenticationFailure.wrong) { try outcome(authority, forged).get() }
        #expect(server.asked.withLock { $0 } == 2)
    }

    /// A single failed attempt must not let the keys become too old.
    @Test(arguments: [
        (600, false, 90, 540_000), (600, false, 110, 660_000), (600, true, 110, 30_000), (86_400, true, 90, 30_000),
        (86_400, false, 90, 77_760_000), (86_400, false, 110, 85_800_000), (30, true, 90, 27_000),
    ])
    func spacesRefreshesAndRetries(refresh: Int, hasFailed: Bool, percent: Int64, milliseconds: Int64) {
        #expect(JWTKeys.delay(.seconds(refresh), afterFailure: hasFailed, percent) == milliseconds)
    }

    /// Another `refresh` is the same source: its keys stay, even if they cannot be fetched now.
    @Test func keepsKeysWhenOnlyTheRefreshIntervalChanges() throws {
        let smith = try TokenSmith()
        let (server, reports) = (try CannedServer(CannedServer.ok(try Self.json(smith, ["p256"]))), Reports())
        let old = try keys(server, reports)
        _ = try reports.next()
        server.answer(Array("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".utf8))
        let new = try JWTKeys("login", .url(server.url(), ca: nil, refresh: .seconds(60)), after: old) {
            reports.note($0)
        }
        defer { new.stop() }
        old.stop()
        #expect(try reports.next().keys == nil)
        #expect(try outcome(authority(new), try smith.token()).get().user == "alice")
        #expect(new.fetched == old.fetched)
    }

    /// Changed terms of a key also apply to remembered tokens.
    @Test func aKeyWithAChangedUseInvalidatesRememberedTokens() throws {
        let smith = try TokenSmith()
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).json")
        defer { try? FileManager.default.removeItem(at: file) }
        func write(_ more: String) throws {
            try Data(#"{"keys":[{"kid":"rsa",\#(try smith.members("rsa"))\#(more)}]}"#.utf8).write(to: file)
        }
        try write("")
        let reports = Reports()
        let keys = try JWTKeys("login", .file(path: file.path)) { reports.note($0) }
        let (authority, token) = (authority(keys), try smith.token(by: "rsa", .rs256))
        #expect(try outcome(authority, token).get().user == "alice")
        try write(#","alg":"PS256""#)
        keys.takeOverChange()
        #expect(try reports.next().keys == 1)
        #expect(throws: AuthenticationFailure.wrong) { try outcome(authority, token).get() }
        #expect(keys.losses == 0)
    }

    /// A user that can write the file can sign.
    @Test func refusesAWorldWritableFile() throws {
        let smith = try TokenSmith()
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).pem")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(try #require(smith.pairs["p256"]).pem.utf8).write(to: file)
        #expect(chmod(file.path, 0o664) == 0)
        #expect(try JWTKeys("login", .file(path: file.path)) { _ in }.current.set?.count == 1)
        #expect(chmod(file.path, 0o646) == 0)
        let trouble = JWTKeySet.Mistake("\(file.path): others may write it (mode 646): chmod o-w")
        #expect(throws: trouble) { try JWTKeys("login", .file(path: file.path)) { _ in } }
    }

    /// Whatever address a resolver returns for `localhost`.
    @Test func fetchesFromOtherMachinesOnlyOverTLS() throws {
        let url = try WebSocketURL(parsing: "http://192.0.2.1/keys")
        #expect {
            try PlainFetch.get(url, timeout: 60_000_000_000, maximumBody: 100)
        } throws: {
            ($0 as? PlainFetch.Failure)?.description == "without TLS, only this machine is asked"
        }
    }

    @Test func sourcesAreComparedByBytes() throws {
        let (composed, decomposed) = ("/\u{E9}", "/e\u{301}")
        #expect(JWTKeySource.file(path: composed) == .file(path: composed))
        #expect(JWTKeySource.file(path: composed) != .file(path: decomposed))
        #expect(JWTKeySource.file(path: composed).mark != JWTKeySource.file(path: decomposed).mark)
        let url = try WebSocketURL(parsing: "https://login.example.com/keys")
        func source(_ authorities: String?, _ refresh: Int = 60) -> JWTKeySource {
            .url(url, ca: authorities, refresh: .seconds(refresh))
        }
        #expect(source(composed) == source(composed) && source(composed) != source(decomposed))
        #expect(source(nil) != source(composed) && source(nil) != source(nil, 61))
        #expect(source(nil).mark == source(nil, 61).mark && source(composed).mark != source(decomposed).mark)
    }

    /// A reload that changes only the Unicode spelling of a name changes whose tokens are accepted.
    @Test func issuersAreComparedByBytes() throws {
        var settings = Settings()
        settings.access.users = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).jsonl").path
        var issuer = Settings.Access.JWT()
        (issuer.issuer, issuer.audience) = ("login", "\u{E9}")
        issuer.secret = SecretText(String(repeating: "s", count: 32))
        settings.access.jwt = [issuer]
        let keeper = try AccessKeeper(settings) { _ in }
        let first = try #require(keeper.current.webTokens)
        keeper.adopt(try keeper.next(settings))
        #expect(keeper.current.webTokens === first)
        settings.access.jwt[0].audience = "e\u{301}"
        keeper.adopt(try keeper.next(settings))
        #expect(keeper.current.webTokens !== first)
    }

    /// Tokens may still be checked with the old keys until all reactors have the new ones.
    @Test func aReloadDoesNotStopTheOldKeysItself() throws {
        var settings = Settings()
        settings.access.users = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).jsonl").path
        var issuer = Settings.Access.JWT()
        (issuer.issuer, issuer.audience) = ("login", "broker")
        issuer.keys = "\(try CannedServer(nil).url())"
        settings.access.jwt = [issuer]
        let keeper = try AccessKeeper(settings) { _ in }
        settings.access.jwt[0].keys = "\(try CannedServer(nil).url())"
        let retired = keeper.adopt(try keeper.next(settings))
        #expect(retired.count == 1 && retired.first?.ask {} == .waits)
        for keys in retired { keys.stop() }
        keeper.stop()
    }

    private final class Waiter: Sendable {}

    /// Waiting callers are answered, and nothing holds them afterwards.
    @Test func stoppingAnswersAndFreesWaitingCallers() throws {
        let keys = try keys(CannedServer(nil), Reports())
        let told = Atomic(0)
        weak var gone: Waiter?
        do {
            let waiter = Waiter()
            gone = waiter
            let isWaiting = keys.ask { withExtendedLifetime(waiter) { _ = told.add(1, ordering: .relaxed) } }
            #expect(isWaiting == .waits)
        }
        keys.stop()
        #expect(gone == nil && told.load(ordering: .relaxed) == 1)
    }

    /// Tokens end with the key that signed them; an unchanged set has no effect.
    @Test func removingAKeyEndsItsTokens() throws {
        let smith = try TokenSmith()
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).json")
        defer { try? FileManager.default.removeItem(at: file) }
        func write(_ names: [String], _ more: String = "") throws {
            try Data((try Self.json(smith, names) + more).utf8).write(to: file)
        }
        try write(["p256", "ed25519"])
        let reports = Reports()
        let keys = try JWTKeys("login", .file(path: file.path)) { reports.note($0) }
        let authority = authority(keys)
        let access = Access(AccessRules([]), webTokens: authority)
        let (old, new) = (
            try outcome(authority, try smith.token()).get(),
            try outcome(authority, try smith.token(by: "ed25519")).get()
        )
        func has(_ principal: Principal) -> Bool {
            if case .same = access.renewal(of: principal, from: { nil }, now: TokenSmith.now) { true } else { false }
        }
        let generation = keys.current.generation
        try write(["p256", "ed25519"], "\n")
        keys.takeOverChange()
        #expect(try reports.next().keys == 2)
        #expect(keys.current.generation == generation && keys.losses == 0 && has(old) && has(new))
        try write(["ed25519", "rsa"])
        keys.takeOverChange()
        #expect(try reports.next().keys == 2)
        #expect(keys.losses == 1 && !has(old) && has(new))
    }

    /// Keys stay for a day while their URL fails.
    @Test(arguments: [(JWTKeys.staleAfter, true), (JWTKeys.staleAfter + 1, false)])
    func keepsKeysForADayWhileFetchesFail(age: Int64, areThere: Bool) throws {
        let (smith, reports) = (try TokenSmith(), Reports())
        let server = try CannedServer(CannedServer.ok(try Self.json(smith, ["p256"])))
        let keys = try keys(server, reports)
        defer { keys.stop() }
        _ = try reports.next()
        let fetched = try #require(keys.fetched)
        #expect((keys.current(at: fetched.advanced(byNanoseconds: age)).set != nil) == areThere)
    }

    @Test func fetchesOnceForAnUnknownKey() throws {
        let smith = try TokenSmith()
        let (server, reports) = (try CannedServer(CannedServer.ok(try Self.json(smith, ["p256"]))), Reports())
        let keys = try keys(server, reports)
        defer { keys.stop() }
        let authority = authority(keys)
        _ = try reports.next()
        #expect(try outcome(authority, try smith.token()).get().user == "alice")
        // The keys change, and a token signed by a new one arrives.
        server.answer(CannedServer.ok(try Self.json(smith, ["ed25519"])))
        #expect(try outcome(authority, try smith.token(by: "ed25519")).get().user == "alice")
        // Tokens that the old keys verified are forgotten, and the address is not asked again so soon.
        #expect(throws: AuthenticationFailure.self) { try outcome(authority, try smith.token()).get() }
        #expect(throws: AuthenticationFailure.self) { try outcome(authority, try smith.token(by: "p384")).get() }
        #expect(server.asked.withLock { $0 } == 2)
        #expect(authority.figures.outcomes == [nil: 2, .key: 2])
    }

    /// A fetch may end after a token's check has read the old keys, and before it asks for new ones.
    @Test func acceptsATokenWhoseKeyArrivesWhileItIsChecked() throws {
        let smith = try TokenSmith()
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).json")
        defer { try? FileManager.default.removeItem(at: file) }
        let (old, new) = (try Self.json(smith, ["p256"]), try Self.json(smith, ["ed25519"]))
        try Data(old.utf8).write(to: file)
        let keys = try JWTKeys("login", .file(path: file.path)) { _ in }
        // A check reads the time after the keys.
        let authority = JWTAuthority([(TokenSmith.issuer, keys)]) {
            try? Data(new.utf8).write(to: file)
            keys.takeOverChange()
            return TokenSmith.now
        }
        #expect(try outcome(authority, try smith.token(by: "ed25519")).get().user == "alice")
    }

    @Test func reportsMissingKeys() throws {
        let smith = try TokenSmith()
        let (server, reports) = (try CannedServer(CannedServer.ok("{}")), Reports())
        let keys = try keys(server, reports)
        defer { keys.stop() }
        _ = try reports.next()
        let failure = Result { try outcome(authority(keys), try smith.token()).get() }
        #expect(
            throws: AuthenticationFailure(.unavailable, "The keys of the token's issuer are not available; try again.")
        ) {
            try failure.get()
        }
    }

    @Test func checksRememberedTokensForRevocation() throws {
        let smith = try TokenSmith()
        let keys = try JWTKeys("login", .secret(TokenSmith.secret)) { _ in }
        let authority = authority(keys)
        let token = try smith.token(secret: TokenSmith.secret)
        let first = try outcome(authority, token).get()
        guard case .known(let second) = authority.authenticate(token, isRevoked: { _ in false }) else {
            Issue.record("is not remembered")
            return
        }
        #expect(first === second)
        guard case .refused(let failure) = authority.authenticate(token, isRevoked: { _ in true }) else {
            Issue.record("is accepted")
            return
        }
        #expect(failure == .ended)
    }

    @Test func reportsAnExpiredToken() throws {
        let smith = try TokenSmith()
        let authority = authority(try JWTKeys("login", .secret(TokenSmith.secret)) { _ in })
        let late = JWTAuthority(
            [(TokenSmith.issuer, try JWTKeys("login", .secret(TokenSmith.secret)) { _ in })],
            clock: { TokenSmith.now + 700 })
        let token = try smith.token(secret: TokenSmith.secret)
        #expect(throws: AuthenticationFailure.expired) { try outcome(late, token).get() }
        #expect(throws: AuthenticationFailure(.invalid, "The credentials are not valid.")) {
            try outcome(authority, try smith.token()).get()
        }
    }

    @Test func reloadsAChangedFile() throws {
        let smith = try TokenSmith()
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).pem")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(try #require(smith.pairs["p256"]).pem.utf8).write(to: file)
        let reports = Reports()
        let keys = try JWTKeys("login", .file(path: file.path)) { reports.note($0) }
        let authority = authority(keys)
        #expect(try outcome(authority, try smith.token()).get().user == "alice")
        try Data(try Self.json(smith, ["p256", "ed25519"]).utf8).write(to: file)
        keys.takeOverChange()
        #expect(try reports.next() == JWTKeysNews(issuer: "login", keys: 2, troubles: []))
        #expect(try outcome(authority, try smith.token(by: "ed25519")).get().user == "alice")
        try Data("broken".utf8).write(to: file)
        keys.takeOverChange()
        #expect(try reports.next().keys == nil)
        #expect(try outcome(authority, try smith.token(TokenSmith.claims(["x": "1"]))).get().user == "alice")
    }
}
