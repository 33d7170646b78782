import Foundation
import Testing

@testable import Broker
@testable import WSTransport

/// The gaps that clients get when they resume at a position in several logs.
@Suite("Several logs: gaps")
struct PartitionGapTests {
    /// The messages and gaps that a client gets between its answer and the marker.
    private struct Reading {
        var notices: [PlacedNotice] = []
        var values: [String: String] = [:]
        /// The numbers of the messages, by partition.
        var heard: [[UInt64]]

        var gaps: [PlacedNotice] { notices.filter { $0.op == "gap" } }
    }

    private func resume(_ harness: ExchangeHarness, _ filter: String, since position: [UInt64]) throws -> Reading {
        let stub = try harness.connectJSON()
        let parts = position.enumerated().map { "\($0.offset):\($0.element)" }.joined(separator: ",")
        try stub.send(#"{"op":"subscribe","id":1,"filter":"\#(filter)","since":"\#(harness.store.epoch)-\#(parts)"}"#)
        var reading = Reading(heard: Array(repeating: [], count: position.count))
        repeat {
            let frame = try #require(try stub.frame())
            reading.notices.append(try JSONDecoder().decode(PlacedNotice.self, from: Data(frame.payload)))
            if reading.notices.last?.op == "ok" { reading.notices.removeLast() }
        } while reading.notices.last?.op != "live"
        for notice in reading.notices where notice.op == "message" {
            let (topic, seq) = (try #require(notice.topic), try #require(notice.seq))
            if notice.retained != true { reading.heard[Int(seq) % position.count].append(seq) }
            if notice.removed == true {
                reading.values[topic] = nil
            } else if notice.retained == true || notice.retain == true {
                reading.values[topic] = notice.data
            }
        }
        return reading
    }

    private func names(_ partitions: Partitions) throws -> [String] {
        var names = [String?](repeating: nil, count: partitions.count)
        for letter in "abcdefghijklmnopqrstuvwxyz" {
            names[partitions.partition(of: try topic("\(letter)/1"))] = "\(letter)"
        }
        return try names.map { try #require($0) }
    }

    /// If one log has lost messages that a client received, the client gets a gap, then the messages that replaced
    /// them, and none twice.
    @Test(arguments: 0..<10)
    func reportsWhatOneLogHasLost(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let partitions = Partitions(2 + seed % 2)
        let names = try names(partitions)
        var settings = Settings()
        settings.history = [Settings.History(filter: "#", messages: 100_000)]
        let harness = try ExchangeHarness(settings: settings, partitions: partitions)
        /// The messages published to each log that are still kept.
        var kept = [[UInt64]](repeating: [], count: partitions.count)
        var values: [String: String] = [:]
        var jumps: [(partition: Int, jump: LogJumps.Jump, position: [UInt64])] = []
        for number in 0..<60 {
            if number % 20 == 10 {
                let partition = Int.random(in: 0..<partitions.count, using: &random)
                let position = try #require(harness.sequencer.position(at: .max))
                jumps.append((partition, try harness.engines[partition].jump(), position))
            }
            let partition = Int.random(in: 0..<partitions.count, using: &random)
            let name = "\(names[partition])/\(Int.random(in: 1...2, using: &random))"
            let isRemoval = Int.random(in: 0...5, using: &random) == 0
            let isRetained = isRemoval || Bool.random(using: &random)
            let draft = try draft(name, isRemoval ? "" : "\(number)", retained: isRetained)
            let receipt = try #require(try harness.publish([draft])[0].value)
            #expect(Int(receipt.seq) % partitions.count == partition)
            kept[partition].append(receipt.seq)
            if isRetained { values[name] = isRemoval ? nil : "\(number)" }
        }
        for (partition, jump, position) in jumps {
            let closed = partitions.number(jump.closed, of: partition)
            var known = position
            known[partition] = partitions.number(
                UInt64.random(in: jump.closed + 1..<jump.begun, using: &random), of: partition)
            for filter in ["#", "\(names[partition])/#"] {
                let reading = try resume(harness, filter, since: known)
                let first = try #require(reading.notices.first)
                #expect(first.op == "gap" && first.undone == true && reading.gaps.count == 1, "it comes first")
                var (before, after) = (known, known)
                (before[partition], after[partition]) = (closed, partitions.number(jump.begun, of: partition))
                #expect(first.since.flatMap { ResumePoint($0)?.parts } == before)
                #expect(first.position.flatMap { ResumePoint($0)?.parts } == after, "exactly what is gone")
                let matching = values.filter { filter == "#" || $0.key.hasPrefix(names[partition]) }
                #expect(reading.values == matching, "it has the values that hold, and no other")
                for other in 0..<partitions.count where filter == "#" || other == partition {
                    let floor = other == partition ? closed : position[other]
                    #expect(reading.heard[other] == kept[other].filter { $0 > floor }, "partition \(other)")
                }
            }
            // The other logs have lost nothing.
            for other in 0..<partitions.count where other != partition {
                #expect(try resume(harness, "\(names[other])/#", since: known).gaps.isEmpty)
            }
        }
    }

    /// After a restart, a broker finds old positions by its history.
    @Test(arguments: 0..<6)
    func knowsOldPositionsAfterAStart(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let directory = TestDirectory()
        let logs = SharedLogs(Partitions(2 + seed % 2))
        let names = try names(logs.partitions)
        var settings = Settings()
        settings.history = [Settings.History(filter: "#", messages: 5)]
        var positions: [(position: [UInt64], published: [String: Int])] = []
        var published: [String: Int] = [:]
        /// The harness ends with it, and everything is on disk.
        func fill(_ store: LMDBStore) throws {
            let harness = try ExchangeHarness(store, settings: settings, logs: logs)
            try logs.readAll(harness.readers)
            for number in 0..<300 {
                let name = "\(names.randomElement(using: &random) ?? "")/\(Int.random(in: 1...3, using: &random))"
                let drafts = [try draft(name, "\(number)")]
                nonisolated(unsafe) let owned = drafts
                try harness.run { shard in for draft in owned { shard.publish(draft, from: nil) } }
                try harness.run { _ in }
                try logs.readAll(harness.readers)
                published[name, default: 0] += 1
                positions.append((try #require(harness.sequencer.position(at: .max)), published))
            }
        }
        /// The store ends with it.
        func begin() throws {
            let store = try directory.open()
            try fill(store)
            store.close()
        }
        try begin()
        let store = try directory.open()
        defer { store.close() }
        let harness = try ExchangeHarness(store, settings: settings, logs: logs)
        try logs.readAll(harness.readers)
        for (position, before) in positions.suffix(60) {
            for name in published.keys {
                let missing = (published[name] ?? 0) - (before[name] ?? 0)
                let reading = try resume(harness, name, since: position)
                #expect(reading.heard.joined().count == min(missing, 5))
                if missing > 5 {
                    #expect(reading.gaps.count == 1)
                } else if missing < 5 {
                    // A message of the topic that the client has is kept: the position is known exactly enough.
                    #expect(reading.gaps.isEmpty, "\(name), \(missing) missing")
                }
            }
        }
    }
}
