import Cryptography
import Dispatch
import Foundation
import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

@Suite("Credentials: users, tokens, passwords")
struct CredentialTests {
    /// Cheap, because the tests are not about the cost.
    static func hash(_ password: String) throws -> PasswordHash {
        try PasswordHash.make(for: password, cost: try #require(cheap))
    }

    static let cheap = Scrypt(logarithm: 4, blockSize: 1, parallelism: 1)

    static func table(_ entries: [AccessEntry.Content]) -> UserTable {
        var file = AccessFile()
        file.entries = entries.map { AccessEntry($0) }
        return UserTable(file)
    }

    static func user(_ name: String, roles: [String] = [], password: PasswordHash? = nil) -> AccessUser {
        var user = AccessUser(name)
        user.roles = roles
        user.password = password
        return user
    }

    /// A token and its entry.
    static func token(
        _ user: String, _ change: (inout AccessToken) -> Void = { _ in }
    ) throws -> (OpaqueToken, AccessToken) {
        let token = try OpaqueToken.make()
        var entry = AccessToken(id: token.id, sha256: try token.digest(), user: user)
        change(&entry)
        return (token, entry)
    }

    @Test func aTokenAuthenticatesItsUser() throws {
        let (token, entry) = try Self.token("ci")
        let table = Self.table([.user(Self.user("ci", roles: ["build"])), .token(entry)])
        let found = try #require(table.principal(for: token, from: { nil }, now: 10))
        #expect(found.kind == .token && found.user == "ci" && found.roles == ["build"] && found.token == token.id)
        let other = try OpaqueToken.make()
        let wrong = try #require(OpaqueToken("bk_\(token.id)_\(other.secret)"))
        #expect(table.principal(for: wrong, from: { nil }, now: 10) == nil)
        #expect(table.principal(for: other, from: { nil }, now: 10) == nil)
    }

    @Test func aTokenExpires() throws {
        let (token, entry) = try Self.token("ci") { $0.expires = 100 }
        let table = Self.table([.user(Self.user("ci")), .token(entry)])
        #expect(table.principal(for: token, from: { nil }, now: 99)?.expires == 100)
        #expect(table.principal(for: token, from: { nil }, now: 100) == nil)
    }

    @Test(arguments: [Int64.min, -1, .max])
    func clampsExtremeExpiryTimes(expires: Int64) {
        #expect(0...Principal.lastSecond ~= Principal(.jwt, user: "a", expires: expires).expires ?? -1)
    }

    @Test func aTokenEndsWhenItsUserIsRemovedDisabledOrRevoked() throws {
        let (token, entry) = try Self.token("ci") { $0.created = 50 }
        var disabled = Self.user("ci")
        disabled.isDisabled = true
        for entries: [AccessEntry.Content] in [
            [.token(entry)], [.user(disabled), .token(entry)],
            [.user(Self.user("ci")), .token(entry), .revoked(.token(token.id))],
            [.user(Self.user("ci")), .token(entry), .revoked(.user("ci", before: 51))],
        ] {
            #expect(Self.table(entries).principal(for: token, from: { nil }, now: 60) == nil)
        }
        let later = Self.table([.user(Self.user("ci")), .token(entry), .revoked(.user("ci", before: 50))])
        #expect(later.principal(for: token, from: { nil }, now: 60) != nil)
    }

    /// Two spellings of one accent are two users: a change of one does not affect the other.
    @Test func namesAreComparedByBytes() throws {
        let (composed, decomposed) = ("\u{E9}", "e\u{301}")
        let (token, entry) = try Self.token(decomposed) { $0.created = 50 }
        var disabled = Self.user(composed, roles: ["other"])
        disabled.isDisabled = true
        let entries: [AccessEntry.Content] = [
            .user(disabled), .user(Self.user(decomposed, roles: [composed])), .token(entry),
            .revoked(.user(composed, before: 100)), .revoked(.jti(composed)),
        ]
        let table = Self.table(entries)
        let known = try #require(table.principal(for: token, from: { nil }, now: 60))
        #expect(known.user.exact == decomposed.exact && known.roles == [composed.exact])
        #expect(!table.isDisabled(decomposed) && table.isDisabled(composed))
        #expect(!table.isRevoked(identifier: decomposed) && table.isRevoked(identifier: composed))
        var condition = AccessRule.Condition()
        condition.role = decomposed
        #expect(!condition.applies(to: Subject(known)))
        var file = AccessFile()
        for content in entries { file.entries.append(AccessEntry(content)) }
        let read = try AccessFile(file.bytes, file: "a")
        #expect(read.users.count == 2, "each name once, and these are two")
        #expect(try file.remove(user: composed) == 0 && file.tokens.count == 1)
        file.revokeAll(of: composed, before: 200)
        #expect(file.tokens.count == 1)
    }

    /// Credentials that were right once are not a guess.
    @Test func onlyAWrongSecretCountsAsAGuess() throws {
        let (old, expired) = try Self.token("ci") { $0.expires = 100 }
        let (far, foreign) = try Self.token("ci") { $0.from = ["10.0.0.0/8"] }
        let checks = CredentialChecks(try PasswordChecks(threads: 1))
        let access = Access(
            AccessRules([]), users: Self.table([.user(Self.user("ci")), .token(expired), .token(foreign)]))
        func isGuess(_ text: String) -> Bool? {
            guard case .refused(let failure) = checks.authenticate(.bearer(text), access, from: { nil }) else {
                return nil
            }
            return failure.isGuess
        }
        #expect(isGuess(old.text) == false && isGuess(far.text) == false)
        #expect(isGuess(try OpaqueToken.make().text) == true && isGuess("x") == true)
        #expect(isGuess("bk_\(old.id)_\(far.secret)") == true)
    }

    private static let lives: [(Int64, Int64, Bool)] = [
        (3600, 0, true), (3601, 0, false), (3900, 300, true), (3900, 30, false),
    ]

    @Test(arguments: lives)
    func acceptsOnlyShortLivedTokensInURLs(life: Int64, leeway: Int64, isTaken: Bool) {
        let principal = Principal(.jwt, user: "a", expires: 1000 + life, leeway: leeway, issued: 1000)
        #expect(AccessOptions().mayBeInAddress(principal) == isTaken)
    }

    @Test func aTokenIsValidOnlyFromItsNetworks() throws {
        let (token, entry) = try Self.token("ci") { $0.from = ["10.0.0.0/8"] }
        let table = Self.table([.user(Self.user("ci")), .token(entry)])
        #expect(table.principal(for: token, from: { "10.1.2.3" }, now: 0) != nil)
        #expect(table.principal(for: token, from: { "11.1.2.3" }, now: 0) == nil)
        #expect(table.principal(for: token, from: { nil }, now: 0) == nil)
    }

    @Test func aTokenNeverExceedsItsUsersRights() throws {
        let (token, entry) = try Self.token("ci") { $0.limits = AccessToken.Limits(publish: ["build/#", "secret/#"]) }
        let table = Self.table([.user(Self.user("ci")), .token(entry)])
        var condition = AccessRule.Condition()
        condition.user = "ci"
        var rule = AccessRule(for: condition)
        rule.publish = [try FilterTemplate("build/#"), try FilterTemplate("log/#")]
        rule.subscribe = [try FilterTemplate("build/#")]
        let principal = try #require(table.principal(for: token, from: { nil }, now: 0))
        let grant = AccessRules([rule]).grant(for: Subject(principal))
        #expect(grant.mayPublish(to: try Topic("build/1")))
        #expect(!grant.mayPublish(to: try Topic("log/1")))
        #expect(!grant.mayPublish(to: try Topic("secret/1")))
        #expect(!grant.maySubscribe(to: try TopicFilter("build/1")))
    }

    // MARK: Changes

    private func renewal(_ principal: Principal, _ entries: [AccessEntry.Content]) -> String {
        switch Self.table(entries).renewal(of: principal, from: { nil }, now: 60) {
        case .same: "same"
        case .changed(let new): "changed \(new.roles.map(\.text).sorted())"
        case .ended: "ended"
        }
    }

    @Test func renewsOrEndsAPrincipalWhenItsUserChanges() throws {
        let (hash, other) = (try Self.hash("old"), try Self.hash("new"))
        let table = Self.table([.user(Self.user("a", roles: ["r"], password: hash))])
        let principal = try #require(table.principal(forPasswordOf: "a"))
        #expect(renewal(principal, [.user(Self.user("a", roles: ["r"], password: hash))]) == "same")
        #expect(renewal(principal, [.user(Self.user("a", roles: ["s"], password: hash))]) == "changed [\"s\"]")
        #expect(renewal(principal, [.user(Self.user("a", roles: ["r"], password: other))]) == "ended")
        #expect(renewal(principal, []) == "ended")
        var disabled = Self.user("a", password: hash)
        disabled.isDisabled = true
        #expect(renewal(principal, [.user(disabled)]) == "ended")
    }

    @Test func endsAPrincipalWhenItsTokenIsRevoked() throws {
        let (token, entry) = try Self.token("a") { $0.expires = 50 }
        let all: [AccessEntry.Content] = [.user(Self.user("a")), .token(entry)]
        let principal = try #require(Self.table(all).principal(for: token, from: { nil }, now: 40))
        #expect(renewal(principal, all) == "same", "it ends by its time, and not by a change")
        #expect(renewal(principal, [.user(Self.user("a"))]) == "ended")
        #expect(renewal(principal, all + [.revoked(.token(token.id))]) == "ended")
        let web = Principal(.jwt, user: "a", token: "j1", issued: 30)
        #expect(renewal(web, []) == "same")
        #expect(renewal(web, [.revoked(.jti("j1"))]) == "ended")
        #expect(renewal(web, [.revoked(.user("a", before: 31))]) == "ended")
        #expect(renewal(web, [.revoked(.user("b", before: 31))]) == "same")
    }

    @Test func endsAPrincipalWhenItsCertificateIsReassigned() {
        let digest = [UInt8](repeating: 7, count: 32)
        var user = Self.user("device7")
        user.certificate = digest
        let principal = Principal(.certificate, user: "device7", tie: digest, stamp: 1)
        #expect(renewal(principal, [.user(user)]) == "same")
        #expect(renewal(principal, [.user(Self.user("device7"))]) == "ended")
        #expect(renewal(principal, []) == "ended")
        // Revocations concern credentials issued at a time, which a certificate does not have.
        #expect(renewal(principal, [.user(user), .revoked(.user("device7", before: 31))]) == "same")
    }

    @Test func endsAPrincipalWhenItsIssuerIsRemoved() {
        let issuer = JWTIssuer("login", audience: "broker", algorithms: [.es256])
        let principal = Principal(.jwt, user: "a", issuer: "login", stamp: issuer.hashValue)
        func outcome(_ issuers: [JWTIssuer]) -> String {
            let keys = issuers.compactMap { try? JWTKeys($0.name, .secret([UInt8](repeating: 1, count: 32))) { _ in } }
            let authority = JWTAuthority(Array(zip(issuers, keys)))
            let access = Access(AccessRules([]), webTokens: issuers.isEmpty ? nil : authority)
            return if case .same = access.renewal(of: principal, from: { nil }, now: 60) { "same" } else { "ended" }
        }
        var other = issuer
        other.audience = "another"
        #expect(outcome([other, issuer]) == "same")
        #expect(outcome([other]) == "ended")
        #expect(outcome([]) == "ended")
    }

    // MARK: Passwords

    private func ask(_ checks: CredentialChecks, _ access: Access, _ password: String) async -> String {
        let credentials = Credentials.basic(user: "a", password: password)
        switch checks.authenticate(credentials, access, from: { nil }) {
        case .known(let principal): return "at once \(principal.user ?? "")"
        case .refused(let failure): return "\(failure.reason)"
        case .pending(let begin):
            let outcome = await withCheckedContinuation { continuation in begin { continuation.resume(returning: $0) } }
            switch outcome {
            case .success(let principal): return "later \(principal.user ?? "")"
            case .failure(let failure): return "\(failure.reason)"
            }
        }
    }

    @Test func remembersACorrectPassword() async throws {
        let checks = CredentialChecks(try PasswordChecks(threads: 1))
        let hash = try Self.hash("secret")
        let access = Access(AccessRules([]), users: Self.table([.user(Self.user("a", password: hash))]))
        #expect(await ask(checks, access, "wrong") == "invalid")
        #expect(await ask(checks, access, "secret") == "later a")
        #expect(await ask(checks, access, "secret") == "at once a")
        #expect(await ask(checks, access, "wrong") == "invalid")
        #expect(checks.passwords.begun.load(ordering: .relaxed) == 3)
        let changed = Access(
            AccessRules([]), users: Self.table([.user(Self.user("a", password: try Self.hash("other")))]))
        #expect(await ask(checks, changed, "secret") == "invalid", "a remembered password is valid for one hash only")
    }

    /// A client that asks whether its password is remembered just before another one's check ends costs nothing more.
    @Test func computesARememberedPasswordOnlyOnce() async throws {
        let checks = try PasswordChecks(threads: 1)
        let (hash, day) = (try Self.hash("secret"), Int64(86_400_000_000_000))
        for _ in 0..<20 {
            let outcome = await withCheckedContinuation { continuation in
                checks.check("a", "secret", hash, memory: day) { continuation.resume(returning: $0) }
            }
            #expect(outcome == .right)
        }
        #expect(checks.begun.load(ordering: .relaxed) == 1)
    }

    /// How many of this many wrong passwords for a user are computed, from addresses that a function makes from
    /// numbers.
    private func computed(
        _ count: Int, _ checks: PasswordChecks, _ user: String, _ hash: PasswordHash?, _ now: MonotonicTime,
        from address: (Int) -> String?
    ) async -> Int {
        var computed = 0
        for number in 0..<count {
            let outcome = await withCheckedContinuation { continuation in
                checks.check(user, "wrong \(number)", hash, from: address(number), memory: 0, now: now) {
                    continuation.resume(returning: $0)
                }
            }
            if outcome == .wrong { computed += 1 }
        }
        return computed
    }

    /// Strangers at any number of addresses get ten guesses a minute, also at a user that does not exist; and a user
    /// that has come from an address before has ten of its own there.
    @Test func guessingCannotLockOutAUser() async throws {
        let checks = try PasswordChecks(threads: 1, cost: try #require(Self.cheap))
        let (hash, now) = (try Self.hash("right"), MonotonicTime.now)
        func logIn(from address: String) async -> PasswordChecks.Outcome {
            await withCheckedContinuation { continuation in
                checks.check("a", "right", hash, from: address, memory: 0, now: now) {
                    continuation.resume(returning: $0)
                }
            }
        }
        #expect(await logIn(from: "192.0.2.1") == .right)
        #expect(await computed(40, checks, "a", hash, now) { "198.51.100.\($0)" } == 9)
        #expect(await computed(40, checks, "nobody", nil, now) { "198.51.100.\($0)" } == 10)
        #expect(await logIn(from: "192.0.2.1") == .right)
        #expect(await logIn(from: "192.0.2.2") == .limited, "at an address that the user has not come from")
        #expect(await computed(40, checks, "a", hash, now) { _ in "192.0.2.1" } == 9)
        #expect(checks.limited.load(ordering: .relaxed) == 31 + 30 + 1 + 31)
        let later = now.advanced(byNanoseconds: 60_000_000_000)
        #expect(await computed(40, checks, "a", hash, later) { "198.51.100.\($0)" } == 10)
    }

    @Test func hashesThePasswordOfAnUnknownUser() async throws {
        let checks = CredentialChecks(try PasswordChecks(threads: 1))
        #expect(await ask(checks, Access([]), "x") == "invalid")
        #expect(checks.passwords.begun.load(ordering: .relaxed) == 1)
    }

    /// The time of an answer reveals nothing: each costs one computation of the same size, whether or not the user
    /// exists.
    @Test func everyFailedLoginCostsTheSame() async throws {
        let checks = CredentialChecks(try PasswordChecks(threads: 1))
        let hash = try Self.hash("right")
        var disabled = Self.user("a", password: hash)
        disabled.isDisabled = true
        let tables: [[AccessEntry.Content]] = [
            [], [.user(Self.user("a"))], [.user(disabled)], [.user(Self.user("a", password: hash))],
        ]
        for (number, entries) in tables.enumerated() {
            let access = Access(AccessRules([]), users: Self.table(entries))
            #expect(await ask(checks, access, "wrong") == "invalid")
            #expect(checks.passwords.begun.load(ordering: .relaxed) == number + 1)
        }
    }

    /// Only one thread works at first, so that the rest waits; then a second one is allowed, and takes over the rest.
    @Test func raisingTheThreadLimitStartsWaitingChecks() {
        let pool = WorkerPool(name: "test", maximumThreads: 1, maximumWaiting: 10)
        let (gate, second, third) = (
            DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)
        )
        #expect(pool.run { gate.wait() } && pool.run { second.signal() })
        #expect(pool.waiting == 1)
        pool.adopt(maximumThreads: 2)
        #expect(second.wait(timeout: .now() + 60) == .success)
        pool.adopt(maximumThreads: 1)
        #expect(pool.run { third.signal() } && pool.waiting == 1, "the first one works still")
        gate.signal()
        #expect(third.wait(timeout: .now() + 60) == .success)
    }

    @Test func identicalChecksShareOneComputation() async throws {
        let checks = try PasswordChecks(threads: 1)
        let hash = try PasswordHash.make(for: "p")
        let (count, outcomes) = (20, Mailbox<PasswordChecks.Outcome>(wakeup: {}))
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let left = Atomic(count)
            for _ in 0..<count {
                checks.check("a", "p", hash, memory: 0) { outcome in
                    outcomes.post(outcome)
                    if left.subtract(1, ordering: .relaxed).newValue == 0 { done.resume() }
                }
            }
        }
        #expect(outcomes.drain() == Array(repeating: .right, count: count))
        #expect(checks.begun.load(ordering: .relaxed) == 1)
    }

    @Test func refusesChecksBeyondTheQueueLimit() throws {
        let checks = try PasswordChecks(threads: 1)
        let hash = try Self.hash("p")
        let refused = Atomic(0)
        let gate = DispatchSemaphore(value: 0)
        // The only thread is busy until the end.
        checks.check("first", "p", hash, memory: 0) { _ in gate.wait() }
        for number in 0..<100 {
            checks.check("user\(number)", "p", hash, memory: 0) { outcome in
                if outcome == .unavailable { refused.add(1, ordering: .relaxed) }
            }
        }
        #expect(checks.waiting == PasswordChecks.maximumWaiting)
        #expect(refused.load(ordering: .relaxed) == 100 - PasswordChecks.maximumWaiting)
        gate.signal()
    }

    @Test func aLocalPeerIsTheUserOfItsProcess() async throws {
        let checks = CredentialChecks(try PasswordChecks(threads: 1))
        guard case .pending(let begin) = checks.authenticate(.peer(0), Access([]), from: { nil }) else {
            Issue.record("the list of users may be elsewhere")
            return
        }
        // The thread sanitizer does not see that a continuation hands over what was written before.
        let isRoot = await withCheckedContinuation { continuation in
            begin { outcome in
                let principal = try? outcome.get()
                continuation.resume(returning: principal?.user == "root" && principal?.kind == .peer)
            }
        }
        #expect(isRoot)
    }

    @Test func aCertificateAuthenticatesItsUser() throws {
        let checks = CredentialChecks(try PasswordChecks(threads: 1))
        func ask(_ change: (inout Credentials.Certificate) -> Void, _ entries: [AccessEntry.Content] = []) -> Principal?
        {
            var (certificate, options) = (Credentials.Certificate(), AccessOptions())
            certificate.fingerprint = [UInt8](repeating: 7, count: 32)
            change(&certificate)
            options.certificates = CertificateIdentity()
            options.certificates?.roles = .organizationalUnit
            let access = Access(AccessRules([]), users: Self.table(entries), options: options)
            guard case .known(let principal) = checks.authenticate(.certificate(certificate), access, from: { nil })
            else { return nil }
            return principal
        }
        #expect(ask { $0.names = ["dev1"] }?.user == "dev1")
        #expect(ask { ($0.names, $0.units) = (["dev1"], ["sensor"]) }?.roles == ["sensor"])
        #expect(ask { $0.names = ["dev1", "dev2"] } == nil, "two names identify no user")
        #expect(ask { $0.names = ["+"] } == nil)
        #expect(ask { _ in } == nil)
        var (tied, disabled) = (Self.user("tied", roles: ["r"]), Self.user("dev1"))
        tied.certificate = [UInt8](repeating: 7, count: 32)
        disabled.isDisabled = true
        #expect(ask({ $0.names = ["dev1"] }, [.user(tied)])?.user == "tied")
        #expect(ask({ $0.names = ["dev1"] }, [.user(disabled)]) == nil)
    }

    // MARK: Secrets of the configuration

    @Test func aSecretIsNeverPrinted() {
        let secret = SecretText("do not tell anybody")
        var text = ""
        dump(secret, to: &text)
        for shown in ["\(secret)", String(reflecting: secret), String(describing: secret as SecretText?), text] {
            #expect(!shown.contains("tell"), "\(shown)")
        }
        #expect("\(SecretText("file:/run/x")) \(SecretText("env:NAME"))" == "file:/run/x env:NAME")
    }

    @Test func readsASecretFromAFileOrTheEnvironment() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "jwt").path
        try Data("kept\n".utf8).write(to: URL(filePath: file))
        func read(_ text: String) -> String {
            do throws(SecretError) { return String(decoding: try SecretText(text).read(), as: UTF8.self) } catch {
                return error.description
            }
        }
        #expect(chmod(file, 0o600) == 0 && read("file:\(file)") == "kept")
        for mode: mode_t in [0o604, 0o602, 0o620] {
            #expect(chmod(file, mode) == 0)
            let found = "others may read or write it (mode \(String(mode, radix: 8))): chmod go-rwx"
            #expect(read("file:\(file)") == "\(file): \(found)")
        }
        #expect(chmod(file, 0o600) == 0)
        setenv("CREDENTIALS_DIRECTORY", folder.path, 1)
        #expect(read("file:${CREDENTIALS_DIRECTORY}/jwt") == "kept")
        #expect(read("file:${HOME}/jwt") == "${HOME}/jwt: there is no such file", "the one variable")
        setenv("BROKER_TEST_SECRET", "from a variable", 1)
        #expect(read("env:BROKER_TEST_SECRET") == "from a variable")
        #expect(read("env:BROKER_TEST_NONE") == "there is no variable BROKER_TEST_NONE")
        #expect(read("itself") == "itself")
    }

    // MARK: Size

    @Test func loadsTenThousandUsersAndAHundredThousandTokens() throws {
        var lines: [UInt8] = []
        for number in 0..<10_000 {
            lines +=
                Array(
                    #"{"user":"user\#(number)","password":"\#(AccessFileTests.hash)","roles":["r"],"created":1}"#.utf8)
                + [10]
        }
        for number in 0..<100_000 {
            let id = String(String(100_000_000 + number).suffix(8))
            lines +=
                Array(
                    #"{"token":"\#(id)","sha256":"\#(AccessFileTests.digest)","user":"user\#(number % 10_000)","created":1}"#
                        .utf8) + [10]
        }
        let table = UserTable(try AccessFile(lines, file: "a", isKept: false))
        #expect(table.count == 110_000)
        #expect(table.roles(of: "user9999") == ["r"])
    }
}
