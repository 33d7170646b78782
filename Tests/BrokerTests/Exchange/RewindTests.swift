import Testing

@testable import Broker
@testable import WSTransport

/// Random publishing on two reactors while clients request the last messages, against a plain model of what each must
/// get.
@Suite(
    "Rewind: retained values, the requested history in order, the marker, then everything after",
    .timeLimit(.minutes(10))
)
struct RewindTests {
    private static let topics = ["a/1", "a/2", "a/3", "b/1", "b/2", "n/1", "n/2"]
    private static let filters = ["a/+", "#", "a/1", "b/#", "n/+", "+/2"]
    private static let fence = "fence"

    /// One client's subscription, and everything it received.
    private struct Life {
        let stub: StubClient
        let filter: TopicFilter
        let rewind: Rewind
        var notices: [Notice] = []
    }

    @Test(arguments: 0..<40)
    func holdsUnderAnySchedule(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let gate = GateStore()
        var settings = Settings()
        // Of `n/#` nothing is kept.
        settings.history = ["a/#", "b/#"].map { Settings.History(filter: $0, messages: 1000) }
        let directory = TestDirectory()
        let store: any MessageStore = seed % 2 == 0 ? gate : try directory.open()
        let harness = try ExchangeHarness(store, order: [0, 1], settings: settings, isDelayed: seed % 4 == 3)
        defer { gate.open() }
        for shard in 0...1 { try harness.run(on: shard) { $0.catchUp.piece = [1, 300, 1 << 16][seed % 3] } }
        var lives: [Life] = []
        for step in 0..<60 {
            try publish(harness, step, &random)
            switch Int.random(in: 0..<12, using: &random) {
            case 0: gate.shut()
            case 1, 2: gate.letOnePass()
            case 3: gate.open()
            case 4, 5: lives.append(try subscribe(harness, lives.count % 2, &random))
            default: break
            }
        }
        gate.open()
        _ = try harness.publish([draft(Self.fence, "end")])
        for place in lives.indices {
            while lives[place].notices.last?.topic != Self.fence {
                lives[place].notices.append(try lives[place].stub.receive())
            }
        }
        let log = harness.published()
        for life in lives { check(life, log, "seed \(seed): \(life.filter) \(life.rewind)") }
    }

    private func draft(_ name: String, _ text: String, isRetained: Bool = false) throws -> Draft {
        var draft = Draft(topic: try topic(name), payload: Array(text.utf8), kind: .text)
        draft.isRetained = isRetained
        return draft
    }

    private func publish(_ harness: ExchangeHarness, _ step: Int, _ random: inout SeededGenerator) throws {
        var drafts: [Draft] = []
        for number in 0..<Int.random(in: 1..<5, using: &random) {
            let name = Self.topics[Int.random(in: 0..<Self.topics.count, using: &random)]
            let kind = Int.random(in: 0..<8, using: &random)
            // A few values, and a few removals.
            drafts.append(try draft(name, kind == 1 ? "" : "\(step) \(number)", isRetained: kind < 3))
        }
        _ = try harness.publish(on: Int.random(in: 0...1, using: &random), drafts)
    }

    private func subscribe(_ harness: ExchangeHarness, _ shard: Int, _ random: inout SeededGenerator) throws -> Life {
        let name = Self.filters[Int.random(in: 0..<Self.filters.count, using: &random)]
        let since = ["-1", "-3", "-50", "all", "1h", "latest"][Int.random(in: 0..<6, using: &random)]
        let stub = try harness.connectJSON(on: shard)
        // The fence is read by another filter, which brings nothing else.
        try stub.send(#"{"op":"subscribe","filter":"\#(Self.fence)","snapshot":false}"#)
        #expect(try stub.receive().op == "live")
        try stub.send(#"{"op":"subscribe","id":1,"filter":"\#(name)","since":"\#(since)"}"#)
        var life = Life(stub: stub, filter: try filter(name), rewind: try #require(Rewind(since)))
        // Its place in the order is certain when a later command is answered.
        try stub.send(#"{"op":"ping"}"#)
        while true {
            let notice = try stub.receive()
            if notice.op == "pong" { return life }
            life.notices.append(notice)
        }
    }

    private func check(_ life: Life, _ log: [Message], _ comment: Comment) {
        guard let answer = life.notices.firstIndex(where: { $0.op == "ok" }), let seq = life.notices[answer].seq,
            let live = life.notices.firstIndex(where: { $0.op == "live" && $0.filter == life.filter.name })
        else {
            Issue.record("no answer, or no marker", sourceLocation: #_sourceLocation)
            return
        }
        let matching = log.filter { life.filter.matches($0.topic) }
        let before = matching.filter { $0.seq <= seq }
        var wanted: Set<UInt64> = []
        for messages in Dictionary(grouping: before.filter { !$0.topic.name.hasPrefix("n/") }, by: \.topic).values {
            let count = if case .last(let count) = life.rewind { min(count, messages.count) } else { messages.count }
            wanted.formUnion(messages.suffix(count).map(\.seq))
        }
        let told = life.notices.filter { $0.op == "message" && $0.topic != Self.fence }
        let beginning = life.notices[answer..<live].filter { $0.op == "message" }
        #expect(beginning.filter { $0.retained != true }.compactMap(\.seq) == wanted.sorted(), comment)
        #expect(
            told.filter { $0.retained != true }.compactMap(\.seq)
                == wanted.sorted() + matching.filter { $0.seq > seq && $0.topic.name != Self.fence }.map(\.seq), comment
        )
        var values: [Topic: Message] = [:]
        for message in before where message.isRetained { values[message.topic] = message.isRemoval ? nil : message }
        let shown = Set(beginning.filter { $0.retained == true }.compactMap(\.seq))
        let due = values.values.filter { !wanted.contains($0.seq) }
        // A value that was replaced during the read arrives live instead.
        let mayLack = due.filter { value in log.contains { $0.isRetained && $0.topic == value.topic && $0.seq > seq } }
        #expect(shown.isSubset(of: due.map(\.seq)), comment)
        #expect(Set(due.map(\.seq)).subtracting(shown).isSubset(of: mayLack.map(\.seq)), comment)
        #expect(!life.notices.contains { $0.op == "gap" }, comment)
    }
}
