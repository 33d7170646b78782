import Glibc
import Testing

@testable import Broker

/// How many random schedules a test runs: `BROKER_SEEDS` says so, `BROKER_FIRST_SEED` where they begin.
enum Seeds {
    static let parts = 0..<40

    /// Whether a failure shows the transcript: `BROKER_STORY`.
    static let isLoud = getenv("BROKER_STORY") != nil

    private static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

    /// The seeds of one part, so that the parts run side by side.
    static func of(part: Int, usual: Int) -> [Int] {
        let first = number("BROKER_FIRST_SEED") ?? 0
        let count = number("BROKER_SEEDS") ?? usual
        return (first..<first + count).filter { $0 % parts.count == part }
    }
}

/// Random subscribing, changing of policies, resuming, unsubscribing and reloading by clients that read slowly.
struct OwedSchedule {
    /// The commands of a stub, by their `id`.
    enum Command {
        case subscribe([String], slow: SlowPolicy, hearsItself: Bool, since: UInt64?, wantsSnapshot: Bool)
        case unsubscribe([String])
        case publish(topic: String, data: String)
    }

    struct Moment {
        var newest: UInt64
        /// How often rights had been changed.
        var changes: Int
    }

    /// The rights to subscribe from some point on.
    struct Rights {
        let filters: [TopicFilter]
        /// The numbers that the shards had delivered when this took effect, and the newest numbers then.
        var before: [UInt64] = []
        var after: [UInt64] = []

        func allow(_ filter: TopicFilter) -> Bool { filters.contains { $0.covers(filter) } }
    }

    struct Transcript {
        let client: UInt64
        let shard: Int
        /// The commands' numbers in the order in which they were sent.
        var commands: [Int: Command] = [:]
        var sent: [Int: Moment] = [:]
        var notices: [Notice] = []
        var isClosed = false
        /// Its subscriptions after the last of its commands.
        var filters: [String] = []
    }

    /// The state of the history at the end of a schedule.
    struct World {
        let log: [Message]
        /// Whether some writes failed.
        let hasFailed: Bool
        /// Whether a client may have few subscriptions that have ended and are still due something.
        let isTight: Bool
        /// Whether publications get their numbers some turns later.
        let isDelayed: Bool
        /// In the order in which they held; each but the first replaces the one before.
        let rights: [Rights]
        let transcripts: [Transcript]
    }

    private static let topics = ["k/1", "k/2", "k/3", "t/1", "t/2", "u/1", "u/2", "k/1", "t/1", "u/1"]
    private static let filters = [
        "k/#", "k/1", "k/+", "t/#", "t/1", "u/#", "u/1", "#", "+/1", "+/2", "k/2", "r/#", "r/1/+",
    ]
    static let fence = "k/fence"
    /// Messages of `k/#` are always kept, those of `t/#` in part, of the others none.
    private static let rules: [[Settings.History]] = [
        [Settings.History(filter: "k/#", messages: 100_000), Settings.History(filter: "t/#", messages: 4)],
        [Settings.History(filter: "k/#", messages: 100_000), Settings.History(filter: "t/1", messages: 3)],
        [Settings.History(filter: "k/#", messages: 100_000)],
        [Settings.History(filter: "k/#", messages: 100_000), Settings.History(filter: "t/#")],
    ]

    private static let grants = [
        ["#"], ["#"], ["k/#"], ["k/1", "t/#", "r/#"], ["t/#", "u/#"], ["u/1", "k/+", "+/2"], ["+/1", "r/1/+"], [],
    ]

    private let gate = GateStore()
    private let harness: ExchangeHarness
    private let shards: Int
    private let isTight: Bool
    private let isDelayed: Bool
    private var rights: [Rights] = []
    private var stubs: [StubClient] = []
    private var transcripts: [Transcript] = []
    private var random: SeededGenerator
    private var settings = Settings()
    private var nextID = 0
    private var hasFailed = false
    private var log: [Message] = []

    init(seed: Int, isDelayed: Bool = false) throws {
        self.isDelayed = isDelayed
        random = SeededGenerator(seed: seed)
        shards = 1 + seed % 3
        settings.history = Self.rules[0]
        settings.limits.pending = 8192
        // Sometimes there is no room for replaced values.
        isTight = seed % 5 == 0
        settings.limits.subscriptionsPerClient = isTight ? 14 : 1000
        harness = try ExchangeHarness(gate, order: Array(0..<shards), settings: settings, isDelayed: isDelayed)
        rights = [Rights(filters: [try TopicFilter("#")])]
        for number in 0..<2 {
            stubs.append(try harness.connectJSON(on: number % shards, sendBuffer: 4096))
            transcripts.append(Transcript(client: stubs[number].client, shard: number % shards))
        }
    }

    mutating func run(steps: Int) throws -> World {
        defer {
            gate.setBusy(false)
            gate.fail(with: nil)
            gate.open()
        }
        try prepare()
        for stub in stubs.indices { try subscribe(stub, [Self.fence], slow: .dropOldest, isFence: true) }
        for _ in 0..<steps { try step() }
        gate.setBusy(false)
        gate.fail(with: nil)
        gate.open()
        // Every command is executed before the last message is published.
        for stub in stubs.indices { try finish(stub) { $0.op == "pong" } }
        let results = try harness.publish([draft(Self.fence, "fence")])
        let last = try #require(results[0].value?.seq)
        for stub in stubs.indices { try finish(stub) { $0.topic == Self.fence && $0.seq == last } }
        // What expires later is nothing that the stubs have waited for.
        log += harness.published().prefix { $0.seq <= last }
        // What still waits for a connection is forgotten with it.
        for stub in stubs {
            stub.leave()
            _ = try stub.readToEnd()
        }
        return World(
            log: log, hasFailed: hasFailed, isTight: isTight, isDelayed: isDelayed, rights: rights,
            transcripts: transcripts)
    }

    private mutating func prepare() throws {
        let filler = String(repeating: "r", count: 700)
        _ = try harness.publish((0..<12).map { try draft("r/\($0 % 2)/\($0)", "\($0) \(filler)", retained: true) })
    }

    private mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

    private mutating func step() throws {
        let stub = number(0..<stubs.count)
        switch number(0..<100) {
        case 0..<23: try publish()
        case 23..<26: try changeRights()
        case 26..<32: try publishOwn(stub)
        case 32..<50: read(stub, number(1..<6000))
        case 50..<66: try subscribe(stub, choose(), slow: SlowPolicy.allCases[number(0..<3)])
        case 66..<74: try change(stub)
        case 74..<83: try unsubscribe(stub)
        case 83..<86: gate.shut()
        case 86..<90: gate.letOnePass()
        case 90..<92: gate.setBusy(true)
        case 92..<94: gate.setBusy(false)
        case 94..<97: try reload()
        case 97 where number(0..<4) == 0:
            hasFailed = true
            gate.fail(with: .full)
        default:
            gate.fail(with: nil)
            gate.open()
        }
    }

    private mutating func choose() -> [String] {
        (0..<[1, 1, 1, 2, 3][number(0..<5)]).map { _ in Self.filters[number(0..<Self.filters.count)] }
            .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private mutating func publish() throws {
        var drafts: [Draft] = []
        for place in 0..<number(1..<10) {
            let isValue = number(0..<6) == 0
            let name = isValue ? "r/\(number(0..<2))/\(number(0..<12))" : Self.topics[number(0..<Self.topics.count)]
            nextID += 1
            let filler = String(repeating: "x", count: number(0..<900))
            var draft = try draft(name, "\(nextID) \(place) \(filler)", retained: isValue)
            draft.acknowledgement = .routed
            if number(0..<10) == 0 { draft.timeToLive = Int64(number(1..<8)) }
            drafts.append(draft)
        }
        _ = try harness.publish(on: number(0..<shards), drafts)
    }

    /// Changes the rules, and removes some messages that they no longer keep.
    private mutating func reload() throws {
        settings.history = Self.rules[number(0..<Self.rules.count)]
        try harness.reload(settings)
        if number(0..<2) == 0 { _ = gate.inner.maintain(now: Lifetime.now) }
    }

    /// Other rights for all clients.
    private mutating func changeRights() throws {
        let names = Self.grants[number(0..<Self.grants.count)] + [Self.fence]
        settings.access.anonymous.subscribe = names
        var new = Rights(filters: try names.map { try TopicFilter($0) })
        for shard in 0..<shards {
            let (before, after) = try harness.run(on: shard) { [settings] shard in
                let before = shard.deliveredUpTo
                // Few are reviewed in one turn.
                shard.reviewTime = 0
                shard.adopt(settings.patient)
                return (before, shard.sequencer.newest)
            }
            new.before.append(before)
            new.after.append(after)
        }
        rights.append(new)
    }

    // MARK: Commands

    private mutating func line(_ stub: Int, _ command: Command, _ members: String) -> String {
        nextID += 1
        transcripts[stub].commands[nextID] = command
        transcripts[stub].sent[nextID] = Moment(newest: harness.sequencer.newest, changes: rights.count - 1)
        return "{\"id\":\(nextID),\(members)}"
    }

    private mutating func send(_ stub: Int, _ lines: [String]) throws {
        guard !transcripts[stub].isClosed else { return }
        // A client that was closed meanwhile accepts nothing; its end is read later.
        try? stubs[stub].send(lines.joined(separator: "\n"))
    }

    private mutating func publications(_ stub: Int) -> [String] {
        (0..<number(1..<6)).map { _ in
            let topic = Self.topics[number(0..<Self.topics.count)]
            let data = "own \(nextID)"
            return line(
                stub, .publish(topic: topic, data: data),
                "\"op\":\"publish\",\"topic\":\"\(topic)\",\"data\":\"\(data)\"")
        }
    }

    private mutating func publishOwn(_ stub: Int) throws { try send(stub, publications(stub)) }

    private func list(_ filters: [String]) -> String { "[" + filters.map { "\"\($0)\"" }.joined(separator: ",") + "]" }

    private mutating func subscribe(
        _ stub: Int, _ filters: [String], slow: SlowPolicy, isFence: Bool = false
    ) throws {
        let newest = Int(harness.sequencer.newest)
        let since: UInt64? =
            isFence || number(0..<3) > 0
            ? nil : [0, UInt64(number(0..<newest + 1)), UInt64(max(0, newest - number(0..<8)))][number(0..<3)]
        let wantsSnapshot = !isFence && number(0..<2) == 0
        // Of a connection always the same, as nothing tells for which of its messages it has been changed.
        let hearsItself = isFence || stub == 0
        var lines = number(0..<4) == 0 && !isFence ? publications(stub) : []
        let options =
            "\"slow\":\"\(slow.rawValue)\",\"snapshot\":\(wantsSnapshot),\"echo\":\(hearsItself)"
            + (since.map { ",\"since\":\($0)" } ?? "")
        let command = Command.subscribe(
            filters, slow: slow, hearsItself: hearsItself, since: since, wantsSnapshot: wantsSnapshot)
        lines.append(line(stub, command, "\"op\":\"subscribe\",\"filter\":\(list(filters)),\(options)"))
        for filter in filters where !transcripts[stub].filters.contains(filter) {
            transcripts[stub].filters.append(filter)
        }
        try send(stub, lines)
    }

    /// Changes the policy of an existing subscription.
    private mutating func change(_ stub: Int) throws {
        let mine = transcripts[stub].filters.filter { $0 != Self.fence }
        guard !mine.isEmpty else { return }
        try subscribe(stub, [mine[number(0..<mine.count)]], slow: SlowPolicy.allCases[number(0..<3)])
    }

    private mutating func unsubscribe(_ stub: Int) throws {
        let mine = transcripts[stub].filters.filter { $0 != Self.fence }
        guard !mine.isEmpty else { return }
        var gone = [mine[number(0..<mine.count)]]
        if number(0..<4) == 0, let other = mine.first(where: { $0 != gone[0] }) { gone.append(other) }
        var lines = number(0..<2) == 0 ? publications(stub) : []
        lines.append(line(stub, .unsubscribe(gone), "\"op\":\"unsubscribe\",\"filter\":\(list(gone))"))
        if number(0..<3) == 0 { lines += publications(stub) }
        transcripts[stub].filters.removeAll { gone.contains($0) }
        try send(stub, lines)
    }

    // MARK: Reading

    private mutating func read(_ stub: Int, _ maximum: Int) {
        guard !transcripts[stub].isClosed else { return }
        for frame in stubs[stub].receivedFrames(maximum) { take(stub, frame) }
    }

    private mutating func take(_ stub: Int, _ frame: StubClient.Frame?) {
        guard let frame, frame.opcode == 1, let notice = try? Notice(json: frame.payload) else {
            transcripts[stub].isClosed = true
            return
        }
        if notice.op == "revoked" { transcripts[stub].filters.removeAll { $0 == notice.filter } }
        transcripts[stub].notices.append(notice)
    }

    private mutating func finish(_ stub: Int, _ isLast: (Notice) -> Bool) throws {
        try send(stub, [#"{"op":"ping"}"#])
        while !transcripts[stub].isClosed {
            take(stub, try stubs[stub].frame())
            if let notice = transcripts[stub].notices.last, isLast(notice) { return }
        }
    }
}
