import Foundation
import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

/// A store that a broker has when it has read a log up to some place.
private final class Reader {
    let directory = TestDirectory()
    let store: LMDBStore
    let order: LogOrder
    private let thread: StoreThread
    private let engine = SteppedEngine()

    init() throws {
        store = try directory.open()
        let sequencer = try Sequencer(store: store, rules: HistoryRules([HistoryRule(filter: try filter("k/#"))]))
        thread = StoreThread(
            store: store, maximumQueuedBytes: 64 << 20, onSettled: { [weak sequencer] in sequencer?.settled($0) })
        sequencer.attach(thread)
        order = try LogOrder(sequencer, engine: engine, node: 1, incarnation: 1)
        try thread.start()
    }

    deinit { thread.stop() }

    /// Reads a whole log, and waits until it is on disk.
    func read(_ log: SteppedLog) throws {
        try order.receive(log.entries(after: order.position, atMost: .max))
        thread.stop()
    }
}

/// A log that two sides continued after its engine was divided.
private struct DividedLog {
    /// The side that is lost, and the one that counts.
    private(set) var lost = SteppedLog()
    private(set) var log = SteppedLog()
    private var numbers: [UInt64: UInt64] = [:]
    let closed: LogPosition
    static let node = NodeRecord(cluster: "c", id: 0xABCD << 48 | 1, starts: 1)
    static let own: UInt64 = 0xABCD << 48 | 7
    static let other: UInt64 = 0x1234 << 48 | 7

    init(before: [Draft], lost: [Draft], instead: [Draft]) throws {
        var log = SteppedLog()
        log.begin(keeping: .start)
        var number: UInt64 = 0
        func append(_ drafts: [Draft], to log: inout SteppedLog, from node: UInt64) {
            for draft in drafts {
                number += 1
                log.append(
                    LogRecord.bytes(LogRecord.Head(node: node, incarnation: number, number: 1), [draft].span),
                    numbers: 1)
            }
        }
        append(before, to: &log, from: 8)
        closed = log.top
        self.lost = log
        append(lost, to: &self.lost, from: 9)
        log.begin(keeping: closed)
        append(instead, to: &log, from: 10)
        self.log = log
    }
}

private func publication(
    _ name: String, _ text: String, retained: Bool = true, from origin: UInt64 = DividedLog.own, key: String? = nil,
    life: Int64? = nil
) throws -> Draft {
    var draft = Draft(topic: try topic(name), payload: Array(text.utf8), kind: .text)
    (draft.isRetained, draft.origin, draft.timeToLive) = (retained, origin, life)
    draft.key = key.map { PublishKey(stored: Array($0.utf8), owner: "ann") }
    return draft
}

@Suite("Cluster: messages that a log has lost are sent again")
struct UndoneTests {
    private static let before = [("a", "old"), ("b", "old"), ("gone", "old"), ("c", "old")]

    private func divided() throws -> DividedLog {
        try DividedLog(
            before: Self.before.map { try publication($0, $1, from: DividedLog.other) }
                + [try publication("short", "x", from: DividedLog.other, life: 1)],
            lost: [
                publication("a", "1"), publication("k/log", "1", retained: false, key: "mine"), publication("b", "1"),
                publication("k/log", "2", retained: false),
                publication("k/log", "foreign", retained: false, from: DividedLog.other),
                publication("k/value", "1"), publication("k/value", "2"), publication("gone", ""),
                publication("a", "2"),
                publication("passing", "x", retained: false),
                publication("k/newer", "1"), publication("equal", "same"),
            ],
            instead: [
                publication("b", "newer", from: DividedLog.other), publication("k/newer", "2", from: DividedLog.other),
                publication("equal", "same", from: DividedLog.other),
            ])
    }

    private func stores() throws -> (former: Reader, present: Reader, closed: UInt64) {
        let divided = try divided()
        let (former, present) = (try Reader(), try Reader())
        try former.read(divided.lost)
        try present.read(divided.log)
        return (former, present, divided.closed.seq)
    }

    @Test func findsMessagesTheLogLost() throws {
        let (former, present, closed) = try stores()
        let mark = try #require(try present.store.orderMark())
        let jumps = Fold(mark.state.span)?.jumps ?? LogJumps()
        let undone = try #require(
            try UndoneMessages(of: former.store, replacedBy: present.store, [jumps], DividedLog.node))
        #expect(undone.end.begin == closed && undone.left == 0)
        let found = undone.items.map { "\($0.message.topic) \(String(decoding: $0.message.payload, as: UTF8.self))" }
        #expect(
            found == [
                "k/log 1", "b 1", "k/log 2", "k/value 1", "k/value 2", "a 2", "k/newer 1", "equal same",
                "gone ",
            ], "in order, of this broker's clients, with what it had removed")
        #expect(undone.items[0].key.owner == "ann", "a client that repeats it is recognised")
        #expect(Set(undone.items.map(\.key.name)).count == undone.items.count)
        let same = try UndoneMessages(of: present.store, replacedBy: present.store, [jumps], DividedLog.node)
        #expect(same == nil, "the log has all that is there")
        #expect(try UndoneMessages(of: former.store, replacedBy: present.store, [LogJumps()], DividedLog.node) == nil)
    }

    /// However often the broker starts, each message is published again once; newer values are not replaced.
    @Test func resendsLostMessagesOnce() throws {
        let (former, present, closed) = try stores()
        let directory = TestDirectory()
        try DataDirectory.make("\(directory.path)/broker.mdb.former-1")
        try FileManager.default.copyItem(
            at: former.directory.file, to: URL(fileURLWithPath: "\(directory.path)/broker.mdb.former-1/broker.mdb"))
        var settings = Settings()
        settings.history = [Settings.History(filter: "k/#", messages: 1000)]
        let harness = try ExchangeHarness(present.store, settings: settings)
        var jumps = LogJumps()
        jumps.add(LogJumps.Jump(closed: closed, begun: closed + 1000))
        harness.sequencer.adopt(jumps, of: 0)
        func look() throws -> [String] {
            for _ in 0..<2 { try harness.run { _ in } }
            var lines: [String] = []
            for name in ["a", "b", "c", "gone", "equal", "k/newer", "k/value"] {
                let value = try harness.sequencer.value(of: try topic(name))
                lines.append("\(name)=\(value.map { String(decoding: $0.payload, as: UTF8.self) } ?? "")")
            }
            return lines
        }
        var outcomes: [Resending.Outcome] = []
        for round in 1...2 {
            if round == 2 {
                // As if the broker had been killed before it had finished.
                try DataDirectory.make("\(directory.path)/broker.mdb.former-2")
                try FileManager.default.copyItem(
                    at: former.directory.file,
                    to: URL(fileURLWithPath: "\(directory.path)/broker.mdb.former-2/broker.mdb"))
            }
            let resending = Resending(
                harness.sequencer, present.store, DividedLog.node, directory: directory.path, maximumSize: 1 << 24)
            #expect(resending.reason == "it is comparing its former store with the copy of another broker's store")
            let done = Answer<Bool>()
            resending.begin(publishingOn: harness.remotes[0]) { done.put(true) }
            _ = try done.get()
            let hadMessages = resending.hasMessages.load(ordering: .acquiring)
            #expect(resending.reason == nil && hadMessages)
            outcomes.append(resending.total)
            let news = resending.takeNews().map(\.message)
            #expect(news.count == 2 && resending.takeNews().isEmpty, "it is reported, with the unsent messages")
            #expect(try look() == ["a=2", "b=newer", "c=old", "gone=", "equal=same", "k/newer=2", "k/value=2"])
        }
        for outcome in outcomes { #expect(outcome.conflicts == 1 && outcome.refused == 0) }
        #expect(FormerStore.all(in: directory.path).isEmpty)
        let kept = try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.contains("undone-") }
        #expect(kept.count == 2)
        let stub = try harness.connectJSON()
        _ = try stub.ask(##"{"op":"subscribe","id":1,"filter":"k/#","since":0}"##, id: 1)
        var texts: [String] = []
        while let notice = Optional(try stub.receive()), notice.op != "live" {
            guard notice.op == "message", notice.retained != true else { continue }
            texts.append("\(notice.topic ?? "") \(notice.data ?? "")")
        }
        #expect(texts == ["k/newer 2", "k/log 1", "k/log 2", "k/value 1", "k/value 2", "k/newer 1"])
    }

    /// A new broker has acknowledged nothing, and its readiness does not claim that it publishes something again.
    @Test func comparesAnEmptyStoreWithoutAlarm() throws {
        let (former, present) = (try Reader(), try Reader())
        let directory = TestDirectory()
        try DataDirectory.make("\(directory.path)/broker.mdb.former-1")
        try FileManager.default.copyItem(
            at: former.directory.file, to: URL(fileURLWithPath: "\(directory.path)/broker.mdb.former-1/broker.mdb"))
        let harness = try ExchangeHarness(present.store)
        let resending = Resending(
            harness.sequencer, present.store, DividedLog.node, directory: directory.path, maximumSize: 1 << 24)
        #expect(resending.reason?.hasPrefix("it is comparing") == true)
        let done = Answer<Bool>()
        resending.begin(publishingOn: harness.remotes[0]) { done.put(true) }
        _ = try done.get()
        let hadMessages = resending.hasMessages.load(ordering: .acquiring)
        #expect(resending.reason == nil && !hadMessages && resending.takeNews().isEmpty)
    }
}
