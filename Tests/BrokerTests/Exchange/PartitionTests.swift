import Foundation
import Testing

@testable import Broker
@testable import WSTransport

/// An object from a broker with several logs to a JSON client.
struct PlacedNotice: Decodable {
    var op: String?
    var id: Int?
    var topic: String?
    var seq: UInt64?
    var position: String?
    var since: String?
    var data: String?
    var retained: Bool?
    var retain: Bool?
    var removed: Bool?
    var undone: Bool?
    var code: String?
}

/// A client that moves from broker to broker, with its position.
private final class Wanderer {
    let filter: TopicFilter
    let partitions: Partitions
    private var stub: StubClient?
    /// Its position in each log; `nil` if it has none yet.
    private(set) var position: [UInt64]?
    private(set) var epoch = ""
    /// The numbers of the messages that it received, by partition.
    private(set) var heard: [[UInt64]]
    private(set) var texts: [String] = []
    private(set) var complaints: [String] = []
    /// The position at which it began.
    private(set) var begun: [UInt64]?

    init(_ filter: TopicFilter, _ partitions: Partitions) {
        (self.filter, self.partitions) = (filter, partitions)
        heard = Array(repeating: [], count: partitions.count)
    }

    func come(to harness: ExchangeHarness) throws {
        stub = try harness.connectJSON()
        let since = position.map { position in
            let parts = position.enumerated().map { "\($0.offset):\($0.element)" }.joined(separator: ",")
            return ",\"since\":\"\(epoch)-\(parts)\""
        }
        let options = #""snapshot":false,"slow":"drop-oldest""# + (since ?? "")
        try stub?.send(#"{"op":"subscribe","id":1,"filter":"\#(filter.name)",\#(options)}"#)
    }

    func leave() {
        stub?.leave()
        stub = nil
    }

    /// Reads up to the first notice for which `isLast` returns `true`.
    func read(_ isLast: (PlacedNotice) -> Bool) throws {
        while let frame = try stub?.frame(), frame.opcode == 1 {
            let notice = try JSONDecoder().decode(PlacedNotice.self, from: Data(frame.payload))
            take(notice)
            if isLast(notice) { return }
        }
    }

    /// Reads the messages that have arrived.
    func readSome(_ maximum: Int) throws {
        for case .some(let frame) in stub?.receivedFrames(maximum) ?? [] where frame.opcode == 1 {
            take(try JSONDecoder().decode(PlacedNotice.self, from: Data(frame.payload)))
        }
    }

    private func take(_ notice: PlacedNotice) {
        switch notice.op {
        case "message":
            guard let topic = notice.topic, let seq = notice.seq else {
                return complaints.append("a message without seq")
            }
            let partition = partitions.partition(of: Topic(unchecked: topic))
            if partition != Int(seq % UInt64(partitions.count)) { complaints.append("\(seq) is of another partition") }
            heard[partition].append(seq)
            texts.append(notice.data ?? "")
            let known = position?[partition] ?? 0
            position?[partition] = max(known, seq)
        case "live":
            guard let point = notice.position.flatMap({ ResumePoint($0) }), let parts = point.parts else {
                return complaints.append("live without a position")
            }
            epoch = "\(point.epoch ?? 0)"
            position = position.map { zip($0, parts).map { max($0, $1) } } ?? parts
            begun = begun ?? parts
        case "gap": complaints.append("a gap although everything is kept")
        case "error": complaints.append("error \(notice.code ?? "")")
        default: break
        }
    }
}

@Suite("Several logs: an order for each partition, and positions that hold at every broker")
struct PartitionTests {
    private static let names = ["a", "b", "c", "d", "e", "f"]
    private static let filters = ["#", "+/1", "a/#", "b/1", "+/+", "c/+"]

    private static func settings() -> Settings {
        var settings = Settings()
        settings.history = [Settings.History(filter: "#", messages: 100_000)]
        settings.limits.pending = 8192
        return settings
    }

    /// Two brokers read the logs at different speeds, and clients move between them.
    @Test(arguments: 0..<20)
    func losesAndDoublesNothing(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let logs = SharedLogs(Partitions(2 + seed % 3))
        let harnesses = try (0..<2).map { _ in try ExchangeHarness(settings: Self.settings(), logs: logs) }
        for harness in harnesses { try harness.run { $0.hindrance = { nil } } }
        for harness in harnesses { try logs.readAll(harness.readers) }
        let wanderers = try Self.filters.map { Wanderer(try filter($0), logs.partitions) }
        for wanderer in wanderers {
            try wanderer.come(to: harnesses[0])
            try wanderer.read { $0.op == "live" }
        }
        var number = 0
        for _ in 0..<120 {
            let harness = harnesses[Int.random(in: 0..<2, using: &random)]
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                let drafts = try (0..<Int.random(in: 1...4, using: &random)).map { _ in
                    number += 1
                    let name = Self.names[Int.random(in: 0..<Self.names.count, using: &random)]
                    return try draft("\(name)/\(Int.random(in: 1...2, using: &random))", "\(number)")
                }
                nonisolated(unsafe) let owned = drafts
                try harness.run { shard in for draft in owned { shard.publish(draft, from: nil) } }
            case 4..<8:
                let partition = Int.random(in: 0..<logs.partitions.count, using: &random)
                try logs.read(harness.readers[partition], partition, atMost: Int.random(in: 1...3, using: &random))
            case 8:
                let wanderer = wanderers[Int.random(in: 0..<wanderers.count, using: &random)]
                try wanderer.readSome(Int.random(in: 1...4000, using: &random))
            default:
                let wanderer = wanderers[Int.random(in: 0..<wanderers.count, using: &random)]
                wanderer.leave()
                try wanderer.come(to: harness)
                // The client may be ahead of this broker.
                try logs.readAll(harness.readers)
                try wanderer.read { $0.op == "live" }
            }
        }
        // One turn later everything has been delivered.
        for harness in harnesses { try harness.run { _ in } }
        let ends = try Self.names.flatMap { name in try (1...2).map { try draft("\(name)/\($0)", "end \(name)\($0)") } }
        nonisolated(unsafe) let last = ends
        try harnesses[0].run { shard in for draft in last { shard.publish(draft, from: nil) } }
        for _ in 0..<2 {
            for harness in harnesses {
                try harness.run { _ in }
                try logs.readAll(harness.readers)
            }
        }
        let published = harnesses.map { $0.published() }
        let sorted = published.map { $0.sorted { $0.number < $1.number } }
        #expect(sorted[0].map(\.number) == sorted[1].map(\.number) && Set(sorted[0].map(\.number)).count == number + 12)
        for partition in 0..<logs.partitions.count {
            let digests = harnesses.map { $0.readers[partition].digest }
            #expect(digests[0] == digests[1], "both have decided alike")
        }
        for wanderer in wanderers {
            let due = sorted[0].filter { wanderer.filter.matches($0.topic) }
            var missing = due.filter { $0.payload.starts(with: Array("end".utf8)) }.count
            missing -= wanderer.texts.count { $0.hasPrefix("end") }
            while missing > 0 {
                try wanderer.read { $0.data?.hasPrefix("end") ?? false }
                missing -= 1
            }
            #expect(wanderer.complaints.prefix(3) == [], "\(wanderer.filter)")
            for partition in 0..<logs.partitions.count {
                let begun = wanderer.begun?[partition] ?? 0
                let wanted = due.filter {
                    logs.partitions.partition(of: $0.topic) == partition && $0.number > begun
                }.map(\.number)
                #expect(wanderer.heard[partition] == wanted, "\(wanderer.filter), partition \(partition)")
            }
        }
    }

    /// A position of another kind is refused with a sentence that says what is expected.
    @Test func refusesAPositionWithoutParts() throws {
        let harness = try ExchangeHarness(partitions: Partitions(2))
        let single = try ExchangeHarness()
        for (harness, since) in [(harness, "7"), (harness, "1-7"), (harness, "1-0:1,1:2,2:3"), (single, "1-0:1,1:2")] {
            let stub = try harness.connectJSON()
            let notices = try stub.ask(#"{"op":"subscribe","id":1,"filter":"a","since":"\#(since)"}"#, id: 1)
            #expect(notices.last?.code == "bad-request", "\(since)")
        }
        let stub = try harness.connectJSON()
        #expect(try stub.ask(#"{"op":"subscribe","id":1,"filter":"a","since":0}"#, id: 1).last?.op == "ok")
    }

    @Test func readsPositions() {
        #expect(ResumePoint("7-0:1,1:22")?.parts == [1, 22])
        #expect(ResumePoint("7-0:1,1:22")?.epoch == 7)
        for text in ["0:1", "0:1,2:3", "1:1,0:2", "0:1,1:", "0:1,1:-2", "7-0:1,1:2-3", "0:1,,1:2", ""] {
            #expect(ResumePoint(text) == nil, "\(text)")
        }
    }

    /// A condition uses the number that clients know, and each partition has its own keys.
    @Test func decidesByNumbersThatAllBrokersKnow() throws {
        let logs = SharedLogs(Partitions(3))
        let harness = try ExchangeHarness(logs: logs)
        try logs.readAll(harness.readers)
        func publish(_ drafts: [Draft]) throws -> [Result<Receipt, Refusal>] {
            let answers = Answer<[Result<Receipt, Refusal>]>()
            nonisolated(unsafe) let owned = drafts
            try harness.run { shard in
                let results = Collector(owned.count, answers)
                for (place, draft) in owned.enumerated() {
                    var draft = draft
                    draft.completion = { results.put($0, at: place) }
                    shard.publish(draft, from: nil)
                }
            }
            try harness.run { _ in }
            try logs.readAll(harness.readers)
            return try answers.get()
        }
        let first = try publish(Self.names.map { try draft("\($0)/1", "1", retained: true) }).compactMap(\.value?.seq)
        #expect(Set(first).count == Self.names.count)
        var conditional = try Self.names.map { try draft("\($0)/1", "2", retained: true) }
        for place in conditional.indices { conditional[place].condition = .matches([first[place]]) }
        let second = try publish(conditional)
        #expect(second.allSatisfy { $0.value?.isStored == true })
        #expect(try publish(conditional).allSatisfy { $0.error?.code == .conflict })
        for (name, result) in zip(Self.names, second) {
            #expect(try harness.sequencer.value(of: topic("\(name)/1"))?.number == result.value?.seq)
            #expect(try harness.store.value(of: topic("\(name)/1"), now: .min)?.number == result.value?.seq)
        }
        var keyed = try Self.names.map { try draft("\($0)/2", "once") }
        for place in keyed.indices {
            let name = Array("u\0\(keyed[place].topic)\0key".utf8)
            keyed[place].key = PublishKey(stored: name, owner: "u")
        }
        let once = try publish(keyed).compactMap(\.value?.seq)
        #expect(try publish(keyed).compactMap(\.value?.seq) == once, "a repetition is answered as what it repeats")
    }
}

/// The results of several publications, on one thread.
private final class Collector {
    private var results: [Result<Receipt, Refusal>?]
    private let answer: Answer<[Result<Receipt, Refusal>]>

    init(_ count: Int, _ answer: Answer<[Result<Receipt, Refusal>]>) {
        (results, self.answer) = (Array(repeating: nil, count: count), answer)
    }

    func put(_ result: Result<Receipt, Refusal>, at place: Int) {
        results[place] = result
        if results.allSatisfy({ $0 != nil }) { answer.put(results.compactMap { $0 }) }
    }
}

@Suite("Where numbers are in the line")
struct PlaceTableTests {
    /// Places are rounded down, and exact for new messages; whatever is forgotten, no message is skipped.
    @Test func roundsDown() {
        let partitions = Partitions(2)
        var table = PlaceTable(partitions, from: 0)
        var random = SeededGenerator(seed: 5)
        var (seq, numbers): (UInt64, [UInt64]) = (0, [0, 0])
        /// The place of each number, by partition.
        var places: [[(number: UInt64, place: UInt64)]] = [[], []]
        for _ in 0..<60_000 {
            let partition = Int.random(in: 0...1, using: &random)
            let before = seq
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                seq += 1
                numbers[partition] += 1
                places[partition].append((partitions.number(numbers[partition], of: partition), seq))
            }
            numbers[partition] += 1
            let last = partitions.number(numbers[partition], of: partition)
            table.add((after: before, upTo: seq), upTo: last, of: partition)
        }
        for partition in 0...1 {
            #expect(table.position[partition] == partitions.number(numbers[partition], of: partition))
            for (index, (number, place)) in places[partition].enumerated().dropLast() {
                let found = table.place(of: number, in: partition)
                let next = places[partition][index + 1].place
                #expect(found < next, "the next message comes after it")
                // The newest thousand are known by their records.
                if index > places[partition].count - 1000 { #expect(found + 4 > place) }
                #expect(table.position(at: place - 1)[partition] < number, "it is not said to be there before")
            }
        }
    }

    @Test func spreadsByTheFirstLevel() throws {
        let partitions = Partitions(7)
        var counts = [Int](repeating: 0, count: 7)
        for number in 0..<7000 {
            let name = "device-\(number)"
            let partition = partitions.partition(of: try topic("\(name)/a/b"))
            counts[partition] += 1
            #expect(partitions.partition(of: try topic(name)) == partition)
            #expect(partitions.partition(of: try filter("\(name)/+/#")) == partition)
        }
        #expect(counts.allSatisfy { 800...1200 ~= $0 })
        #expect(partitions.partition(of: try topic("$inbox/a")) == 0)
        for partition in 0..<9 {
            let topic = SharedAccess.rules(of: partition)
            #expect(topic.isPrivate && partitions.partition(of: topic) == (partition < 7 ? partition : 0))
        }
        #expect(partitions.partition(of: try filter("+/a")) == nil)
        #expect(Partitions.one.partition(of: try filter("#")) == 0)
        #expect(partitions.number(5, of: 3) == 38 && Partitions.one.number(5, of: 0) == 5)
    }
}
