import Testing

@testable import Broker
@testable import WSTransport

@Suite("Limits of subscriptions")
struct SubscriptionLimitTests {
    private func subscribe(_ guest: Guest, _ filters: String) throws -> String? {
        try guest.ask(#"{"op":"subscribe","id":1,"snapshot":false,"filter":\#(filters)}"#, id: 1).last?.code
    }

    @Test func allClientsTogetherHaveSoMany() throws {
        var settings = Settings()
        settings.limits.subscriptions = 4
        let house = try ExchangeHouse(order: [0, 1], settings: settings)
        let guests = try [0, 1].map { try house.connectJSON(on: $0) }
        #expect(try subscribe(guests[0], #"["a","b","c"]"#) == nil)
        #expect(try subscribe(guests[1], #"["a","b"]"#) == "limit-exceeded")
        #expect(try subscribe(guests[1], #""a""#) == nil)
        #expect(try subscribe(guests[1], #""b""#) == "limit-exceeded")
        // What is there can be replaced.
        #expect(try subscribe(guests[1], #""a""#) == nil)
        try guests[0].ask(#"{"op":"unsubscribe","id":2,"filter":"b"}"#, id: 2)
        #expect(try subscribe(guests[1], #""b""#) == nil)
        #expect(house.counters[1].subscriptionLimit.current == 2)
        guests[0].leave()
        try house.wait { $0.everybody.isEmpty }
        #expect(try subscribe(guests[1], #"["c","d"]"#) == nil)
    }

    /// A reload changes what can be asked for, and nothing that was given.
    @Test func aLoweredLimitLeavesWhatIsThere() throws {
        let house = try ExchangeHouse()
        let guest = try house.connectJSON()
        #expect(try subscribe(guest, #""+/+/+""#) == nil)
        try house.run { shard in
            shard.settings.topicLimits.maximumWildcards = 2
            shard.settings.limits.subscriptions = 1
        }
        #expect(try subscribe(guest, #""a/+/+/+""#) == "bad-filter")
        #expect(try subscribe(guest, #""a/+""#) == "limit-exceeded")
        _ = try house.publish([draft("a/b/c", "still")])
        #expect(try guest.receive().data == "still")
        #expect(try guest.ask(#"{"op":"unsubscribe","id":2,"filter":"+/+/+"}"#, id: 2).last?.op == "ok")
        #expect(try subscribe(guest, #""a/+""#) == nil)
    }
}
