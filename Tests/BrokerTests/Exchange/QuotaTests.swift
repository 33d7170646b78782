import Testing

@testable import Broker
@testable import WSTransport

@Suite("Quotas: how much one address and one user may use")
struct QuotaTests {
    private func time(_ milliseconds: Int64) -> MonotonicTime {
        MonotonicTime(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000)
    }

    /// How many of this many attempts succeed.
    private func taken(_ tries: Int, from allowance: borrowing Allowance, _ rate: Rate, _ now: MonotonicTime) -> Int {
        var count = 0
        for _ in 0..<tries where allowance.take(1, of: rate, now: now) { count += 1 }
        return count
    }

    private func peer(_ host: String) throws -> SocketAddress { try #require(SocketAddress(host: host, port: 99)) }

    @Test func anAllowanceStartsFullAndRefillsInSteps() {
        let allowance = Allowance()
        let rate = Rate(10)
        let counts = [
            taken(20, from: allowance, rate, time(0)), taken(20, from: allowance, rate, time(100)),
            taken(20, from: allowance, rate, time(600)), taken(50, from: allowance, rate, time(1_000_000)),
        ]
        #expect(counts == [10, 1, 5, 10])
    }

    @Test func aSlowRateLosesNoFractions() {
        let allowance = Allowance()
        let rate = Rate(10, perMilliseconds: 60_000)
        let first = taken(20, from: allowance, rate, time(0))
        #expect(first == 10)
        var later = 0
        for tick in 1...600 where allowance.take(1, of: rate, now: time(Int64(tick) * 100)) { later += 1 }
        #expect(later == 10)
    }

    @Test func anOversizedRequestTakesAFullAllowance() {
        let allowance = Allowance()
        let taken = [
            allowance.take(1000, of: Rate(100), now: time(0)), allowance.take(1, of: Rate(100), now: time(0)),
            allowance.take(.max, of: Rate(100), now: time(1000)),
        ]
        #expect(taken == [true, false, true])
    }

    @Test func groupsIPv6AddressesByNetwork() throws {
        #expect(try peer("192.0.2.7").network?.host == "192.0.2.7")
        #expect(try peer("2001:db8:1:2:3:4:5:6").network == peer("2001:db8:1:2::9").network)
        #expect(try peer("2001:db8:1:2::1").network != peer("2001:db8:1:3::1").network)
        #expect(SocketAddress(path: "/x")?.network == nil)
        for host in ["127.0.0.1", "127.9.9.9", "::1"] { #expect(try peer(host).isLoopback, "\(host)") }
        for host in ["128.0.0.1", "192.0.2.127", "::2", "1::1"] { #expect(try !peer(host).isLoopback, "\(host)") }
    }

    @Test func countsConnectionsPerNetwork() throws {
        let quotas = Quotas()
        var rules = Quotas.Rules()
        rules.address.connections = 2
        let (first, same, other) = (try peer("2001:db8::1"), try peer("2001:db8::2"), try peer("192.0.2.1"))
        /// The limit that a connection reaches; `nil` if none.
        func enter(_ peer: SocketAddress) -> String? {
            quotas.address(peer, rules).flatMap { quotas.admit($0, rules, now: time(0))?.limit }
        }
        #expect(enter(first) == nil)
        #expect(enter(same) == nil)
        #expect(enter(first) == "per_address.connections")
        #expect(enter(other) == nil)
        quotas.left(try #require(quotas.address(same, rules)))
        #expect(enter(first) == nil)
        #expect(quotas.reached.first { $0.limit == "per_address.connections" }?.count == 1)
        let own = try peer("127.0.0.1")
        for _ in 0..<10 { #expect(enter(own) == nil) }
        rules.countsLoopback = true
        rules.address.arrivals = Rate(1)
        #expect(enter(own) == nil)
        #expect(enter(own) == "per_address.new_connections")
    }

    /// A loopback address that a proxy forwards is on another machine, so limits apply to it.
    @Test func countsAForwardedLoopbackAddress() throws {
        let (quotas, rules, own) = (Quotas(), Quotas.Rules(), try peer("127.0.0.1"))
        #expect(quotas.address(own, rules) == nil)
        #expect(quotas.address(own, rules, isForwarded: true) != nil)
        #expect(quotas.address(SocketAddress(path: "/x"), rules, isForwarded: true) == nil)
    }

    /// Each client of a proxy has a connection of its own, whatever connections the proxy has.
    @Test func countsForwardedConnections() throws {
        let (quotas, client) = (Quotas(), try peer("192.0.2.9"))
        var rules = Quotas.Rules()
        rules.address.connections = 2
        func connect() -> Membership? {
            guard quotas.excess(forwardedFrom: client, rules, now: time(0)) == nil else { return nil }
            return Membership(quotas, rules, peer: client, isForwarded: true, isConnection: true, .anonymous)
        }
        var members = [connect(), connect()]
        #expect(members.allSatisfy { $0 != nil } && connect() == nil)
        members.removeLast()
        #expect(connect() != nil)
    }

    /// Whether it counts is decided when it comes in, whatever proxies are trusted when it ends.
    @Test(arguments: [true, false])
    func everyCountedConnectionIsReleased(isTrustedFirst: Bool) throws {
        var settings = Settings()
        settings.limits.perAddress.connections = 5
        let harness = try ExchangeHarness(settings: settings)
        let thread = StoreThread(store: harness.store, maximumQueuedBytes: 0, onSettled: { _ in })
        let figures = Figures(
            reactors: [], shards: harness.counters, sequencer: harness.sequencer, store: harness.store,
            storeThread: thread)
        let quotas = Quotas()
        let connectionLimit = ConnectionLimit(
            figures: figures, memory: MemoryWatch(settings.limits, figures: figures, remotes: []), quotas: quotas)
        let (client, proxies) = (try peer("192.0.2.7"), [try #require(Settings.TrustedProxy("192.0.2.7"))])
        let counts = try harness.run { shard in
            let rules = shard.settings.limits.quotas
            func count() -> Int? { quotas.address(client, rules)?.connections.load(ordering: .relaxed) }
            shard.endpoints.settings.trustedProxies = isTrustedFirst ? proxies : []
            let entrance = connectionLimit.settings(for: shard, pathPrefix: "", believes: true).entrance
            guard entrance.admit(client) == nil else { return [Int?]() }
            let ended = entrance.ending(client)
            let before = count()
            shard.endpoints.settings.trustedProxies = isTrustedFirst ? [] : proxies
            ended?()
            return [before, count()]
        }
        #expect(counts == [isTrustedFirst ? 0 : 1, 0])
    }

    @Test func failedLoginsDoubleTheBlock() throws {
        let quotas = Quotas()
        var rules = Quotas.Rules()
        rules.failures = Rate(3, perMilliseconds: 60_000)
        let (guesser, other) = (try peer("192.0.2.1"), try peer("192.0.2.2"))
        for _ in 0..<3 { quotas.failed(guesser, rules, now: time(0)) }
        #expect(quotas.block(of: guesser, rules, now: time(0)) == nil)
        var now: Int64 = 0
        for seconds in [1, 2, 4, 8] {
            quotas.failed(guesser, rules, now: time(now))
            #expect(quotas.block(of: guesser, rules, now: time(now)) == seconds)
            #expect(quotas.block(of: other, rules, now: time(now)) == nil)
            now += Int64(seconds) * 1000
            #expect(quotas.block(of: guesser, rules, now: time(now)) == nil)
        }
        for _ in 0..<20 { quotas.failed(guesser, rules, now: time(now)) }
        #expect(quotas.block(of: guesser, rules, now: time(now)) == 60)
        // A quiet while, and it begins with a second once more.
        now += 600_000
        for _ in 0..<4 { quotas.failed(guesser, rules, now: time(now)) }
        #expect(quotas.block(of: guesser, rules, now: time(now)) == 1)
        #expect(quotas.block(of: guesser, Quotas.Rules(), now: time(now)) == nil)
    }

    @Test func aFullTableReusesIdleAccounts() {
        var table = AccountTable<Int>(capacity: 4)
        let held = table.account(of: 0)
        _ = table.account(of: 1).connections.wrappingAdd(1, ordering: .relaxed)
        for key in 2..<100 { _ = table.account(of: key) }
        #expect(table.count == 4)
        #expect(table.account(of: 0) === held)
        #expect(table.account(of: 1).connections.load(ordering: .relaxed) == 1)
    }

    /// With all accounts in use, one more key also gets one, at a bounded cost: no client is without limits.
    @Test func aTableOfBusyAccountsGrows() throws {
        let capacity = 10_000
        var table = AccountTable<Int>(capacity: capacity)
        let busy = (0..<capacity).map { key in
            let account = table.account(of: key)
            account.connections.add(1, ordering: .relaxed)
            return account
        }
        for key in capacity..<capacity + 1000 {
            let account = table.account(of: key)
            #expect(table.account(of: key) === account)
        }
        #expect(table.count == capacity)
        // Accounts that were replaced keep what they have, and return it to where it came from.
        #expect(busy.indices.contains { table.known($0) !== busy[$0] })
        #expect(busy.allSatisfy { $0.connections.load(ordering: .relaxed) == 1 })
    }

    @Test func connectionsShareTheLimitsOfTheirUser() throws {
        let quotas = Quotas()
        var rules = Quotas.Rules()
        rules.user.publishes = 3
        rules.user.bytes = 100
        rules.user.subscriptions = 5
        rules.user.connections = 2
        let alice = Principal(.token, user: "alice")
        var members = try (0..<2).map { _ in try #require(Membership(quotas, rules, peer: nil, alice)) }
        #expect(quotas.excess(ofUser: "alice", rules) == "per_user.connections")
        #expect(quotas.excess(ofUser: "bob", rules) == nil)
        #expect(Membership(quotas, rules, peer: nil, .anonymous) == nil)
        #expect(members[0].meter(50, rules, now: time(0)) == nil && members[1].meter(50, rules, now: time(0)) == nil)
        #expect(members[0].meter(50, rules, now: time(0)) == "per_user.publish_bytes")
        #expect(members[1].meter(0, rules, now: time(0)) == "per_user.publish_rate")
        members[0].hold(4)
        #expect(members[1].room(for: 1, rules) == nil && members[1].room(for: 2, rules) == "per_user.subscriptions")
        members.removeFirst()
        #expect(members[0].room(for: 5, rules) == nil && quotas.excess(ofUser: "alice", rules) == nil)
    }

    /// The limits of a rule replace those of `per_user`; of several rules, the most generous limit counts.
    @Test func limitsOfARuleReplaceThoseOfTheUser() throws {
        func rule(_ role: String, _ change: (inout RuleLimits) -> Void) -> AccessRule {
            var rule = AccessRule()
            rule.condition.role = role
            change(&rule.limits)
            return rule
        }
        let rules = AccessRules([
            rule("sensor") { ($0.publishRate, $0.subscriptions) = (.most(20), .most(10)) },
            rule("gateway") { ($0.publishRate, $0.connections) = (.most(500), .most(3)) },
            rule("admin") { $0.publishRate = .unlimited }, rule("none") { _ in },
        ])
        var general = Quotas.Rules()
        (general.user.publishes, general.user.subscriptions, general.user.bytes) = (5, 100, 1000)
        func limits(_ roles: Set<ExactText>) -> [Int?] {
            let subject = Subject(Principal(.token, user: "a", roles: roles))
            let user = general.with(rules.grant(for: subject).limits).user
            return [user.publishes, user.subscriptions, user.connections, user.bytes]
        }
        #expect(limits([]) == [5, 100, nil, 1000] && limits(["none"]) == [5, 100, nil, 1000])
        #expect(limits(["sensor"]) == [20, 10, nil, 1000])
        #expect(limits(["sensor", "gateway"]) == [500, 10, 3, 1000])
        #expect(limits(["admin", "gateway", "sensor"]) == [nil, 10, 3, 1000])
    }
}
