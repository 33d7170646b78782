import Foundation
import Glibc
import Testing

@testable import Broker
@testable import WSTransport

/// A broker that reads a log into a store on disk.
private final class Replica {
    let directory = TestDirectory()
    let store: LMDBStore
    let sequencer: Sequencer
    let order: LogOrder
    let engine = SteppedEngine()
    private let thread: StoreThread
    private let settled = Settled()

    /// Starts from a copy of another broker's disk, as after `kill -9`; `nil`: from an empty disk.
    init(afterTheEndOf other: Replica? = nil, starts: UInt64 = 1) throws {
        if let other {
            try DataDirectory.make(directory.path)
            let file = unsafe open(directory.file.path, O_WRONLY | O_CREAT, 0o600)
            defer { close(file) }
            try other.store.copy(to: file)
        }
        store = try directory.open()
        sequencer = try Sequencer(store: store, rules: HistoryRules([HistoryRule(filter: try filter("k/#"))]))
        thread = StoreThread(
            store: store, maximumQueuedBytes: 1 << 10,
            onSettled: { [weak sequencer, settled] in
                sequencer?.settled($0)
                settled.add($0)
            })
        sequencer.attach(thread)
        order = try LogOrder(
            sequencer, engine: engine, node: 1, incarnation: starts << 32, from: try store.orderMark())
        try thread.start()
    }

    deinit { thread.stop() }

    func read(_ log: SteppedLog, atMost count: Int) throws {
        try order.receive(log.entries(after: order.position, atMost: count))
    }

    /// Waits until everything is on disk.
    func sync() {
        thread.stop()
    }

    /// The state of the broker, as text.
    func content() throws -> [String] {
        var lines: [String] = []
        _ = try store.scan(try filter("#"), after: nil, visiting: .max, now: .min) { message in
            lines.append("value \(message.seq) \(message.topic) \(message.expiry) \(message.payload.array)")
            return true
        }
        for entry in try store.ephemerals().sorted(by: { $0.message.seq < $1.message.seq }) {
            let (message, farewell) = (entry.message, entry.lease?.farewell)
            lines.append(
                "ephemeral \(message.seq) \(message.topic) \(message.origin) \(message.payload.array) "
                    + "\(entry.lease?.grace ?? 0) \(farewell?.payload ?? []) \(farewell?.contentType ?? "")")
        }
        lines += try store.keys().map { "key \($0.seq) \($0.time) \($0.owner)" }
        try store.readHistory { (history) throws(StorageError) in
            lines.append("history \(history.summary.messages) \(history.summary.completeUpTo) \(history.summary.holes)")
        }
        let mark = try store.orderMark()
        let state = mark?.state ?? []
        lines.append("at \(Fold(state.span)?.position ?? .start), \(mark?.seq ?? 0), \(store.epoch)")
        return lines
    }
}

@Suite("LogOrder: a broker that restarts")
struct LogRestartTests {
    /// A publisher whose messages use everything that the order decides about.
    private struct Publisher {
        let engine = SteppedEngine()
        var random: SeededGenerator
        var number: UInt64 = 0

        private mutating func lease() -> Lease {
            let type = Bool.random(using: &random) ? "text/x" : nil
            let farewell = Lease.Farewell(payload: Array("gone \(number)".utf8), kind: .text, contentType: type)
            return Lease(
                grace: Bool.random(using: &random) ? 700 : 0, farewell: Bool.random(using: &random) ? farewell : nil)
        }

        mutating func publish(to log: inout SteppedLog) throws {
            var drafts: [Draft] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let name = ["a", "b", "k/a", "k/b", "p/a", "p/b"].randomElement(using: &random) ?? ""
                let text = Int.random(in: 0...4, using: &random) == 0 ? "" : "\(number)"
                var draft = try draft(name, text, retained: name.hasPrefix("p") || Bool.random(using: &random))
                draft.origin = 5
                if name.hasPrefix("p") {
                    draft.condition = text.isEmpty ? .present : .ephemeral(lease())
                } else if draft.isRetained {
                    draft.condition = [.none, .absent, .present].randomElement(using: &random) ?? .none
                    if Bool.random(using: &random) { draft.timeToLive = 20 }
                }
                if Int.random(in: 0...2, using: &random) == 0 {
                    let key = Int.random(in: 0...9, using: &random)
                    draft.key = PublishKey(stored: Array("\(name) \(key)".utf8), owner: "ann")
                }
                drafts.append(draft)
            }
            number += 1
            log.append(
                LogRecord.bytes(LogRecord.Head(node: 9, incarnation: 1, number: number), drafts.span),
                numbers: drafts.count)
        }
    }

    /// A broker that is killed at any moment, and restarts from its disk, reaches the same state as one that was not.
    @Test(arguments: 1...10)
    func neitherLosesNorRepeatsMessages(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        var publisher = Publisher(random: SeededGenerator(seed: seed + 1_000_000))
        var log = SteppedLog()
        log.begin(keeping: .start)
        let steady = try Replica()
        var (replica, starts) = (try Replica(), UInt64(1))
        for _ in 0..<300 {
            switch Int.random(in: 0..<20, using: &random) {
            case 0:
                starts += 1
                replica = try Replica(afterTheEndOf: replica, starts: starts)
            case 1 where replica.order.position == log.top: log.begin(keeping: log.top)
            case 2..<10: try publisher.publish(to: &log)
            default: try replica.read(log, atMost: Int.random(in: 1...5, using: &random))
            }
        }
        try replica.read(log, atMost: .max)
        try steady.read(log, atMost: .max)
        #expect(replica.order.digest == steady.order.digest && replica.order.position == log.top)
        for one in [replica, steady] { one.sync() }
        let content = try steady.content()
        #expect(try replica.content() == content)
        #expect(content.last == "at \(log.top), \(log.top.seq), 7", "the epoch is the cluster's")
        #expect(starts > 1 && content.count > 10)
    }

    /// The values of a single broker stay, and its numbers continue after theirs.
    @Test func continuesTheStoreOfASingleBroker() throws {
        let replica = try Replica()
        let directory = TestDirectory()
        var epoch: UInt64 = 0
        do {
            let store = try directory.open()
            epoch = store.epoch
            try store.apply([retained("a", "x")], reserving: 500)
            store.close()
        }
        #expect(try Data(contentsOf: directory.file).range(of: Data(Array("state".utf8) + [2, 0, 0, 0])) != nil)
        let store = try directory.open()
        let sequencer = try Sequencer(store: store, rules: HistoryRules())
        let order = try LogOrder(sequencer, engine: replica.engine, node: 1, incarnation: 1)
        #expect(order.position == LogPosition(term: 0, seq: 500) && order.epoch == epoch)
        #expect(throws: LogTrouble.foreign(epoch: 7)) {
            try order.receive([
                .term(at: LogPosition(term: 1, seq: 1000), closed: LogPosition(term: 0, seq: 500), epoch: 7)
            ])
        }
        #expect(order.obstacle?.code == .unavailable)
    }

    /// A store in a cluster is refused by versions without clusters.
    @Test func marksItsStoreAsThatOfACluster() throws {
        var log = SteppedLog()
        log.begin(keeping: .start)
        let replica = try Replica()
        try replica.read(log, atMost: .max)
        replica.sync()
        let state = Array("state".utf8)
        let file = try Data(contentsOf: replica.directory.file)
        #expect(file.range(of: Data(state + [3, 0, 0, 0])) != nil)
        let target = TestDirectory()
        _ = try LMDBStore.restore(from: replica.directory.path, to: target.path, time: 0)
        let restored = try target.open()
        #expect(try restored.orderMark() == nil && restored.epoch != 7, "a backup of it is a broker's by itself")
    }
}
