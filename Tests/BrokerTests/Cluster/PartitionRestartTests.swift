import Foundation
import Glibc
import Testing

@testable import Broker
@testable import WSTransport

/// A broker that reads several logs into a store on disk.
private final class Replica {
    let directory = TestDirectory()
    let store: LMDBStore
    let sequencer: Sequencer
    let orders: [LogOrder]
    private let thread: StoreThread

    /// Starts with what another broker has on disk at this moment, as after `kill -9`; `nil` for an empty disk.
    init(_ logs: SharedLogs, afterTheEndOf other: Replica? = nil) throws {
        if let other {
            try DataDirectory.make(directory.path)
            let file = unsafe open(directory.file.path, O_WRONLY | O_CREAT, 0o600)
            defer { close(file) }
            try other.store.copy(to: file)
        }
        store = try directory.open()
        sequencer = try Sequencer(
            store: store, rules: HistoryRules([HistoryRule(filter: try filter("+/kept"))]), partitions: logs.partitions)
        thread = StoreThread(
            store: store, maximumQueuedBytes: 1 << 10, onSettled: { [weak sequencer] in sequencer?.settled($0) })
        sequencer.attach(thread)
        orders = try logs.join(sequencer, from: try store.orderMark(), as: 99)
        try thread.start()
    }

    deinit { thread.stop() }

    /// Waits until everything is on disk.
    func sync() { thread.stop() }

    /// The state of the broker, as text, with the numbers that all brokers know.
    func content() throws -> [String] {
        var lines: [String] = []
        _ = try store.scan(try filter("#"), after: nil, visiting: .max, now: .min) { message in
            lines.append("value \(message.number) \(message.topic) \(message.expiry) \(message.payload)")
            return true
        }
        for message in try store.ephemerals().map(\.message).sorted(by: { $0.number < $1.number }) {
            lines.append("ephemeral \(message.number) \(message.topic) \(message.origin) \(message.payload)")
        }
        lines += try store.keys().map { "key \($0.number) \($0.time) \($0.owner)" }.sorted()
        var kept: [String] = []
        try store.readHistory { (history) throws(StorageError) in
            _ = try history.messages(where: { _ in true }, after: 0, upTo: .max, visiting: .max, now: .min) { message in
                kept.append("history \(message.number) \(message.topic) \(message.payload)")
                return true
            }
        }
        return lines + kept.sorted() + orders.map { "at \($0.position) \($0.digest.value)" }
    }
}

@Suite("Several logs: a broker that starts again")
struct PartitionRestartTests {
    /// Drafts that use everything that the order decides about.
    private static func drafts(_ number: Int, _ random: inout SeededGenerator) throws -> [Draft] {
        try (0..<Int.random(in: 1...4, using: &random)).map { _ in
            let first = ["a", "b", "c", "d"].randomElement(using: &random) ?? ""
            let last = ["x", "kept", "here"].randomElement(using: &random) ?? ""
            let text = Int.random(in: 0...4, using: &random) == 0 ? "" : "\(number)"
            var draft = try draft("\(first)/\(last)", text, retained: last == "here" || Bool.random(using: &random))
            draft.origin = 5
            if last == "here" {
                draft.condition = text.isEmpty ? .present : .ephemeral(Lease())
            } else if draft.isRetained {
                draft.condition = [.none, .absent, .present].randomElement(using: &random) ?? .none
                if Bool.random(using: &random) { draft.timeToLive = 20 }
            }
            if Int.random(in: 0...2, using: &random) == 0 {
                let name = "ann\0\(draft.topic)\0\(Int.random(in: 0...9, using: &random))"
                draft.key = PublishKey(stored: Array(name.utf8), owner: "ann")
            }
            return draft
        }
    }

    /// A broker that is killed at any moment, and restarts from its disk, reaches the same state as one that was not.
    @Test(arguments: 1...10)
    func losesAndDoublesNothing(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let logs = SharedLogs(Partitions(2 + seed % 2))
        let steady = try Replica(logs)
        var replica = try Replica(logs)
        let publisher = try ExchangeHarness(logs: logs)
        try logs.readAll(publisher.readers)
        for number in 0..<200 {
            switch Int.random(in: 0..<20, using: &random) {
            case 0: replica = try Replica(logs, afterTheEndOf: replica)
            case 1..<8:
                let drafts = try Self.drafts(number, &random)
                nonisolated(unsafe) let owned = drafts
                try publisher.run { shard in for draft in owned { shard.publish(draft, from: nil) } }
                try publisher.run { _ in }
            case 8..<10: try logs.readAll(publisher.readers)
            default:
                let reader = Bool.random(using: &random) ? steady : replica
                let partition = Int.random(in: 0..<logs.partitions.count, using: &random)
                try logs.read(reader.orders[partition], partition, atMost: Int.random(in: 1...5, using: &random))
            }
        }
        replica = try Replica(logs, afterTheEndOf: replica)
        for reader in [steady, replica] {
            try logs.readAll(reader.orders)
            reader.sync()
        }
        #expect(try steady.content() == replica.content())
        #expect(throws: StorageError.self) { try LogGroup(Partitions(7), from: replica.store.orderMark()) }
        #expect(throws: StorageError.self) { try LogGroup(.one, from: replica.store.orderMark()) }
        #expect(throws: Never.self) { try LogGroup(logs.partitions, from: replica.store.orderMark()) }
        let backup = TestDirectory()
        let single = try Replica(logs, afterTheEndOf: replica).directory
        _ = try LMDBStore.restore(from: single.path, to: backup.path, time: 0)
        let restored = try backup.open()
        let highest = replica.orders.enumerated().map { logs.partitions.number($1.position.seq, of: $0) }.max()
        #expect(restored.reservedSeq >= highest ?? .max, "a single broker's messages come after all that clients know")
    }
}
