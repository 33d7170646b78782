import Testing

@testable import Broker
@testable import WSTransport

@Suite("Browser sessions")
struct BrowserSessionTests {
    private let sessions = BrowserSessions()
    private let access: Access
    private let person: Principal
    private let begin = MonotonicTime.now

    init() throws {
        let hash = try CredentialTests.hash("correct horse")
        let users = CredentialTests.table([.user(CredentialTests.user("alice", roles: ["a"], password: hash))])
        access = Access(AccessRules([]), users: users)
        person = try #require(users.principal(forPasswordOf: "alice"))
    }

    private func logIn(
        at seconds: Int64 = 0, _ change: (inout BrowserSessions.Limits) -> Void = { _ in }
    ) throws -> (value: String, principal: Principal) {
        var limits = BrowserSessions.Limits()
        change(&limits)
        let now = begin.advanced(byNanoseconds: seconds * 1_000_000_000)
        return try #require(sessions.begin(person, access, limits, now: now, time: seconds))
    }

    private func found(_ value: String, at seconds: Int64) -> Principal? {
        sessions.principal(
            of: value, access, now: begin.advanced(byNanoseconds: seconds * 1_000_000_000), time: seconds)
    }

    @Test func aCookieAuthenticatesItsUser() throws {
        let (value, principal) = try logIn()
        #expect(value.utf8.count == 43)
        #expect(principal.kind == .session && principal.user == "alice" && principal.roles == ["a"])
        #expect(principal.expires == 12 * 3600 && principal.token == principal.session?.id)
        #expect(found(value, at: 1) === principal)
        #expect(found(String(value.dropLast()) + "A", at: 1) == nil || value.last == "A")
        #expect(!value.contains(try #require(principal.token)))
    }

    @Test func expiresAfterTwelveHours() throws {
        let (value, principal) = try logIn()
        let session = try #require(principal.session)
        session.connected()
        #expect(found(value, at: 12 * 3600 - 1) != nil)
        #expect(found(value, at: 12 * 3600) == nil && session.isEnded)
        #expect(sessions.count == 0)
    }

    @Test func expiresAfterAnHourWithoutUse() throws {
        let value = try logIn().value
        #expect(found(value, at: 3600) != nil)
        #expect(found(value, at: 2 * 3600) != nil)
        #expect(found(value, at: 3 * 3600 + 1) == nil)
        #expect(found(value, at: 3 * 3600 + 1) == nil)
    }

    @Test func anOpenConnectionKeepsItAlive() throws {
        let (value, principal) = try logIn()
        principal.session?.connected()
        #expect(found(value, at: 2 * 3600) != nil)
        principal.session?.connected()
        principal.session?.disconnected()
        #expect(found(value, at: 4 * 3600) != nil)
    }

    @Test func endsTheUsersOldestSessionAtTheLimitPerUser() throws {
        let first = try logIn { $0.perUser = 2 }
        let others = try (0..<2).map { _ in try logIn { $0.perUser = 2 } }
        #expect(first.principal.session?.isEnded == true && sessions.endings.load(ordering: .relaxed) == 1)
        #expect(others.allSatisfy { found($0.value, at: 1) != nil } && sessions.count == 2)
    }

    @Test func removesExpiredSessionsAtTheTotalLimit() throws {
        _ = try logIn { $0.all = 2 }
        _ = try logIn { $0.all = 2 }
        var limits = BrowserSessions.Limits()
        limits.all = 2
        let hours: Int64 = 2 * 3600
        let later = begin.advanced(byNanoseconds: hours * 1_000_000_000)
        #expect(sessions.begin(person, access, limits, now: begin, time: 0) == nil)
        #expect(sessions.refused.load(ordering: .relaxed) == 1)
        #expect(sessions.begin(person, access, limits, now: later, time: hours) != nil)
        #expect(sessions.count == 1)
    }

    /// A user that was disabled and enabled again must log in again.
    @Test func enablingADisabledUserRestoresNoSession() throws {
        let value = try logIn().value
        sessions.review(Access(AccessRules([])), time: 1)
        #expect(found(value, at: 1) == nil && sessions.count == 0)
    }

    /// A change of users reaches the reactors one after the other, and the next request may come to a later one.
    @Test func olderAccessDataDoesNotEndASession() throws {
        let before = Access(AccessRules([]))
        let hash = try CredentialTests.hash("new")
        let users = CredentialTests.table([.user(CredentialTests.user("bob", password: hash))])
        let changed = Access(AccessRules([]), users: users)
        let bob = try #require(users.principal(forPasswordOf: "bob"))
        let begun = try #require(sessions.begin(bob, changed, BrowserSessions.Limits(), now: begin, time: 0))
        #expect(sessions.principal(of: begun.value, before, now: begin, time: 1) === begun.principal)
        #expect(sessions.principal(of: begun.value, changed, now: begin, time: 1) === begun.principal)
        let after = Access(AccessRules([]))
        #expect(sessions.principal(of: begun.value, after, now: begin, time: 1) == nil && sessions.count == 0)
    }

    @Test func forgetsAnEndedSession() throws {
        let (value, principal) = try logIn()
        sessions.end(try #require(principal.session))
        #expect(found(value, at: 1) == nil && sessions.count == 0)
        guard case .ended = access.renewal(of: principal, from: { nil }, now: 1) else {
            Issue.record("a connection of it goes on")
            return
        }
    }
}
