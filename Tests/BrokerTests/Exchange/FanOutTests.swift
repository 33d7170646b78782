import Testing

@testable import Broker
@testable import WSTransport

@Suite("Fan-out: each wire form, once to a connection")
struct FanOutTests {
    private static let payloads: [(payload: [UInt8], kind: Message.Kind)] = [
        (Array("21.5".utf8), .json), (Array(#"{"a":[1,null]}"#.utf8), .json), (Array("héllo \"x\"\n".utf8), .text),
        ([0, 1, 0xFF, 0xFE], .binary), ([], .text), ([], .binary), ([], .json),
        (Array(repeating: 0x61, count: 130), .text), (Array(repeating: 0xFF, count: 70_000), .binary),
    ]

    private func topicSocket(
        _ harness: ExchangeHarness, on index: Int = 0, _ options: TopicSession.Options = TopicSession.Options()
    ) throws -> StubClient {
        let name = try topic("a/b")
        return try harness.connect(on: index) { shard, socket in
            TopicSession(
                shard: shard, socket: socket,
                client: shard.makeClient(.anonymous, peer: nil, protocolName: "topic"), topic: name, options: options)
        }
    }

    private func subscriptionSocket(_ harness: ExchangeHarness, _ name: String) throws -> StubClient {
        let filter = try filter(name)
        var options = SubscribeOptions()
        options.wantsSnapshot = false
        return try harness.connect { [options] shard, socket in
            SubscriptionSession(
                shard: shard, socket: socket,
                client: shard.makeClient(.anonymous, peer: nil, protocolName: "subscription"), filter: filter,
                options: options)
        }
    }

    @Test func eachEndpointGetsItsWireForm() throws {
        let harness = try ExchangeHarness()
        let bytes = try topicSocket(harness)
        let objects = try subscriptionSocket(harness, "a/+")
        let json = try harness.connectJSON()
        try json.ask(#"{"op":"subscribe","id":1,"filter":"a/b","snapshot":false}"#, id: 1)
        #expect(try json.receive().op == "live")
        #expect(try objects.frame()?.text.hasPrefix(#"{"op":"live""#) == true)
        var drafts: [Draft] = []
        for (payload, kind) in Self.payloads {
            var draft = Draft(topic: try topic("a/b"), payload: payload, kind: kind)
            draft.contentType = kind == .binary ? "image/png" : nil
            drafts.append(draft)
        }
        _ = try harness.publish(drafts)
        let log = harness.published()
        #expect(log.count == drafts.count)
        for message in log {
            let opcode: UInt8 = message.kind == .binary ? 2 : 1
            #expect(try bytes.frame() == StubClient.Frame(opcode: opcode, payload: message.payload.array))
            for (stub, hasOperation) in [(json, true), (objects, false)] {
                let object = MessageObject.encode(message, hasOperation: hasOperation, isSnapshot: false)
                #expect(try stub.frame() == StubClient.Frame(opcode: 1, payload: object))
            }
        }
        #expect(harness.counters[0].delivered.current == 3 * log.count)
        #expect(harness.counters[0].published.current == log.count)
        #expect(harness.counters[0].publishedBytes.current == log.reduce(0) { $0 + $1.payload.count })
    }

    @Test func aConnectionWithOverlappingFiltersGetsAMessageOnce() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        try stub.ask(
            ##"{"op":"subscribe","id":1,"filter":["a/b","a/+","a/#","+/b","#"],"snapshot":false}"##, id: 1)
        for _ in 0..<5 { #expect(try stub.receive().op == "live") }
        _ = try harness.publish([draft("a/b", "1"), draft("a/b", "2"), draft("a/b", "3")])
        let answers = try stub.ask(#"{"op":"ping","id":2}"#, id: 2)
        #expect(answers.map(\.data) == ["1", "2", "3", nil])
        #expect(harness.counters[0].delivered.current == 3)
        #expect(harness.counters[0].subscriptions.current == 5)
    }

    @Test func echoFalseSkipsOnlyOwnMessages() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        var options = TopicSession.Options()
        options.subscribe.hearsItself = false
        let skipsOwn = try topicSocket(harness, options)
        let other = try topicSocket(harness, on: 1)
        try skipsOwn.send("own")
        #expect(try other.frame()?.text == "own")
        try other.send("other's")
        #expect(try other.frame()?.text == "other's")
        #expect(try skipsOwn.frame()?.text == "other's")
    }

    @Test func oneSubscriptionWithEchoSuffices() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        try stub.send(
            """
            {"op":"subscribe","filter":"a/+","snapshot":false,"echo":false}
            {"op":"publish","topic":"a/b","data":"unheard"}
            {"op":"subscribe","filter":"a/b","snapshot":false}
            {"op":"publish","topic":"a/b","data":"heard"}
            """)
        let notices = try stub.ask(#"{"op":"ping","id":1}"#, id: 1) + stub.ask(#"{"op":"ping","id":2}"#, id: 2)
        #expect(notices.compactMap(\.data) == ["heard"])
    }

    @Test(arguments: [true, false])
    func aClosedSessionGetsNothing(byAdministrator: Bool) throws {
        let harness = try ExchangeHarness()
        let stub = try topicSocket(harness)
        if byAdministrator {
            try harness.run { $0.everybody.first?.end(.kicked("bye")) }
        } else {
            try stub.write(FrameEncoder.closeFrame(.normal, maskingKey: MaskingKey(1, 2, 3, 4)))
        }
        // Tasks that are posted in a turn may run before its sockets are read: the next turn begins with the sockets.
        try harness.run { _ in }
        _ = try harness.publish([draft("a/b", "late")])
        let close = try #require(try stub.frame())
        #expect(close.opcode == 8, "nothing follows a CLOSE, and nothing comes instead of it")
        if byAdministrator { try stub.write(FrameEncoder.closeFrame(.normal, maskingKey: MaskingKey(1, 2, 3, 4))) }
        #expect(try stub.frame() == nil)
        try harness.run { _ in }
        #expect(harness.counters[0].clients.current == 0 && harness.counters[0].subscriptions.current == 0)
        #expect(try harness.run { $0.everybody.isEmpty && $0.directory.tree.count == 0 })
    }

    /// Too much arrives while a snapshot waits: the session ends, and leaves nothing that could reach others.
    @Test func aClientThatIsClosedWhileItSubscribesLeavesNoSubscription() throws {
        var settings = Settings()
        settings.limits.pending = 10_000
        let harness = try ExchangeHarness(settings: settings)
        let stub = try harness.connectJSON()
        let filter = try (filter("a/#"), filter("b/#"))
        let drafts = try (0..<4).map { _ in try draft("a/b", String(repeating: "x", count: 4000)) }
        nonisolated(unsafe) let batch = drafts
        let isLeft = try harness.run { shard in
            guard let session = shard.everybody.first else { return false }
            _ = try? shard.subscribe(session, to: filter.0, SubscribeOptions())
            for draft in batch { shard.publish(draft, from: nil) }
            // Delivers what was published, which is too much to be held.
            _ = try? shard.subscribe(session, to: filter.1, SubscribeOptions())
            return true
        }
        #expect(isLeft)
        let close = try #require(try stub.frame())
        #expect(close.opcode == 8 && close.payload.prefix(2) == [0x03, 0xF5], "1013, not a broken connection")
        #expect(try harness.run { $0.everybody.isEmpty && $0.directory.tree.count == 0 })
        #expect(harness.counters[0].subscriptions.current == 0)
    }
}
