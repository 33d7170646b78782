import Testing

@testable import Broker
@testable import WSTransport

@Suite("Bans")
struct BanTests {
    private let now = MonotonicTime.now

    private func subject(_ kind: Ban.Subject.Kind, _ name: String) throws -> Ban.Subject {
        try #require(Ban.Subject(kind, name))
    }

    private func list(_ subjects: Ban.Subject...) -> BanList {
        Bans().add(subjects, seconds: nil, note: "", atMost: 100, now: now).list
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false), ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false), ("0.0.0.0/0", "192.0.2.1", true), ("0.0.0.0/0", "::1", false),
        ("::/0", "192.0.2.1", true), ("2001:db8::/64", "2001:db8::ffff:1", true),
        ("2001:db8::/64", "2001:db8:0:1::1", false), ("2001:db8::1", "2001:db8:0::1", true),
        ("::ffff:10.0.0.1", "10.0.0.1", true), ("127.0.0.0/9", "127.128.0.1", false),
    ])
    func aNetworkBanCoversItsAddresses(network: String, address: String, isBanned: Bool) throws {
        let list = list(try subject(.address, network), try subject(.address, "198.51.100.0/25"))
        #expect((list.ban(ofAddress: address, now: now) != nil) == isBanned)
    }

    @Test func usersAndTokensAreComparedByBytes() throws {
        let list = list(try subject(.user, "\u{E9}"), try subject(.token, "q7Xk2mP9"))
        func isOut(_ principal: Principal) -> Bool { list.ban(of: principal, at: nil, now: now) != nil }
        #expect(isOut(Principal(.password, user: "\u{E9}")) && isOut(Principal(.jwt, user: "\u{E9}")))
        #expect(!isOut(Principal(.password, user: "e\u{301}")) && !isOut(.anonymous))
        #expect(isOut(Principal(.token, user: "ci", token: "q7Xk2mP9")))
        #expect(!isOut(Principal(.token, user: "q7Xk2mP9", token: "other")))
        #expect(!isOut(.administrator))
    }

    @Test func aBanEndsAtItsExpiry() throws {
        let bans = Bans()
        let (bob, eve) = (try subject(.user, "bob"), try subject(.user, "eve"))
        let list = bans.add([bob], seconds: 10, note: "", atMost: 10, now: now).list
        _ = bans.add([eve], seconds: nil, note: "", atMost: 10, now: now)
        func isOut(after seconds: Int64) -> Bool {
            let then = now.advanced(byNanoseconds: seconds * 1_000_000_000)
            return list.ban(of: Principal(.token, user: "bob"), at: nil, now: then) != nil
        }
        #expect(isOut(after: 9) && !isOut(after: 10))
        let (ended, left) = bans.removeEnded(now: now.advanced(byNanoseconds: 10_000_000_000))
        #expect(ended.map(\.subject) == [bob] && left.all.map(\.subject) == [eve] && !left.hasEnds)
    }

    @Test func listsBansInTheOrderTheyWereAdded() throws {
        let users = (1...12).map { "u\($0)" }
        let added = Bans().add(try users.map { try subject(.user, $0) }, seconds: nil, note: "", atMost: 100, now: now)
        #expect(added.list.all.map(\.subject.name) == users)
    }

    @Test func refusesBansBeyondTheLimit() throws {
        let bans = Bans()
        let subjects = try ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map { try subject(.address, $0) }
        let added = bans.add(subjects, seconds: nil, note: "", atMost: 2, now: now)
        #expect(added.bans.count == 2 && added.left == 1 && bans.refused.load(ordering: .relaxed) == 1)
        let again = bans.add([subjects[1]], seconds: 5, note: "", atMost: 2, now: now)
        #expect(again.bans.count == 1 && again.list.count == 2 && again.list.hasEnds)
        let removed = try #require(bans.remove(id: again.bans[0].id))
        #expect(removed.list.count == 1 && removed.list.ban(ofAddress: "10.0.0.2", now: now) == nil)
        #expect(bans.remove(id: again.bans[0].id) == nil)
    }

    @Test func aClientIsBannedByUserElseByAddress() throws {
        func named(_ principal: Principal, _ host: String?) -> String? {
            Ban.Subject(of: principal, at: host.flatMap { SocketAddress(host: $0, port: 1) })?.description
        }
        #expect(named(Principal(.jwt, user: "bob"), "127.0.0.1") == "user bob")
        #expect(named(.anonymous, "192.0.2.1") == "address 192.0.2.1")
        #expect(named(.anonymous, "2001:db8::1:2") == "address 2001:db8::/64")
        #expect(named(.anonymous, "127.0.0.1") == nil && named(.anonymous, "::1") == nil)
        #expect(named(.anonymous, nil) == nil)
    }

    /// Two administrators on two reactors write at the same moment.
    @Test func ignoresAnOlderListOfBans() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON(as: Principal(.token, user: "bob"))
        let bans = Bans()
        let first = bans.add([try subject(.user, "eve")], seconds: nil, note: "", atMost: 9, now: now).list
        let second = bans.add([try subject(.user, "bob")], seconds: nil, note: "", atMost: 9, now: now).list
        try harness.run { $0.adopt(second) { #expect($0 == 1) } }
        try harness.run { $0.adopt(first) { #expect($0 == 0) } }
        #expect(try harness.run { $0.bans.count } == 2)
        #expect(try stub.frame()?.payload.prefix(2) == [0x11, 0x3A])
    }
}
