import Testing

@testable import Broker

/// Random publishing, committing, reading, leaving and resuming, against a plain model of what each reader must have.
@Suite("Resume: every message once and in order across interruptions, or an announced gap")
struct ResumeTests {
    private static let filters: [(name: String, fence: String)] = [
        ("h/1", "h/1"), ("h/+", "h/2"), ("h/#", "h/3"), ("t/1", "t/1"), ("t/+", "t/2"), ("u/+", "u/1"),
        ("u/1", "u/1"), ("#", "u/2"), ("+/1", "h/1"), ("h/#", "h/1"),
    ]
    private static let rights = [
        ["#"], ["#"], ["h/#"], ["h/1", "t/+"], ["t/#", "u/+"], ["u/1", "h/+", "t/1"], [],
    ]
    private static let topics = ["h/1", "h/2", "h/3", "t/1", "t/2", "u/1", "u/2", "x"]

    private static func settings() -> Settings {
        var settings = Settings()
        settings.history = [
            Settings.History(filter: "h/#", messages: 100_000), Settings.History(filter: "t/#", messages: 4),
        ]
        settings.limits.pending = 8192
        return settings
    }

    @Test(arguments: 0..<40)
    func holdsUnderAnySchedule(seed: Int) throws {
        var (drops, revocations) = (0, 0)
        for part in 0..<50 {
            let found = try run(seed: seed * 50 + part)
            #expect(found.complaints.prefix(3) == [], "part \(part)")
            drops += found.drops
            revocations += found.revocations
        }
        #expect(drops > 0, "no reader was ever too slow")
        #expect(revocations > 0, "no right was ever taken away")
    }

    /// The same in an order that answers some turns later.
    @Test(arguments: 0..<20)
    func holdsWhenTheOrderAnswersLater(seed: Int) throws {
        for part in 0..<10 {
            let found = try run(seed: 2_000_000 + seed * 10 + part, isDelayed: true)
            #expect(found.complaints.prefix(3) == [], "part \(part)")
        }
    }

    /// The same with a store on disk, and more of everything.
    @Test(arguments: 0..<10)
    func holdsOnDisk(seed: Int) throws {
        let directory = TestDirectory()
        let found = try run(seed: 1_000_000 + seed, store: try directory.open(), steps: 400)
        #expect(found.complaints.prefix(3) == [])
    }

    /// It was being written when the client connected, so no message delivers it any more.
    @Test func showsAValueTheHistoryHasSinceLost() throws {
        let gate = GateStore()
        var settings = Settings()
        settings.history = [Settings.History(filter: "t/#", messages: 1)]
        let harness = try ExchangeHarness(gate, settings: settings)
        let stub = try harness.connectJSON()
        let first = try #require(try harness.publish([draft("other")])[0].value?.seq)
        let stored = try draft("other", "stored", retained: true)
        _ = try harness.publish([draft("t/1", "a"), draft("t/1", "b"), stored])
        gate.shut()
        var value = try draft("t/1", "value", retained: true)
        value.acknowledgement = .routed
        _ = try harness.publish([value])
        gate.setBusy(true)
        try stub.ask(##"{"op":"subscribe","id":1,"filter":"t/#","since":\##(first)}"##, id: 1)
        _ = try harness.publish([draft("t/1", "newest")])
        gate.open()
        _ = try harness.publish([stored])
        gate.setBusy(false)
        var notices: [Notice] = []
        repeat { notices.append(try stub.receive()) } while notices.last?.data != "newest"
        #expect(notices.filter { $0.retained == true }.map(\.data) == ["value"])
    }

    /// More is unsent than a client without subscriptions may have, and the answer is sent in addition.
    @Test(arguments: [false, true]) func closesNoSlowClientAtTheEndOfItsSubscription(isRevoked: Bool) throws {
        var settings = Self.settings()
        let harness = try ExchangeHarness(settings: settings)
        let stub = try harness.connectJSON(sendBuffer: 4096)
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"h/#","snapshot":false}"#, id: 1)
        let filler = String(repeating: "x", count: 900)
        // In one turn, so that all of it is sent.
        _ = try harness.publish((0..<60).map { try draft("h/1", "\($0) \(filler)") })
        if isRevoked {
            settings.access.anonymous.subscribe = []
            try harness.run { [settings] in $0.adopt(settings.patient) }
        } else {
            try stub.send(#"{"op":"unsubscribe","id":2,"filter":"h/#"}"#)
        }
        try stub.send(#"{"op":"ping","id":3}"#)
        // The broker has handled both before anything is read.
        for _ in 0..<4 { try harness.run { _ in } }
        var notices: [Notice] = []
        repeat { notices.append(try stub.receive()) } while notices.last?.id != 3
        #expect(notices.contains { isRevoked ? $0.op == "revoked" : $0.id == 2 })
    }

    /// Each step looks at a bounded number of messages, whatever it finds, and a turn has time for a few.
    @Test func searchesALongHistoryInSeveralTurns() throws {
        var settings = Settings()
        settings.history = [Settings.History(filter: "t/#", messages: 100_000)]
        let harness = try ExchangeHarness(settings: settings)
        for _ in 0..<5 { _ = try harness.publish((0..<2000).map { try draft("t/\($0 % 10)") }) }
        let stubs = try (0..<2).map { _ in try harness.connectJSON() }
        // One step a turn.
        try harness.run { $0.catchUp.share.longest = 1 }
        for stub in stubs {
            try stub.send(#"{"op":"subscribe","id":1,"filter":"t/+/none","since":1,"snapshot":false}"#)
        }
        for stub in stubs { while try stub.receive().op != "live" {} }
        // In all turns but the last, at least one of the two had to wait.
        #expect(harness.counters[0].fullTurns.current >= 5)
    }

    /// The history loses a message of another topic after the first look for losses, before it was read.
    @Test func doesNotCountLossesOfOtherTopics() throws {
        var settings = Settings()
        settings.history = [Settings.History(filter: "t/#", messages: 1)]
        let harness = try ExchangeHarness(settings: settings)
        let stub = try harness.connectJSON(sendBuffer: 4096)
        let filler = String(repeating: "x", count: 10_000)
        _ = try harness.publish([draft("t/2", "lost later"), draft("t/1", "lost"), draft("t/1", "kept")])
        _ = try harness.publish((0..<50).map { try draft("u/\($0)", filler, retained: true) })
        // The values of the first filter are more than the socket takes, so that messages of the second have to wait.
        for (name, since) in [("u/+", nil), ("t/+", 0 as UInt64?)] {
            try harness.run { shard in
                var options = SubscribeOptions()
                options.since = since.map { ResumePoint(seq: $0) }
                for session in shard.everybody {
                    _ = (try? TopicFilter(name)).map { try? shard.subscribe(session, to: $0, options) }
                }
            }
            // Two turns later it has looked for what is lost.
            for _ in 0..<2 { try harness.run { _ in } }
        }
        _ = try harness.publish([draft("t/2", "newest"), draft("u/end", "end", retained: true)])
        var notices: [Notice] = []
        repeat { notices.append(try stub.receive()) } while notices.last?.data != "newest"
        let gaps = notices.filter { $0.op == "gap" }.map { [$0.since, $0.seq, $0.missed.map { UInt64($0) }] }
        #expect(gaps == [[0, 2, nil]])
    }

    private func run(
        seed: Int, store: (any MessageStore)? = nil, steps: Int = 30, isDelayed: Bool = false
    ) throws -> (complaints: [String], drops: Int, revocations: Int) {
        var random = SeededGenerator(seed: seed)
        let gate = store == nil ? GateStore() : nil
        let shards = 1 + seed % 2
        let made: (any MessageStore)? = store ?? gate
        var settings = Self.settings()
        let harness = try ExchangeHarness(
            try #require(made), order: Array(0..<shards), settings: settings, isDelayed: isDelayed)
        defer {
            gate?.setBusy(false)
            gate?.open()
        }
        var readers: [(reader: ResumeReader, fence: String)] = []
        for number in 0..<3 {
            let (name, fence) = Self.filters[Int.random(in: 0..<Self.filters.count, using: &random)]
            let slow = SlowPolicy.allCases[Int.random(in: 0..<3, using: &random)]
            let hearsItself = Bool.random(using: &random)
            let reader = try ResumeReader(try filter(name), slow, hearsItself: hearsItself) {
                try harness.connectJSON(on: number % shards, sendBuffer: 4096)
            }
            readers.append((reader, fence))
        }
        for step in 0..<steps {
            let reader = readers[Int.random(in: 0..<readers.count, using: &random)].reader
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<41: try publish(harness, step, shards, &random)
            case 41..<45:
                settings.access.anonymous.subscribe = Self.rights[Int.random(in: 0..<Self.rights.count, using: &random)]
                try changeRights(harness, settings, readers.map(\.reader))
            case 45..<55: try reader.publish(Self.topics[Int.random(in: 0..<8, using: &random)], "own \(step)")
            case 55..<75: _ = try reader.read(Int.random(in: 1...6000, using: &random))
            case 75..<82: try reader.leaveAndReconnect()
            case 82..<86:
                // The end is answered when the store has brought what came before it.
                gate?.setBusy(false)
                gate?.open()
                try reader.unsubscribeAndResubscribe()
            case 86..<89: gate?.shut()
            case 89..<94: gate?.letOnePass()
            case 94..<96: gate?.setBusy(true)
            case 96..<98: gate?.setBusy(false)
            default:
                gate?.open()
                // One that is read for too long is opened another time.
                try? (store as? LMDBStore)?.reopen()
            }
        }
        gate?.setBusy(false)
        gate?.open()
        settings.access.anonymous.subscribe = ["#"]
        try changeRights(harness, settings, readers.map(\.reader))
        for (reader, fence) in readers {
            let results = try harness.publish([draft(fence, "fence")])
            try reader.finish(try #require(results[0].value?.seq))
        }
        let log = harness.published()
        var complaints: [String] = []
        for (reader, _) in readers {
            let isLatest = reader.slow == .latest
            let found = reader.complaints(log) { $0.name.hasPrefix("h/") && !isLatest }
            complaints += found.map { "\(reader.filter) \(reader.slow) from \(reader.first ?? 0): \($0)" }
            if reader.filter.name.hasPrefix("h/"), !isLatest, !reader.closes.isEmpty {
                let closes = reader.closes
                complaints.append("\(reader.filter) \(reader.slow) was closed though the store has all: \(closes)")
            }
        }
        let revocations = readers.reduce(0) { $0 + $1.reader.revocations }
        return (complaints, harness.counters.reduce(0) { $0 + $1.dropped.current }, revocations)
    }

    /// Other rights for all clients, as by a reload.
    private func changeRights(_ harness: ExchangeHarness, _ settings: Settings, _ readers: [ResumeReader]) throws {
        let names = try (settings.access.anonymous.subscribe ?? []).map { try TopicFilter($0) }
        for shard in harness.remotes.indices {
            let (before, after) = try harness.run(on: shard) { shard in
                let before = shard.deliveredUpTo
                // Few are reviewed in one turn.
                shard.reviewTime = 0
                shard.adopt(settings.patient)
                return (before, shard.sequencer.newest)
            }
            for (number, reader) in readers.enumerated() where number % harness.remotes.count == shard {
                let isAllowed = names.contains { $0.covers(reader.filter) }
                try reader.change(isAllowed: isAllowed, before: before, after: after)
            }
        }
    }

    private func publish(
        _ harness: ExchangeHarness, _ step: Int, _ shards: Int, _ random: inout SeededGenerator
    ) throws {
        var drafts: [Draft] = []
        for number in 0..<Int.random(in: 1...12, using: &random) {
            let name = Self.topics[Int.random(in: 0..<Self.topics.count, using: &random)]
            let filler = String(repeating: "x", count: Int.random(in: 0...900, using: &random))
            var draft = try draft(name, "\(step) \(number) \(filler)")
            draft.isRetained = Int.random(in: 0..<3, using: &random) == 0
            if draft.isRetained, Int.random(in: 0..<2, using: &random) == 0 {
                draft.condition = [.absent, .present, .matches([3, 7])][Int.random(in: 0..<3, using: &random)]
            }
            switch Int.random(in: 0..<8, using: &random) {
            case 0: draft.timeToLive = Int64.random(in: 1...10, using: &random)
            case 1: draft.timeToLive = 3_600_000
            default: break
            }
            drafts.append(draft)
        }
        _ = try harness.publish(on: step % shards, drafts)
    }
}
