import Testing

@testable import Broker
@testable import WSTransport

@Suite("Permissions and rates")
struct PermissionsTests {
    private func permissions(publish: [String] = [], subscribe: [String] = []) throws -> Permissions {
        Permissions(publish: try publish.map { try filter($0) }, subscribe: try subscribe.map { try filter($0) })
    }

    /// A list, a topic, and whether it may be published to.
    static let publishing: [([String], String, Bool)] = [
        ([], "a", false), (["a"], "a", true), (["a"], "a/b", false), (["a"], "A", false), (["a/+"], "a/b", true),
        (["a/+"], "a", false), (["a/#"], "a", true), (["a/#"], "a/b/c", true), (["b", "a/+"], "a/b", true),
        (["+/b"], "a/b", true), (["+/b"], "$a/b", false), (["$a/#"], "$a/b", true), (["#"], "a", true),
        (["#"], "$a/b", true), (["+/#"], "$a/b", false), (["+"], "$a", false),
    ]

    @Test(arguments: publishing)
    func allowsPublishing(list: [String], name: String, isAllowed: Bool) throws {
        #expect(try permissions(publish: list).allowsPublish(to: topic(name)) == isAllowed)
        #expect(try !permissions(subscribe: list).allowsPublish(to: topic(name)), "another right")
        #expect(try Permissions.all.allowsPublish(to: topic(name)))
    }

    /// A list, a filter, and whether everything it can match may be read.
    static let subscribing: [([String], String, Bool)] = [
        ([], "a", false), (["a"], "a", true), (["a"], "+", false), (["a"], "#", false), (["a/+"], "a/b", true),
        (["a/+"], "a/+", true), (["a/+"], "a/#", false), (["a/#"], "a/+/c", true), (["a/#"], "a", true),
        (["a/#"], "a/#", true), (["a/#"], "+/b", false), (["+/#"], "#", true), (["+/#"], "$a", false),
        (["#"], "#", true), (["#"], "$a/#", true), (["#"], "$SYS/broker/#", true), (["$a/#"], "$a/+", true),
        // Two that cover it together cover it not: each filter is looked at alone.
        (["a", "a/+/#"], "a/#", false),
    ]

    @Test(arguments: subscribing)
    func allowsSubscribing(list: [String], name: String, isAllowed: Bool) throws {
        #expect(try permissions(subscribe: list).allowsSubscribe(to: filter(name)) == isAllowed)
        #expect(try !permissions(publish: list).allowsSubscribe(to: filter(name)), "another right")
        #expect(try Permissions.all.allowsSubscribe(to: filter(name)))
    }

    @Test func anonymousClientsHaveWhatTheSettingsSay() throws {
        var settings = Settings()
        settings.access.anonymous.publish = ["in/+"]
        settings.access.anonymous.subscribe = []
        let permissions = Permissions(anonymous: settings)
        #expect(try permissions.allowsPublish(to: topic("in/1")) && !permissions.allowsPublish(to: topic("a")))
        #expect(try !permissions.allowsSubscribe(to: filter("in/1")))
    }

    // MARK: Rate

    private func time(_ milliseconds: Int64) -> MonotonicTime {
        MonotonicTime(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
    }

    /// How many of `count` are taken at that time.
    private func take(_ count: Int, _ limit: inout RateLimit, of rate: Int = 10, at milliseconds: Int64) -> Int {
        (0..<count).filter { _ in limit.take(perSecond: rate, now: time(milliseconds)) }.count
    }

    @Test func soManyASecond() {
        var limit = RateLimit()
        #expect(take(20, &limit, at: 0) == 10, "a second's worth at once")
        #expect(take(5, &limit, at: 99) == 0)
        #expect(take(5, &limit, at: 100) == 1)
        #expect(take(5, &limit, at: 350) == 2)
        #expect(take(5, &limit, at: 400) == 1, "what is left of a part counts")
        #expect(take(50, &limit, at: 60_000) == 10, "saved up for one second at most")
        #expect(take(5, &limit, at: 59_000) == 0, "a clock that goes back gives nothing")
    }

    @Test func aRateThatIsChangedHoldsAtOnce() {
        var limit = RateLimit()
        #expect(take(5, &limit, of: 2, at: 0) == 2)
        #expect(take(500, &limit, of: 100, at: 100) == 10, "what is earned since, at the rate of now")
        #expect(take(500, &limit, of: 3, at: 60_000) == 3, "no more is saved than it allows")
    }

    @Test func aLimitOfNothingTakesNothing() {
        var limit = RateLimit()
        #expect(take(3, &limit, of: 0, at: 0) == 0 && take(3, &limit, of: 0, at: 10_000) == 0)
    }

    @Test func aClientHasItsOwnRate() {
        let identity = Identity(user: nil, permissions: .all)
        let client = Client(
            id: 36 * 36, identity: identity, address: "", protocolName: "http", connectedAt: 0)
        #expect(client.name == "100")
        #expect(client.mayPublish(perSecond: 1, now: time(0)) && !client.mayPublish(perSecond: 1, now: time(10)))
        #expect(client.mayPublish(perSecond: nil, now: time(10)), "without a limit all are taken")
    }
}
