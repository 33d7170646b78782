import Dispatch
import Foundation
import Synchronization
import Testing
import WSTransport

@testable import Broker

/// The results that a store thread reported for its messages.
final class Settled: Sendable {
    private let settlements = Mutex<[StoreThread.Settlement]>([])
    /// Signalled by each settlement.
    private let news = DispatchSemaphore(value: 0)

    /// Waits for the next settlement that has not been returned yet.
    func waitForOne() { news.wait() }

    var count: Int { settlements.withLock { $0.count } }
    var committed: [UInt64] { settlements.withLock { $0.flatMap(\.committed) } }
    var failed: [UInt64] { settlements.withLock { $0.flatMap { $0.failed.map(\.seq) } } }
    var errors: [StorageError] { settlements.withLock { $0.flatMap { $0.failed.map(\.error) } } }
    var upTo: UInt64? { settlements.withLock { $0.last?.committedUpTo } }

    @Sendable func add(_ settlement: StoreThread.Settlement) {
        settlements.withLock { $0.append(settlement) }
        news.signal()
    }
}

/// A store whose commits wait for permission, and fail on demand.
private final class GatedStore: MessageStore {
    let inner = InMemoryStore()
    let entered = DispatchSemaphore(value: 0)
    let permission = DispatchSemaphore(value: 0)
    private let state: Mutex<(isGated: Bool, error: StorageError?, applies: [Int])>

    init(isGated: Bool) { state = Mutex((isGated, nil, [])) }

    var epoch: UInt64 { inner.epoch }
    var reservedSeq: UInt64 { inner.reservedSeq }
    /// How many messages each transaction had.
    var applies: [Int] { state.withLock { $0.applies } }

    func fail(with error: StorageError?) { state.withLock { $0.error = error } }

    func open() {
        state.withLock { $0.isGated = false }
        permission.signal()
    }

    private func pass(_ count: Int) throws(StorageError) {
        let isGated = state.withLock { state in
            state.applies.append(count)
            return state.isGated
        }
        if isGated {
            entered.signal()
            permission.wait()
        }
        if let error = state.withLock({ $0.error }) { throw error }
    }

    func reserve(seqsUpTo seq: UInt64) throws(StorageError) {
        try pass(0)
        try inner.reserve(seqsUpTo: seq)
    }

    func value(of topic: Topic, now: Int64) throws(StorageError) -> Message? { try inner.value(of: topic, now: now) }

    func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd {
        try inner.scan(filter, after: position, visiting: maximum, now: now, body)
    }

    func view() throws(StorageError) -> any RetainedView { try inner.view() }

    func apply(_ entries: [StoreEntry], reserving seq: UInt64?, now: Int64) throws(StorageError) {
        try pass(entries.count)
        if entries.contains(where: { $0.message.topic.name.hasPrefix("bad") }) { throw .full }
        try inner.apply(entries, reserving: seq, now: now)
    }

    func adopt(_ rules: HistoryRules, from seq: UInt64) throws(StorageError) { inner.adopt(rules, from: seq) }
    func lose(_ seq: UInt64) { inner.lose(seq) }
    func maintain(now: Int64) throws(StorageError) -> Bool { inner.maintain(now: now) }
    func seal(upTo seq: UInt64?) throws(StorageError) { inner.seal(upTo: seq) }
    func readHistory<Result>(
        _ body: (any HistoryView) throws(StorageError) -> Result
    ) throws(StorageError) -> Result { try inner.readHistory(body) }

    func probe() throws(StorageError) { try pass(0) }

    func statistics() throws(StorageError) -> StoreStatistics { try inner.statistics() }
}

/// Results that come from another thread.
private final class Results: Sendable {
    private let results = Mutex<[StorageError?]>([])

    var all: [StorageError?] { results.withLock { $0 } }

    @Sendable func add(_ result: Result<Void, StorageError>) {
        results.withLock { results in
            switch result {
            case .success: results.append(nil)
            case .failure(let error): results.append(error)
            }
        }
    }
}

@Suite("The store's thread: group commit")
struct StoreThreadTests {
    @Test(arguments: Conformer.allCases)
    func commitsAppendedMessages(conformer: Conformer) throws {
        let made = try conformer.make()
        let settled = Settled()
        let thread = StoreThread(store: made.store, maximumQueuedBytes: 1 << 20, onSettled: settled.add)
        try thread.start()
        for seq in 1...200 as ClosedRange<UInt64> {
            #expect(thread.append([try retained("a/\(seq)", "x", seq: seq)]))
        }
        thread.stop()
        #expect(settled.committed == Array(1...200))
        #expect(settled.failed.isEmpty)
        #expect(settled.upTo == 200)
        #expect(try made.store.statistics().values == 200)
        let statistics = thread.statistics
        #expect(statistics.messagesCommitted == 200)
        #expect(statistics.queueDepth == 0)
        #expect(statistics.queuedBytes == 0)
        #expect((1...200).contains(statistics.commits))
    }

    @Test func gathersMessagesDuringACommit() throws {
        let store = GatedStore(isGated: true)
        let settled = Settled()
        let results = Results()
        let thread = StoreThread(store: store, maximumQueuedBytes: 1 << 20, onSettled: settled.add)
        try thread.start()
        #expect(thread.append([try retained("first", "x", seq: 1)]))
        store.entered.wait()
        for seq in 2...1000 as ClosedRange<UInt64> { #expect(thread.append([try retained("a/\(seq)", "x", seq: seq)])) }
        thread.reserve(seqsUpTo: 5000, then: results.add)
        thread.reserve(seqsUpTo: 6000, then: results.add)
        #expect(thread.statistics.queueDepth == 1000)
        #expect(settled.count == 0)
        store.open()
        thread.stop()
        #expect(store.applies == [1, 999])
        #expect(settled.committed == Array(1...1000))
        #expect(results.all == [nil, nil])
        #expect(store.reservedSeq == 6000)
    }

    @Test func commitsATurnsMessagesTogether() throws {
        let store = GatedStore(isGated: false)
        let settled = Settled()
        let thread = StoreThread(store: store, maximumQueuedBytes: 1 << 20, onSettled: settled.add)
        try thread.start()
        for seq in 1...100 as ClosedRange<UInt64> {
            #expect(thread.append([try retained("a/\(seq)", "x", seq: seq)], waking: false))
        }
        thread.wakeUp()
        thread.stop()
        #expect(store.applies == [100])
        #expect(settled.committed == Array(1...100))
    }

    @Test func commitsALoneMessageAfterOtherPublishersLeft() throws {
        let store = GatedStore(isGated: true)
        let settled = Settled()
        let probed = DispatchSemaphore(value: 0)
        let thread = StoreThread(store: store, maximumQueuedBytes: 1 << 20, onSettled: settled.add)
        // A commit of two, long enough for their return to be waited for.
        #expect(thread.append([try retained("a", "x", seq: 1), try retained("b", "x", seq: 2)]))
        try thread.start()
        store.entered.wait()
        _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .milliseconds(20))
        store.open()
        // One of the publishers publishes again, followed by work that does not wait.
        settled.waitForOne()
        #expect(thread.append([try retained("a", "y", seq: 3)]))
        thread.probe { _ in probed.signal() }
        probed.wait()
        #expect(settled.committed == [1, 2, 3])
        // Then one that comes alone.
        #expect(thread.append([try retained("a", "z", seq: 4)]))
        settled.waitForOne()
        settled.waitForOne()
        thread.stop()
        #expect(store.applies.filter { $0 > 0 } == [2, 1, 1])
    }

    @Test func refusesMoreThanItsLimit() throws {
        let store = GatedStore(isGated: true)
        let settled = Settled()
        let thread = StoreThread(store: store, maximumQueuedBytes: 5000, onSettled: settled.add)
        try thread.start()
        let large = String(repeating: "x", count: 4000)
        #expect(thread.append([try retained("a", large + large, seq: 1)]))
        store.entered.wait()
        #expect(!thread.append([try retained("b", "x", seq: 2)]))
        store.open()
        thread.stop()
        #expect(settled.committed == [1])

        let again = StoreThread(store: GatedStore(isGated: false), maximumQueuedBytes: 5000, onSettled: settled.add)
        #expect(again.append([try retained("a", large, seq: 1)]))
        #expect(!again.append([try retained("b", large, seq: 2)]))
        #expect(again.append([try retained("c", "x", seq: 3)]))
        #expect(again.append([StoreEntry]()))
    }

    @Test(arguments: [[0], [7], [99], [0, 1, 2], [13, 50, 51, 98], Array(0..<100)])
    func failsOnlyMessagesThatDoNotFit(bad: [Int]) throws {
        let store = GatedStore(isGated: false)
        let settled = Settled()
        let results = Results()
        let thread = StoreThread(store: store, maximumQueuedBytes: 1 << 20, onSettled: settled.add)
        let messages = try (0..<100).map { index in
            try retained(bad.contains(index) ? "bad/\(index)" : "good/\(index)", "x", seq: UInt64(index))
        }
        #expect(thread.append(messages))
        thread.reserve(seqsUpTo: 1000, then: results.add)
        try thread.start()
        thread.stop()
        #expect(settled.failed == bad.map { UInt64($0) })
        #expect(settled.errors.allSatisfy { $0 == .full })
        #expect(settled.committed == (0..<100).filter { !bad.contains($0) }.map { UInt64($0) })
        #expect(settled.upTo == 99)
        #expect(results.all == [nil])
        #expect(store.reservedSeq == 1000)
        #expect(try store.statistics().values == 100 - bad.count)
        #expect(thread.statistics.messagesFailed == bad.count)
        #expect(bad.count == 100 || store.applies.count <= 2 + bad.count * 14)
    }

    @Test func failsTheWholeBatchWhenTheStoreIsBroken() throws {
        let store = GatedStore(isGated: false)
        let broken = StorageError.system(code: 5, what: "broken")
        store.fail(with: broken)
        let settled = Settled()
        let results = Results()
        let thread = StoreThread(store: store, maximumQueuedBytes: 1 << 20, onSettled: settled.add)
        #expect(thread.append(try (0..<1000).map { try retained("a/\($0)", "x", seq: $0) }))
        thread.probe(then: results.add)
        try thread.start()
        thread.stop()
        #expect(settled.failed == Array(0..<1000))
        #expect(settled.errors.allSatisfy { $0 == broken })
        #expect(settled.committed.isEmpty)
        #expect(store.applies.count < 40)
        #expect(results.all == [broken])
    }

    @Test func recoversWhenTheStoreDoes() throws {
        let store = GatedStore(isGated: false)
        let settled = Settled()
        let thread = StoreThread(store: store, maximumQueuedBytes: 1 << 20, onSettled: settled.add)
        let probed = DispatchSemaphore(value: 0)
        try thread.start()
        store.fail(with: .full)
        #expect(thread.append([try retained("a", "x", seq: 1), try retained("b", "x", seq: 2)]))
        thread.probe { _ in probed.signal() }
        probed.wait()
        store.fail(with: nil)
        #expect(thread.append([try retained("c", "x", seq: 3)]))
        thread.stop()
        #expect(settled.failed == [1, 2])
        #expect(settled.committed == [3])
    }

    @Test func acceptsNothingAfterStopping() throws {
        let settled = Settled()
        let results = Results()
        let thread = StoreThread(store: InMemoryStore(), maximumQueuedBytes: 1000, onSettled: settled.add)
        try thread.start()
        thread.stop()
        thread.stop()
        #expect(!thread.append([try retained("a", "x")]))
        thread.reserve(seqsUpTo: 1, then: results.add)
        thread.probe(then: results.add)
        #expect(results.all.count == 2)
        #expect(!results.all.contains(nil))
        #expect(settled.count == 0)
    }

    @Test(arguments: 0..<10)
    func settlesEachMessageOnce(seed: Int) async throws {
        let store = GatedStore(isGated: false)
        let settled = Settled()
        let thread = StoreThread(store: store, maximumQueuedBytes: 1 << 30, onSettled: settled.add)
        try thread.start()
        let appended = await withTaskGroup(of: Int.self) { group in
            for task in 0..<4 {
                group.addTask {
                    var random = SeededGenerator(seed: seed * 10 + task)
                    var appended = 0
                    for _ in 0..<50 {
                        let messages = (0..<Int.random(in: 1...5, using: &random)).compactMap { index in
                            let kind = Int.random(in: 0..<10, using: &random) == 0 ? "bad" : "good"
                            return try? retained("\(kind)/\(index)", "x", seq: UInt64(task * 1000 + appended + index))
                        }
                        if thread.append(messages) { appended += messages.count }
                    }
                    return appended
                }
            }
            return await group.reduce(0, +)
        }
        thread.stop()
        #expect(settled.committed.count + settled.failed.count == appended)
        #expect(Set(settled.committed).union(settled.failed).count == appended)
        #expect(thread.statistics.queueDepth == 0)
    }
}
