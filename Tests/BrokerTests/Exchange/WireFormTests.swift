import Testing

@testable import Broker
@testable import WSTransport

/// A wire format that the broker does not have: a line of number, topic and payload for each message.
private final class BareForm: WireForm {
    private(set) var encodings = 0

    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment? {
        encodings += 1
        let line = Array("\(message.seq) \(message.topic) ".utf8) + message.payload + [10]
        return line.withUnsafeBytes { reactor.encode(lane: Int(lane.number), $0) }
    }
}

/// A client of that format, which sends nothing.
private final class BareSession: Session, StreamDriver {
    let (client, subscriptions, shard): (Client, SubscriptionSet, Shard)
    let connection: StreamConnection?
    let lane: Lane?
    var roundTrip: Int64? { nil }

    init(_ shard: Shard, _ stream: StreamConnection?, _ lane: Lane?) {
        client = shard.makeClient(.anonymous, peer: nil, protocolName: "bare")
        (self.shard, subscriptions, connection, self.lane) = (shard, SubscriptionSet(), stream, lane)
        shard.join(self)
    }

    /// Delivered messages, and for how many of its subscriptions.
    var taken: [String] = []

    func deliver(_ message: Message, for subscriptions: [UInt32]) {
        taken.append("\(String(decoding: message.payload, as: UTF8.self)) for \(subscriptions.count)")
    }

    func sendSnapshot(_ message: Message) { taken.append("value " + String(decoding: message.payload, as: UTF8.self)) }
    func sendLive(_ filter: TopicFilter, seq: UInt64) { taken.append("live") }
    func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool) {}
    func revoked(_ filter: TopicFilter, _ refusal: Refusal) {}
    func end(_ reason: SessionEnd) { shard.leave(self) }
    func takeOverLimits() {}

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int { bytes.count }
    func receivedEnd() { connection?.finish() }
    func deadlinePassed() {}
    func fellBehind() { shard.catchUp.fellBehind(self) }
    func drained() { shard.catchUp.advance(self) }
    func overflowed() { connection?.reset() }
    func closed() { shard.leave(self) }
}

@Suite("A wire form is a type and its registration")
struct WireFormTests {
    private func subscribe(
        _ session: BareSession, _ names: [String], snapshot: Bool = false, hearsItself: Bool = true
    ) {
        var options = SubscribeOptions()
        options.wantsSnapshot = snapshot
        options.hearsItself = hearsItself
        for name in names {
            guard let filter = try? TopicFilter(name) else { continue }
            _ = try? session.shard.subscribe(session, to: filter, options)
        }
    }

    @Test func encodesARegisteredFormOnceForAllSubscribers() throws {
        let harness = try ExchangeHarness()
        // Used on the shard's thread only.
        nonisolated(unsafe) let form = BareForm()
        let lane = try harness.run { $0.register(form) }
        let stubs = try (0..<3).map { _ in
            try harness.connectStream { shard, stream in
                let session = BareSession(shard, stream, lane)
                subscribe(session, ["a/+", "a/b"])
                return session
            }
        }
        _ = try harness.publish([draft("a/b", "one"), draft("elsewhere", "none"), draft("a/c", "two")])
        for stub in stubs { #expect(try stub.read(until: "two\n") == "1 a/b one\n3 a/c two\n") }
        #expect(try harness.run { _ in form.encodings } == 2)
        #expect(harness.counters[0].delivered.current == 6)
    }

    @Test func eachFormHasItsOwnLane() throws {
        let harness = try ExchangeHarness()
        let lanes = try harness.run { shard in
            let forms = shard.endpoints.forms
            let sockets = [forms.topic, forms.json, forms.packed, forms.subscription].flatMap {
                [$0.plain, $0.wide, $0.narrow]
            }
            let streams = [forms.lines, forms.plainLines, forms.events, forms.plainEvents].map(\.lane)
            return sockets + streams + [shard.register(BareForm())]
        }
        #expect(Set(lanes).count == lanes.count)
        #expect(!lanes.contains(Lane(number: 0)), "lane 0 is for what one connection gets")
    }

    // MARK: Sessions that are no connections

    /// Runs `body` with a session without a connection, which subscribes to both `a/+` and `a/b`.
    private func withSession(_ harness: ExchangeHarness, snapshot: Bool = false, hearsItself: Bool = true) throws
        -> () throws -> [String]
    {
        nonisolated(unsafe) var session: BareSession?
        try harness.run { shard in
            let new = BareSession(shard, nil, nil)
            subscribe(new, ["a/+", "a/b"], snapshot: snapshot, hearsItself: hearsItself)
            session = new
        }
        return { try harness.run { _ in session?.taken ?? [] } }
    }

    @Test func deliversEachMessageOnceToASessionWithoutConnection() throws {
        let harness = try ExchangeHarness()
        let taken = try withSession(harness)
        _ = try harness.publish([draft("a/b", "both"), draft("a/c", "one"), draft("b", "none")])
        #expect(try taken() == ["both for 2", "one for 1"])
        #expect(harness.counters[0].clients.current == 1 && harness.counters[0].delivered.current == 2)
    }

    @Test func echoFalseSkipsOnlyOwnMessages() throws {
        let harness = try ExchangeHarness()
        let taken = try withSession(harness, hearsItself: false)
        let own = try #require(try harness.run { $0.everybody.first?.client.id })
        var (mine, other) = (try draft("a/b", "mine"), try draft("a/b", "other's"))
        (mine.origin, other.origin) = (own, own + 1)
        _ = try harness.publish([mine, other])
        #expect(try taken() == ["other's for 2"])
    }

    @Test func aClosedSessionGetsNothing() throws {
        let harness = try ExchangeHarness()
        let taken = try withSession(harness)
        try harness.run { $0.everybody.first?.end(.kicked("test")) }
        _ = try harness.publish([draft("a/b", "late")])
        #expect(try taken() == [])
        #expect(harness.counters[0].subscriptions.current == 0)
    }
}
