import Testing

@testable import Broker

/// Random publishing, subscribing and committing, and what every client was told meanwhile.
struct SeamSchedule {
    /// What a stub asked for, by the `id` of the command.
    enum Command: Equatable {
        case subscribe(String, wantsSnapshot: Bool, hearsItself: Bool)
        case unsubscribe(String)
        case publish(
            topic: String, data: String, isRetained: Bool, ifSeq: UInt64?, key: String? = nil, isEphemeral: Bool = false
        )
    }

    /// A point of the order and of time, between which and another something happened.
    struct Moment {
        var newest: UInt64
        var time: Int64
    }

    /// Which filters may be subscribed to from some point between these two on.
    struct Change {
        let begun: Moment
        let done: Moment
        let filters: [TopicFilter]
    }

    struct Transcript {
        var commands: [Int: Command] = [:]
        /// When each command was about to be sent.
        var sent: [Int: Moment] = [:]
        var notices: [Notice] = []
        /// When each notice had come; those without one came at the end.
        var heard: [Moment] = []
        /// Of all clients' rights.
        var changes: [Change] = []
        /// Its connection, as messages name their origin.
        let client: UInt64
    }

    private static let topics = ["a/1", "a/2", "a/3", "b/1", "b/2", "c", "$x/1", "a"]
    private static let filters = ["a/+", "a/#", "a/1", "b/1", "#", "+/1", "c", "b/#", "$x/#", "+"]
    private static let fence = "fence/0/0"
    private static let rights = [
        ["#"], ["a/#"], ["a/+", "b/#", "c"], ["+/1", "$x/#"], ["b/1", "+"], ["+/#"], [],
    ]

    private let gate = GateStore()
    /// A store on disk in the gate's place.
    private let disk: LMDBStore?
    private let harness: ExchangeHarness
    private var stubs: [StubClient] = []
    private var transcripts: [Transcript] = []
    /// What each stub subscribes to, the last of its commands considered.
    private var subscribed: [[String]] = []
    private var random: SeededGenerator
    private var nextID = 0
    private var changes: [Change] = []
    private var settings = Settings()

    init(seed: Int, shards: Int, stubs count: Int, disk: LMDBStore? = nil, isDelayed: Bool = false) throws {
        random = SeededGenerator(seed: seed)
        self.disk = disk
        let store: any MessageStore = disk ?? gate
        harness = try ExchangeHarness(store, order: Array(0..<shards), isDelayed: isDelayed)
        // Snapshots of one value a turn, of some, and of everything at once.
        let piece = [1, 300, 1 << 16][seed % 3]
        for shard in 0..<shards { try harness.run(on: shard) { $0.catchUp.piece = piece } }
        for number in 0..<count {
            stubs.append(try harness.connectJSON(on: number % shards))
            transcripts.append(Transcript(client: stubs[number].client))
            subscribed.append([])
        }
    }

    /// Runs `steps` steps, and returns the publications and the objects that each stub received.
    mutating func run(steps: Int) throws -> (log: [Message], transcripts: [Transcript]) {
        defer { gate.open() }
        for stub in stubs.indices { try subscribe(stub, Self.fence, wantsSnapshot: false) }
        for _ in 0..<steps { try step() }
        gate.open()
        // Every command is executed before the last message is published.
        for stub in stubs.indices { try finish(stub) { $0.op == "pong" } }
        try publish(0, Self.fence, isRetained: false)
        for stub in stubs.indices { try finish(stub) { $0.topic == Self.fence } }
        for stub in stubs.indices { transcripts[stub].changes = changes }
        return (harness.published(), transcripts)
    }

    private mutating func step() throws {
        let stub = Int.random(in: 0..<stubs.count, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<26: try publish(stub, choose(Self.topics), isRetained: false)
        case 26..<40: try publish(stub, choose(Self.topics), isRetained: true)
        case 40..<46: try publishEphemeral(stub, choose(Self.topics))
        case 46..<51: try publish(stub, choose(Self.topics), isRetained: true, isRemoval: true)
        case 51..<60: try contend()
        case 60..<77:
            let filter = choose(Self.filters)
            // Without a snapshot only what is new: otherwise nothing tells when the old subscription ended.
            let mayGoWithout = !subscribed[stub].contains(filter)
            try subscribe(stub, filter, wantsSnapshot: !mayGoWithout || chance(4, of: 5))
        case 77..<86:
            guard let filter = subscribed[stub].dropFirst().randomElement(using: &random) else { return }
            try unsubscribe(stub, filter)
        case 86..<90: gate.shut()
        case 90..<94: gate.letOnePass()
        case 94: gate.open()
        case 95: try changeRights()
        case 96..<98:
            if chance(1, of: 2) { gate.setLendsViews(chance(1, of: 2)) }
            gate.takeViewsBack()
            disk?.readers.takeViewsBack(all: true)
        default: try finish(stub) { $0.op == "pong" }
        }
    }

    /// Other rights for all clients, as by a reload.
    private mutating func changeRights() throws {
        let names = (Self.rights.randomElement(using: &random) ?? []) + [Self.fence]
        settings.access.anonymous.subscribe = names
        let begun = moment
        for shard in harness.remotes.indices {
            // Few are reviewed in one turn.
            try harness.run(on: shard) { [settings] shard in
                shard.reviewTime = 0
                shard.adopt(settings.patient)
            }
        }
        changes.append(Change(begun: begun, done: moment, filters: try names.map { try TopicFilter($0) }))
    }

    private mutating func choose(_ names: [String]) -> String { names[Int.random(in: 0..<names.count, using: &random)] }

    private mutating func chance(_ count: Int, of all: Int) -> Bool { Int.random(in: 0..<all, using: &random) < count }

    /// All clients set or remove the same value, on the condition that it is unchanged or absent.
    private mutating func contend() throws {
        let topic = choose(Self.topics)
        let current = try harness.sequencer.value(of: Topic(unchecked: topic))?.seq
        let wanted = chance(2, of: 3) ? current ?? 0 : chance(1, of: 2) ? 0 : (current ?? 2) - 1
        for stub in stubs.indices {
            try publish(stub, topic, isRetained: true, isRemoval: chance(1, of: 5), ifSeq: wanted)
        }
    }

    private var moment: Moment { Moment(newest: harness.sequencer.newest, time: Lifetime.now) }

    private mutating func send(_ stub: Int, _ command: Command, _ members: String) throws {
        nextID += 1
        transcripts[stub].commands[nextID] = command
        transcripts[stub].sent[nextID] = moment
        try stubs[stub].send("{\"id\":\(nextID),\(members)}")
    }

    private mutating func publish(
        _ stub: Int, _ topic: String, isRetained: Bool, isRemoval: Bool = false, ifSeq: UInt64? = nil
    ) throws {
        let data = isRemoval ? "" : "\(nextID)"
        var options = ifSeq.map { ",\"ifSeq\":\($0)" } ?? ""
        // Some expire while it is looked at, some never do.
        switch Int.random(in: 0..<8, using: &random) {
        case 0: options += ",\"ttl\":3600"
        case 1, 2: options += ",\"ttl\":0.00\(Int.random(in: 1...9, using: &random))"
        default: break
        }
        // Some are repeated, by the same stub or another one.
        let isKeyed = isRetained && !isRemoval && ifSeq == nil && chance(1, of: 4)
        let key = isKeyed ? "k\(Int.random(in: 0..<4, using: &random))" : nil
        if let key { options += ",\"key\":\"\(key)\"" }
        try send(
            stub, .publish(topic: topic, data: data, isRetained: isRetained, ifSeq: ifSeq, key: key),
            "\"op\":\"publish\",\"topic\":\"\(topic)\",\"data\":\"\(data)\",\"retain\":\(isRetained)\(options)")
    }

    private mutating func publishEphemeral(_ stub: Int, _ topic: String) throws {
        let data = chance(1, of: 5) ? "" : "\(nextID)"
        try send(
            stub, .publish(topic: topic, data: data, isRetained: true, ifSeq: nil, isEphemeral: true),
            "\"op\":\"publish\",\"topic\":\"\(topic)\",\"data\":\"\(data)\",\"ephemeral\":true")
    }

    private mutating func subscribe(_ stub: Int, _ filter: String, wantsSnapshot: Bool) throws {
        // The same for all of a client's subscriptions to a filter: nothing tells when the old one ended.
        let hearsItself = filter == Self.fence || filter.utf8.count % 4 != stub
        if !subscribed[stub].contains(filter) { subscribed[stub].append(filter) }
        try send(
            stub, .subscribe(filter, wantsSnapshot: wantsSnapshot, hearsItself: hearsItself),
            "\"op\":\"subscribe\",\"filter\":\"\(filter)\",\"snapshot\":\(wantsSnapshot),\"echo\":\(hearsItself)")
    }

    private mutating func unsubscribe(_ stub: Int, _ filter: String) throws {
        subscribed[stub].removeAll { $0 == filter }
        try send(stub, .unsubscribe(filter), "\"op\":\"unsubscribe\",\"filter\":\"\(filter)\"")
    }

    /// Reads on until `isLast`; a PING before makes sure that something comes.
    private mutating func finish(_ stub: Int, _ isLast: (Notice) -> Bool) throws {
        try stubs[stub].send(#"{"op":"ping"}"#)
        var notice: Notice
        repeat {
            notice = try stubs[stub].receive()
            if notice.op != "pong" {
                transcripts[stub].notices.append(notice)
                transcripts[stub].heard.append(moment)
            }
        } while !isLast(notice)
    }
}
