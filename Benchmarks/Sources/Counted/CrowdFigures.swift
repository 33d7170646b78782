import Broker
import Counting
import WSTransport

/// A million subscriptions of a hundred thousand sessions in one broker: the memory of each, and the cost of finding them.
///
/// A session without a socket represents each client, because a process may not have that many sockets. Everything else is
/// the broker's: clients, subscriptions, permissions, the tree. ``OpeningFigures`` measures a socket.
enum CrowdFigures {
    private static let sessions = 100_000
    /// The filters of every session, about a tenth of which no other session has.
    private static let filtersOfEach = 10

    static func record(in tally: Tally, _ harness: Harness) throws {
        let stub = try harness.open("/ws")
        guard let stream = harness.shard.everybody.first?.connection else {
            throw Harness.Failure(what: "nobody came")
        }
        let lane = harness.shard.endpoints.forms.json.plain
        var crowd: [Member] = []
        crowd.reserveCapacity(sessions)
        try tally.recordMemory("crowd/session", count: sessions) {
            for _ in 0..<sessions {
                let client = harness.shard.makeClient(.anonymous, peer: nil, protocolName: "crowd")
                crowd.append(Member(client: client, stream: stream, lane: lane))
            }
        }
        try tally.recordMemory("crowd/subscription", count: sessions * filtersOfEach) {
            for (number, member) in crowd.enumerated() {
                // The connection belongs to the newest session, and the previous one stays subscribed.
                harness.shard.join(member)
                for filter in filters(number) { try member.subscribe(filter, harness.shard) }
            }
        }
        let late = try (0..<100).map { try TopicFilter("late/\($0)/+/room") }
        try tally.record("crowd/subscribe", operations: late.count) {
            for filter in late { try crowd[crowd.count - 1].subscribe(filter, harness.shard) }
        }
        try recordPublishing(in: tally, harness, stub)
        harness.close([stub])
    }

    private static func filters(_ number: Int) -> [String] {
        let shared = number % 1000
        // Every one of these matches the topic of ten levels.
        let last =
            number < 1024
            ? (0..<10).map { number >> $0 & 1 == 0 ? "l\($0)" : "+" }.joined(separator: "/") : "room/\(number)/chat"
        return [
            "device/\(number)/command", "device/\(number)/config", "device/\(number)/#", "+/\(number)/status",
            "user/\(number)/inbox/+", "news/\(shared)", "site/\(shared)/+/alarm", "site/\(shared)/#",
            "group/\(number % 100)", last,
        ]
    }

    private static func recordPublishing(in tally: Tally, _ harness: Harness, _ stub: StubClient) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let worst = (0..<10).map { "l\($0)" }.joined(separator: "/")
        for (name, topic) in [
            ("none", "nowhere/5000/chat"), ("literal", "room/5000/chat"), ("plus", "x/5000/status"),
            ("rest", "device/5000/door/lock"), ("hundred", "news/7"), ("worst-1024-of-10-levels", worst),
        ] {
            let draft = Draft(topic: try Topic(topic), payload: Array("m".utf8), kind: .text)
            try tally.record(
                "crowd/publish-\(name)", operations: 1, rounds: 10,
                before: {
                    stub.drain(into: &buffer)
                    harness.shard.publish(draft, from: nil)
                }
            ) { harness.turns(1) }
        }
    }
}

/// A client of whom there is everything but the socket.
private final class Member: Session {
    let client: Client
    private let stream: StreamConnection
    private let shared: Lane
    let subscriptions = SubscriptionSet()
    let roundTrip: Int64? = nil

    init(client: Client, stream: StreamConnection, lane: Lane) {
        self.client = client
        self.stream = stream
        shared = lane
    }

    var connection: StreamConnection? { stream }
    var lane: Lane? { shared }

    func subscribe(_ name: String, _ shard: Shard) throws { try subscribe(TopicFilter(name, limits: .none), shard) }

    func subscribe(_ filter: TopicFilter, _ shard: Shard) throws {
        var options = SubscribeOptions()
        options.wantsSnapshot = false
        _ = try shard.subscribe(self, to: filter, options)
    }

    func sendSnapshot(_ message: Message) {}
    func sendLive(_ filter: TopicFilter, seq: UInt64) {}
    func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool) {}
    func end(_ reason: SessionEnd) {}
    func takeOverLimits() {}
    func revoked(_ filter: TopicFilter, _ refusal: Refusal) {}
}
