import Glibc
import Testing

@testable import Broker
@testable import WSTransport

/// The subscriptions of departed clients are removed over several turns, so that no other client waits for all of it.
@Suite("Departures: many subscriptions are removed over several turns")
struct DeparturesTests {
    private static let count = 2 * Departures.most + 500

    private func harness() throws -> ExchangeHarness {
        var settings = Settings()
        settings.limits.subscriptionsPerClient = Self.count
        return try ExchangeHarness(settings: settings)
    }

    /// Subscribes the only client to `t/0`, `t/1` and so on.
    private func subscribe(_ harness: ExchangeHarness) throws {
        let filters = try (0..<Self.count).map { try filter("t/\($0)") }
        let subscribed = try harness.run { shard in
            guard let session = shard.everybody.first else { return 0 }
            var options = SubscribeOptions()
            options.wantsSnapshot = false
            for filter in filters { _ = try? shard.subscribe(session, to: filter, options) }
            return session.subscriptions.count
        }
        #expect(subscribed == Self.count)
    }

    /// The remaining subscriptions at the end of each turn.
    private final class Turns {
        var counts: [Int] = []
        /// Called at the beginning of each turn until it returns `false`.
        func watch(_ shard: Shard, _ body: @escaping (Shard) -> Bool) {
            counts.append(shard.directory.tree.count)
            if body(shard) { shard.reactor.runSoon { [unowned shard] in self.watch(shard, body) } }
        }
    }

    @Test func removesAThousandATurn() throws {
        let harness = try harness()
        let stub = try harness.connectJSON()
        try subscribe(harness)
        let answer = Answer<[Int]>()
        try harness.run { shard in
            shard.everybody.first?.connection?.reset()
            let turns = Turns()
            turns.watch(shard) { shard in
                let isLeft = shard.directory.tree.count > 0
                if !isLeft { answer.put(turns.counts) }
                return isLeft
            }
        }
        #expect(try answer.get() == [Self.count, Self.count, Self.count - 1000, 500, 0])
        #expect(try stub.frame() == nil)
        #expect(harness.counters[0].subscriptions.current == 0)
        #expect(harness.sequencer.subscriptions.load(ordering: .relaxed) == 0)
    }

    /// Its CLOSE is sent in the turn in which it is ended, and messages of that turn would come after it.
    @Test func aClosedClientGetsNoMessagesOfRemainingSubscriptions() throws {
        let harness = try harness()
        let stub = try harness.connectJSON()
        try subscribe(harness)
        nonisolated(unsafe) let late = try draft("t/2400", "late")
        try harness.run { shard in
            shard.everybody.first?.end(.kicked("bye"))
            shard.publish(late, from: nil)
        }
        #expect(try stub.frame()?.opcode == 8)
        try stub.write(FrameEncoder.closeFrame(.normal, maskingKey: MaskingKey(1, 2, 3, 4)))
        #expect(try stub.frame() == nil)
    }

    /// The numbers and slots by which the tree knows subscribers are given to others when nothing of theirs is in it.
    @Test func aReusedNumberInheritsNoSubscription() throws {
        let harness = try harness()
        let stub = try harness.connectJSON()
        try subscribe(harness)
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
        let (ours, theirs) = (ends[0], ends[1])
        let places = Answer<[[UInt32]]>()
        nonisolated(unsafe) var drafts = [try draft("t/2400", "late")]
        try harness.run { shard in
            guard let old = shard.everybody.first, let connection = old.connection else { return }
            let oldPlace = [old.subscriptions.owner, connection.slot]
            connection.reset()
            // The connection is gone then, and its subscriptions are not.
            shard.reactor.runSoon { [unowned shard] in
                let stream = shard.reactor.adopt(FileDescriptor(adopting: theirs), peer: nil)
                let socket = WebSocketConnection(
                    stream: stream, role: .server, subprotocol: "", options: shard.endpoints.settings.socketOptions)
                let client = shard.makeClient(.anonymous, peer: nil, protocolName: JSONSession.subprotocol)
                let new = JSONSession(shard: shard, socket: socket, client: client)
                socket.session = new
                stream.driver = socket
                if let draft = drafts.popLast() { shard.publish(draft, from: nil) }
                places.put([oldPlace, [new.subscriptions.owner, stream.slot], [UInt32(shard.directory.tree.count)]])
            }
        }
        let found = try places.get()
        #expect(found[0][0] != found[1][0] && found[0][1] != found[1][1])
        #expect(found[2] == [UInt32(Self.count)], "they are all there still")
        let newcomer = StubClient(descriptor: ours, harness: harness)
        #expect(try newcomer.ask(#"{"op":"ping","id":1}"#, id: 1).compactMap(\.op) == ["welcome", "pong"])
        #expect(try stub.frame() == nil)
        try harness.wait { $0.directory.tree.count == 0 }
        let last = try harness.connectJSON()
        let all = try harness.run { shard in
            shard.everybody.map { [$0.subscriptions.owner, $0.connection?.slot ?? .max] }
        }
        #expect(all.contains(found[0]), "they are used again")
        #expect(try last.ask(#"{"op":"ping","id":1}"#, id: 1).count == 1)
    }

    /// The more subscriptions wait, the faster they are removed; else short-lived clients would let them pile up.
    @Test func removesFasterWhenMoreIsWaiting() throws {
        var departures = Departures()
        let one = Subscription(
            number: 0, filter: try filter("a"), position: 0, skipsOwn: false, slow: .close, usesHistory: false)
        let taken = [600, 600, 400, 1].map { departures.takes($0) }
        #expect(taken == [true, false, true, false])
        departures.beginTurn()
        for session in 0..<100 as Range<UInt32> {
            departures.add(Array(repeating: one, count: 1000), session: session, on: nil)
        }
        let first = departures.take()
        #expect(first.subscriptions.count == 3125 && first.ended.map(\.number) == [0, 1, 2])
        let takesMore = departures.takes(1)
        #expect(!takesMore, "the turn's share is used up")
        var ended = first.ended.map(\.number)
        while departures.count > 0 {
            departures.beginTurn()
            let (subscriptions, sessions) = departures.take()
            #expect(subscriptions.count >= min(1000, departures.count + subscriptions.count))
            ended += sessions.map(\.number)
        }
        #expect(ended == Array(0..<100))
    }
}
