import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

/// The reactor that cannot keep up is the harness's own mailbox, which ``ExchangeHarness/published()`` empties.
@Suite("Congestion: every endpoint waits for reactors that cannot keep up")
struct CongestionTests {
    enum Way: CaseIterable { case http, topic, json, admin }

    /// The broker's end of the publisher's connection.
    private final class Link {
        weak var stream: StreamConnection?
    }

    private static let size = 65_536
    /// This many fill the mailbox.
    private static let count = Inbox.maximumUndelivered / size

    @Test(arguments: Way.allCases)
    func pausesThePublisher(way: Way) throws {
        let harness = try ExchangeHarness()
        nonisolated(unsafe) let link = Link()
        let stub = try harness.connectStream { shard, stream in
            link.stream = stream
            return Self.driver(way, shard, stream)
        }
        if way == .json { _ = try stub.receive() }
        for number in 1...Self.count { try publish(stub, way, UInt64(number), harness) }
        #expect(try isPaused(harness, link))
        // The end of other pauses does not end this one.
        try harness.run { _ in link.stream?.resumeReading() }
        #expect(try isPaused(harness, link))
        #expect(harness.published().count == Self.count)
        try publish(stub, way, UInt64(Self.count + 1), harness)
        #expect(try !isPaused(harness, link))
    }

    /// Without a history, nobody waits for the result of a topic socket's publication.
    @Test func closesATopicSocketWhosePublicationIsRefused() throws {
        let harness = try ExchangeHarness()
        nonisolated(unsafe) let link = Link()
        let stub = try harness.connectStream { shard, stream in
            link.stream = stream
            return Self.driver(.topic, shard, stream)
        }
        nonisolated(unsafe) let draft = try draft("t", String(repeating: "x", count: Self.size))
        func publish(_ count: Int) throws {
            try harness.run { shard in
                guard let client = shard.everybody.first?.client else { return }
                for _ in 0..<count { try? shard.publish(draft, by: client, from: link.stream) }
            }
        }
        // In one turn, so that there is no pause in between.
        let most = Inbox.mostUndelivered / Self.size + 1
        try publish(most)
        try publish(1)
        let frame = try #require(try stub.frame())
        #expect(frame.opcode == 8 && frame.payload.prefix(2) == [0x03, 0xF5], "1013")
        #expect(harness.published().count == most)
    }

    private func isPaused(_ harness: ExchangeHarness, _ link: Link) throws -> Bool {
        nonisolated(unsafe) let link = link
        return try harness.run { _ in link.stream?.isReadingPaused ?? false }
    }

    private static func driver(_ way: Way, _ shard: Shard, _ stream: StreamConnection) -> any StreamDriver {
        let thread = StoreThread(store: shard.store, maximumQueuedBytes: 0, onSettled: { _ in })
        let figures = Figures(
            reactors: [], shards: [shard.counters], sequencer: shard.sequencer, store: shard.store, storeThread: thread)
        guard way != .http else {
            return HTTPConnection(
                stream: stream, settings: HTTPSettings(shard.configuration),
                handler: Routes.users(figures, hasMetrics: true), refusal: nil)
        }
        let socket = WebSocketConnection(
            stream: stream, role: .server, subprotocol: "", options: shard.endpoints.settings.socketOptions)
        let client = shard.makeClient(.anonymous, peer: nil, protocolName: "test")
        switch way {
        case .http: break
        case .topic:
            var options = TopicSession.Options()
            options.subscribe.hearsItself = false
            socket.session = TopicSession(
                shard: shard, socket: socket, client: client, topic: Topic(unchecked: "t"), options: options)
        case .json: socket.session = JSONSession(shard: shard, socket: socket, client: client)
        case .admin:
            let facts = BrokerFacts(
                figures: figures, listen: [], dataDirectory: "", epoch: 1, movedAside: nil,
                backup: { (_) throws(StorageError) in })
            socket.session = AdminSession(
                socket: socket,
                desk: AdminDesk(shard: shard, everyone: ShardGroup([shard.reactor.remote]), facts: facts))
        }
        return socket
    }

    /// Publishes one message, and returns when it has the number `seq`.
    private func publish(_ stub: StubClient, _ way: Way, _ seq: UInt64, _ harness: ExchangeHarness) throws {
        let payload = String(repeating: "x", count: Self.size)
        switch way {
        case .http:
            try stub.write(
                Array("POST /t/t HTTP/1.1\r\nHost: x\r\nContent-Length: \(Self.size)\r\n\r\n\(payload)".utf8))
            #expect(try stub.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
            _ = try stub.read(until: "}\n")
        case .topic: try stub.send(payload)
        case .json:
            try stub.ask(#"{"op":"publish","id":\#(seq),"topic":"t","data":"\#(payload)"}"#, id: Int(seq))
        case .admin:
            try stub.send(#"{"id":1,"verb":"retained.set","topic":"t","data":"\#(payload)"}"#)
            #expect(try #require(try stub.frame()).text.contains(#""seq":\#(seq),"#))
        }
        let sequencer = harness.sequencer
        try harness.wait { _ in sequencer.newest >= seq }
        // Its acknowledgement may come before the end of the turn in which the publisher is paused.
        try harness.run { _ in }
    }

    /// Publishers that connect and disconnect cannot be paused, so their accepted publications are limited.
    @Test func refusesPublicationsThatPausingCannotStop() throws {
        let order = try LocalOrder(store: InMemoryStore())
        let mailbox = Mailbox<ShardEvent>(wakeup: {})
        let inbox = order.join(mailbox, shard: 0)
        let payload = [UInt8](repeating: 120, count: 1 << 20)
        func publish() throws -> Refusal? {
            order.sequence([Draft(topic: try topic("t"), payload: payload, kind: .text)], from: 1)[0].error
        }
        for _ in 0..<Inbox.mostUndelivered >> 20 { #expect(try publish() == nil) }
        #expect(try publish()?.code == .unavailable)
        #expect(order.newest == UInt64(Inbox.mostUndelivered >> 20))
        for case .applied(let batch) in mailbox.drain() { inbox.delivered(batch) }
        #expect(try publish() == nil)
    }

    /// How many publications a client may make in a turn.
    private func publications(_ harness: ExchangeHarness) throws -> Int {
        try harness.run { shard in
            var count = 0
            repeat {
                shard.charge(77)
                count += 1
            } while shard.takesMore(from: 77)
            return count
        }
    }

    /// Finding the subscribers of one message may take milliseconds if many filters have many `+`.
    @Test func costlyFiltersReduceThePublicationsPerTurn() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        #expect(try publications(harness) == 1000)
        let filters = (0..<800).map { #""+/+/a\#($0)/+/b""# }.joined(separator: ",")
        try stub.ask(#"{"op":"subscribe","id":1,"filter":[\#(filters)]}"#, id: 1)
        #expect(try publications(harness) == 39)
    }

    /// A message is held for each follower that is behind, which takes about as long as a command.
    @Test func followersBehindReduceThePublicationsPerTurn() throws {
        let harness = try ExchangeHarness(settings: Settings().patient)
        let stubs = try (0..<20).map { _ in try harness.connectJSON(sendBuffer: 4096) }
        for (number, stub) in stubs.enumerated() {
            let policy = number.isMultiple(of: 2) ? "latest" : "drop-oldest"
            try stub.ask(#"{"op":"subscribe","id":1,"filter":"t","slow":"\#(policy)"}"#, id: 1)
        }
        #expect(try publications(harness) == 1000)
        let long = try draft("t", String(repeating: "x", count: 1 << 20))
        _ = try harness.publish([long])
        // They are known to be behind, before a message is held for them.
        try harness.wait { $0.sequencer.weight == 20 }
        #expect(try publications(harness) == 48)
        _ = try harness.publish([try draft("t"), try draft("t"), try draft("other")])
        #expect(try publications(harness) == 48)
        #expect(try harness.run { $0.sequencer.ownPublications } == 256)
        for stub in stubs { stub.leave() }
    }

    @Test func costlyFiltersLowerTheCongestionLimit() throws {
        let order = try LocalOrder(store: InMemoryStore())
        order.join(Mailbox<ShardEvent>(wakeup: {}), shard: 0)
        let draft = Draft(topic: try topic("t"), payload: [UInt8](repeating: 120, count: 100_000), kind: .text)
        _ = order.sequence([draft], from: 1)
        #expect(!order.sequencer.isCongested(by: 1))
        order.sequencer.dearness.store(1000, ordering: .relaxed)
        #expect(order.sequencer.isCongested(by: 1))
    }

    /// A busy reactor looks once a turn whether it may read its publishers again: by then an idle one has filled the
    /// room.
    @Test func keepsAShareForEachReactor() throws {
        let order = try LocalOrder(store: InMemoryStore())
        let mailbox = Mailbox<ShardEvent>(wakeup: {})
        let (slow, idle) = (0, 1)
        let inbox = order.join(mailbox, shard: slow)
        order.join(Mailbox<ShardEvent>(wakeup: {}), shard: idle)
        let draft = Draft(topic: try topic("t"), payload: [UInt8](repeating: 120, count: 1 << 20), kind: .text)
        func publish(_ count: Int, from shard: Int) {
            for _ in 0..<count { _ = order.sequence([draft], from: shard) }
        }
        let sequencer = order.sequencer
        publish(Inbox.maximumUndelivered >> 20, from: idle)
        #expect(sequencer.isCongested(by: idle))
        #expect(!sequencer.isCongested(by: slow))
        publish(Inbox.maximumUndelivered >> 21, from: slow)
        #expect(sequencer.isCongested(by: slow))
        for case .applied(let batch) in mailbox.drain() { inbox.delivered(batch) }
        // The other mailbox is as full as before.
        #expect(sequencer.isCongested(by: idle))
    }
}
