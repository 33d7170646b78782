import Testing

@testable import Broker
@testable import WSTransport

@Suite("Limits on subscriptions")
struct SubscriptionLimitTests {
    private func subscribe(_ stub: StubClient, _ filters: String) throws -> String? {
        try stub.ask(#"{"op":"subscribe","id":1,"snapshot":false,"filter":\#(filters)}"#, id: 1).last?.code
    }

    @Test func limitsTheSubscriptionsOfAllClients() throws {
        var settings = Settings()
        settings.limits.subscriptions = 4
        let harness = try ExchangeHarness(order: [0, 1], settings: settings)
        let stubs = try [0, 1].map { try harness.connectJSON(on: $0) }
        #expect(try subscribe(stubs[0], #"["a","b","c"]"#) == nil)
        #expect(try subscribe(stubs[1], #"["a","b"]"#) == "limit-exceeded")
        #expect(try subscribe(stubs[1], #""a""#) == nil)
        #expect(try subscribe(stubs[1], #""b""#) == "limit-exceeded")
        // Existing subscriptions can be replaced.
        #expect(try subscribe(stubs[1], #""a""#) == nil)
        try stubs[0].ask(#"{"op":"unsubscribe","id":2,"filter":"b"}"#, id: 2)
        #expect(try subscribe(stubs[1], #""b""#) == nil)
        #expect(harness.counters[1].subscriptionLimit.current == 2)
        stubs[0].leave()
        try harness.wait { $0.everybody.isEmpty }
        #expect(try subscribe(stubs[1], #"["c","d"]"#) == nil)
    }

    /// A reload changes what can be requested, not what was granted.
    @Test func aLoweredLimitKeepsExistingSubscriptions() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        #expect(try subscribe(stub, #""+/+/+""#) == nil)
        try harness.run { shard in
            shard.settings.topicLimits.maximumWildcards = 2
            shard.settings.limits.subscriptions = 1
        }
        #expect(try subscribe(stub, #""a/+/+/+""#) == "bad-filter")
        #expect(try subscribe(stub, #""a/+""#) == "limit-exceeded")
        _ = try harness.publish([draft("a/b/c", "still")])
        #expect(try stub.receive().data == "still")
        #expect(try stub.ask(#"{"op":"unsubscribe","id":2,"filter":"+/+/+"}"#, id: 2).last?.op == "ok")
        #expect(try subscribe(stub, #""a/+""#) == nil)
    }
}
