import Testing

@testable import Broker
@testable import WSTransport

@Suite("§1: followers of a topic learn of a removal and of an expiry", .timeLimit(.minutes(10)))
struct ExpiryTests {
    private func subscribed(_ harness: ExchangeHarness, _ filter: String) throws -> StubClient {
        let stub = try harness.connectJSON(on: 0)
        try stub.send(#"{"op":"subscribe","id":1,"filter":"\#(filter)"}"#)
        #expect(try stub.receive().op == "ok" && stub.receive().op == "live")
        return stub
    }

    private func value(_ harness: ExchangeHarness, _ name: String) throws -> Message? {
        try harness.store.value(of: topic(name), now: .min)
    }

    /// Waits until everything published so far is on disk.
    private func settle(_ harness: ExchangeHarness) throws {
        var draft = Draft(topic: try topic("settled"), payload: [1], kind: .text)
        (draft.isRetained, draft.acknowledgement) = (true, .stored)
        _ = try harness.publish([draft])
    }

    @Test func anExpiryIsDeliveredInOrder() throws {
        let harness = try ExchangeHarness()
        let stub = try subscribed(harness, "a/+")
        try stub.send(#"{"op":"publish","id":2,"topic":"a/1","data":"x","retain":true,"ttl":0.2}"#)
        var seen: [Notice] = []
        while seen.last?.expired != true { seen.append(try stub.receive()) }
        let (set, gone) = (seen[0].op == "message" ? seen[0] : seen[1], seen[2])
        #expect(seen.count == 3 && set.retain == true && set.expires != nil)
        #expect(gone.topic == "a/1" && gone.removed == true && gone.data == nil && gone.expires == nil)
        #expect(gone.seq == set.seq.map { $0 + 1 })
        try settle(harness)
        #expect(try value(harness, "a/1") == nil)
        let log = harness.published()
        #expect(log.map(\.isExpiry) == [false, true, false] && log.map(\.isRemoval) == [false, true, false])
    }

    /// Values replaced or removed in time are not announced; the others are announced in order of expiry.
    @Test func announcesEachExpiryOnceIfTheValueRemains() throws {
        let harness = try ExchangeHarness()
        let stub = try subscribed(harness, "a/+")
        for (name, members) in [
            ("a/replaced", #""data":"x","ttl":0.2"#), ("a/removed", #""data":"x","ttl":0.2"#),
            ("a/replaced", #""data":"y""#), ("a/removed", #""data":"""#), ("a/late", #""data":"x","ttl":0.4"#),
            ("a/soon", #""data":"x","ttl":0.3"#),
        ] {
            try stub.send(#"{"op":"publish","topic":"\#(name)","retain":true,\#(members)}"#)
        }
        var gone: [String?] = []
        while gone.last != "a/late" {
            let notice = try stub.receive()
            if notice.expired == true { gone.append(notice.topic) }
        }
        #expect(gone == ["a/soon", "a/late"])
        try settle(harness)
        #expect(try value(harness, "a/replaced")?.payload.array == Array("y".utf8))
        #expect(harness.published().filter(\.isExpiry).count == 2)
    }

    /// More than are announced at once, also where the store has removed some already because it had no room.
    @Test func announcesManySimultaneousExpiriesOnceEach() throws {
        let directory = TestDirectory()
        let store = try directory.open(limits: RetainedLimits(maximumMessages: 600))
        try store.apply(
            (0..<600).map { try retained("a/\($0)", "x", seq: UInt64($0 + 1), expiry: 1) }, reserving: 700)
        try store.apply([retained("b", "x", seq: 601)], reserving: nil)
        #expect(try store.statistics().values < 600)
        var settings = Settings()
        settings.history = [Settings.History(filter: "a/#", messages: 10)]
        let harness = try ExchangeHarness(store, settings: settings)
        let stub = try harness.connectJSON(on: 0)
        try stub.send(#"{"op":"subscribe","filter":"a/+","since":700,"snapshot":false}"#)
        var gone: Set<String> = []
        while gone.count < 600 {
            let notice = try stub.receive()
            if notice.op == "live" { continue }
            let isNew = try gone.insert(#require(notice.topic)).inserted
            #expect(notice.expired == true && isNew)
        }
        #expect(try value(harness, "b") != nil)
    }

    /// A resuming client gets the expiry from the history, like any message.
    @Test func theHistoryKeepsAnExpiry() throws {
        var settings = Settings()
        settings.history = [Settings.History(filter: "a/#", messages: 10)]
        let directory = TestDirectory()
        let harness = try ExchangeHarness(directory.open(), settings: settings)
        let stub = try subscribed(harness, "a/+")
        try stub.send(#"{"op":"publish","topic":"a/1","data":"x","retain":true,"ttl":0.2}"#)
        let set = try stub.receive()
        let gone = try stub.receive()
        #expect(gone.expired == true)
        let other = try harness.connectJSON(on: 0)
        try other.send(#"{"op":"subscribe","filter":"a/+","since":\#(try #require(set.seq))}"#)
        #expect(try other.receive() == gone)
    }

    /// An empty frame would look like an empty message.
    @Test func aTopicSocketGetsNoRemovals() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connect { shard, socket in
            TopicSession(
                shard: shard, socket: socket, client: shard.makeClient(.anonymous, peer: nil, protocolName: "topic"),
                topic: Topic(unchecked: "a"), options: TopicSession.Options())
        }
        let publisher = try harness.connectJSON(on: 0)
        for members in [#""data":"x","retain":true"#, #""data":"","retain":true"#, #""data":"""#, #""data":"y""#] {
            try publisher.send(#"{"op":"publish","topic":"a",\#(members)}"#)
        }
        #expect(try [stub.frame()?.text, stub.frame()?.text, stub.frame()?.text] == ["x", "", "y"])
    }
}
