import Testing

@testable import Broker

/// Random publishing, committing, reading, leaving and coming back, against a plain model of what each reader must know.
@Suite("Resume: everything once and in order across interruptions, what is missing is announced")
struct ResumeTests {
    private static let filters: [(name: String, fence: String)] = [
        ("h/1", "h/1"), ("h/+", "h/2"), ("h/#", "h/3"), ("t/1", "t/1"), ("t/+", "t/2"), ("u/+", "u/1"),
        ("u/1", "u/1"), ("#", "u/2"), ("+/1", "h/1"), ("h/#", "h/1"),
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
        var drops = 0
        for part in 0..<50 {
            let found = try run(seed: seed * 50 + part)
            #expect(found.complaints.prefix(3) == [], "part \(part)")
            drops += found.drops
        }
        #expect(drops > 0, "no reader was ever too slow")
    }

    /// The same with a store on disk, and more of everything.
    @Test(arguments: 0..<10)
    func holdsOnDisk(seed: Int) throws {
        let directory = TestDirectory()
        let found = try run(seed: 1_000_000 + seed, store: try directory.open(), steps: 400)
        #expect(found.complaints.prefix(3) == [])
    }

    private func run(
        seed: Int, store: (any MessageStore)? = nil, steps: Int = 30
    ) throws -> (complaints: [String], drops: Int) {
        var random = SeededGenerator(seed: seed)
        let gate = store == nil ? GateStore() : nil
        let shards = 1 + seed % 2
        let made: (any MessageStore)? = store ?? gate
        let house = try ExchangeHouse(
            try #require(made), order: Array(0..<shards), settings: Self.settings())
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
                try house.connectJSON(on: number % shards, sendBuffer: 4096)
            }
            readers.append((reader, fence))
        }
        for step in 0..<steps {
            let reader = readers[Int.random(in: 0..<readers.count, using: &random)].reader
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<45: try publish(house, step, shards, &random)
            case 45..<55: try reader.publish(Self.topics[Int.random(in: 0..<8, using: &random)], "own \(step)")
            case 55..<75: _ = try reader.read(Int.random(in: 1...6000, using: &random))
            case 75..<82: try reader.leaveAndComeBack()
            case 82..<86:
                // The end is answered when the store has brought what came before it.
                gate?.setBusy(false)
                gate?.open()
                try reader.unsubscribeAndComeBack()
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
        for (reader, fence) in readers {
            let results = try house.publish([draft(fence, "fence")])
            try reader.finish(try #require(results[0].value?.seq))
        }
        let log = house.published()
        var complaints: [String] = []
        for (reader, _) in readers {
            let isLatest = reader.slow == .latest
            let found = reader.complaints(log) { $0.name.hasPrefix("h/") && !isLatest }
            complaints += found.map { "\(reader.filter) \(reader.slow) from \(reader.first ?? 0): \($0)" }
            if reader.filter.name.hasPrefix("h/"), !isLatest, reader.closes > 0 {
                complaints.append("\(reader.filter) \(reader.slow) was closed though the store has everything")
            }
        }
        return (complaints, house.counters.reduce(0) { $0 + $1.dropped.current })
    }

    private func publish(
        _ house: ExchangeHouse, _ step: Int, _ shards: Int, _ random: inout SeededGenerator
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
        _ = try house.publish(on: step % shards, drafts)
    }
}
