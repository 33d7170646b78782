import Testing

@testable import Broker
@testable import WSTransport

/// Random members that set and lose ephemeral values, and watchers that read slowly, leave and return.
@Suite("Ephemeral values under any schedule: no subscriber misses a change without a gap", .timeLimit(.minutes(10)))
struct EphemeralScheduleTests {
    private static let topics = ["p/1", "p/2", "p/3", "p/deep/4", "q/1", "q/2"]
    private static let fence = "p/fence"

    /// One watcher, over all its connections.
    private struct Watcher {
        let filter: String
        let slow: String
        let shard: Int
        var stub: StubClient
        /// The answer to its first subscription, and everything after it; those of an attempt that saw nothing are
        /// forgotten.
        var notices: [Notice] = []
        /// Everything up to this number has arrived; `nil` if its subscription has not begun.
        var position: UInt64?
    }

    private final class World {
        let gate = GateStore()
        let harness: ExchangeHarness
        var random: SeededGenerator
        var members: [StubClient] = []
        var watchers: [Watcher] = []
        var number = 0

        init(seed: Int) throws {
            random = SeededGenerator(seed: seed)
            var settings = Settings()
            // Of `q/#` nothing is kept.
            settings.history = [Settings.History(filter: "p/#", messages: 100_000)]
            settings.limits.pending = 64 << 10
            harness = try ExchangeHarness(gate, order: [0, 1], settings: settings, isDelayed: seed % 3 == 2)
        }

        func pick(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
    }

    @Test(arguments: 0..<40)
    func missesNoChangeWithoutAGap(seed: Int) throws {
        let world = try World(seed: seed)
        defer { world.gate.open() }
        for place in 0..<3 {
            world.members.append(try world.harness.connectJSON(on: place % 2))
            world.watchers.append(try watcher(world, place))
        }
        for _ in 0..<150 { try step(world) }
        world.gate.open()
        for member in world.members { member.leave() }
        // Each grace is short, and each removal is published.
        for shard in 0..<2 {
            try world.harness.wait(on: shard) { shard in
                shard.sequencer.ephemerals.count == 0 && shard.leases.isEmpty
            }
        }
        // Twice, for an order that answers later.
        for _ in 0..<2 { _ = try world.harness.publish([draft(Self.fence, "fence")]) }
        for place in world.watchers.indices { try finish(world, place) }
        let log = world.harness.published()
        check(log, seed)
        for watcher in world.watchers { check(watcher, log, seed) }
    }

    private func watcher(_ world: World, _ place: Int) throws -> Watcher {
        let (filter, slow) = [("p/#", "close"), ("#", "close"), ("p/+", "drop-oldest")][place]
        let stub = try world.harness.connectJSON(on: place % 2, sendBuffer: 4096)
        let watcher = Watcher(filter: filter, slow: slow, shard: place % 2, stub: stub)
        try subscribe(watcher)
        return watcher
    }

    private func subscribe(_ watcher: Watcher) throws {
        let since = watcher.position.map { ",\"since\":\($0)" } ?? ""
        try watcher.stub.send(
            #"{"op":"subscribe","id":1,"filter":"\#(watcher.filter)","slow":"\#(watcher.slow)"\#(since)}"#)
    }

    private func step(_ world: World) throws {
        switch world.pick(0..<20) {
        case 0..<9: try set(world)
        case 9, 10:
            world.number += 1
            let name = Self.topics[world.pick(0..<Self.topics.count)]
            _ = try world.harness.publish([draft(name, "\(world.number) \(String(repeating: "x", count: 500))")])
        case 11, 12: try replaceMember(world)
        case 13: world.gate.shut()
        case 14: world.gate.letOnePass()
        case 15: world.gate.open()
        case 16, 17: read(world, world.pick(0..<3), world.pick(1..<8000))
        default: try reconnect(world, world.pick(0..<3))
        }
    }

    private func set(_ world: World) throws {
        world.number += 1
        let member = world.members[world.pick(0..<3)]
        let data = world.pick(0..<8) == 0 ? "" : "\(world.number)"
        var members = ""
        if world.pick(0..<3) == 0 { members += ",\"grace\":0.0\(world.pick(1..<30))" }
        if world.pick(0..<3) == 0 { members += ",\"farewell\":{\"data\":\"bye \(world.number)\"}" }
        let name = Self.topics[world.pick(0..<Self.topics.count)]
        try member.send(#"{"op":"publish","topic":"\#(name)","data":"\#(data)","ephemeral":true\#(members)}"#)
    }

    /// A member leaves or is disconnected, and another one connects.
    private func replaceMember(_ world: World) throws {
        let place = world.pick(0..<3)
        let number = world.members[place].client
        if world.pick(0..<2) == 0 {
            world.members[place].leave()
        } else {
            try world.harness.run(on: place % 2) { $0.session(ofClient: number)?.end(.kicked("away")) }
        }
        world.members[place] = try world.harness.connectJSON(on: place % 2)
    }

    /// Records some of the values; a closed watcher reconnects.
    private func read(_ world: World, _ place: Int, _ bytes: Int) {
        for frame in world.watchers[place].stub.receivedFrames(bytes) {
            guard let frame, frame.opcode == 1, let notice = try? Notice(json: frame.payload) else {
                try? reconnect(world, place)
                return
            }
            take(notice, &world.watchers[place])
        }
    }

    private func take(_ notice: Notice, _ watcher: inout Watcher) {
        watcher.notices.append(notice)
        switch notice.op {
        case "message" where notice.retained == nil: watcher.position = notice.seq
        case "live": watcher.position = max(watcher.position ?? 0, notice.seq ?? 0)
        default: break
        }
    }

    private func reconnect(_ world: World, _ place: Int) throws {
        world.watchers[place].stub.leave()
        world.watchers[place].stub = try world.harness.connectJSON(on: world.watchers[place].shard, sendBuffer: 4096)
        if world.watchers[place].position == nil { world.watchers[place].notices = [] }
        try subscribe(world.watchers[place])
    }

    private func finish(_ world: World, _ place: Int) throws {
        var fences = 0
        while fences < 2 {
            guard let frame = try world.watchers[place].stub.frame(), frame.opcode == 1 else {
                try reconnect(world, place)
                continue
            }
            let notice = try Notice(json: frame.payload)
            take(notice, &world.watchers[place])
            if notice.topic == Self.fence { fences = notice.retained == true ? 2 : fences + 1 }
            if notice.op == "live", notice.seq ?? 0 >= world.harness.sequencer.newest { fences = 2 }
        }
    }

    /// A value is removed once, and only if it exists.
    private func check(_ log: [Message], _ seed: Int) {
        var values: [Topic: Message] = [:]
        for message in log where message.isRetained {
            #expect(message.isEphemeral, "seed \(seed)")
            if message.nature == .farewell { #expect(values[message.topic] != nil, "seed \(seed): gone twice") }
            values[message.topic] = message.isRemoval ? nil : message
        }
        #expect(values.isEmpty, "seed \(seed): left over")
    }

    private func check(_ watcher: Watcher, _ log: [Message], _ seed: Int) {
        guard let first = watcher.notices.first(where: { $0.op == "ok" })?.seq,
            let filter = try? TopicFilter(watcher.filter)
        else {
            Issue.record("seed \(seed): \(watcher.filter) never began")
            return
        }
        var last: UInt64 = 0
        var seen: Set<UInt64> = []
        let gaps = watcher.notices.filter { $0.op == "gap" }
        for notice in watcher.notices where notice.op == "message" && notice.retained == nil {
            let seq = notice.seq ?? 0
            #expect(seq > last, "seed \(seed): \(watcher.filter): \(notice) after \(last)")
            #expect(log.contains { $0.seq == seq && notice.tells($0) }, "seed \(seed): \(notice)")
            last = seq
            seen.insert(seq)
        }
        for message in log where message.seq > first && filter.matches(message.topic) && !seen.contains(message.seq) {
            let isSaid = gaps.contains { $0.since ?? 0 < message.seq && message.seq <= $0.seq ?? 0 }
            #expect(isSaid, "seed \(seed): \(watcher.filter): \(message.seq) of \(message.topic) is missing")
        }
        // All that matches is in the history or remembered.
        if watcher.filter == "p/#" { #expect(gaps.isEmpty, "seed \(seed): \(gaps)") }
        checkFirstSnapshot(watcher, log, filter, first, seed)
    }

    private func checkFirstSnapshot(
        _ watcher: Watcher, _ log: [Message], _ filter: TopicFilter, _ first: UInt64, _ seed: Int
    ) {
        var values: [Topic: UInt64] = [:]
        for message in log where message.isRetained && message.seq <= first && filter.matches(message.topic) {
            values[message.topic] = message.isRemoval ? nil : message.seq
        }
        let beginning = watcher.notices.prefix { $0.op != "live" }
        let shown = beginning.filter { $0.retained == true }
        #expect(Set(shown.compactMap(\.seq)) == Set(values.values), "seed \(seed): \(watcher.filter)")
        #expect(shown.count == values.count, "seed \(seed): shown twice")
    }
}
