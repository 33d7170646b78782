import Foundation
import Synchronization
import Testing

@testable import Broker

@Suite("LMDB store: opening the file again")
struct ReopeningTests {
    @Test func readersAndViewsGoOn() throws {
        let directory = TestDirectory()
        let store = try directory.open()
        try store.apply((0..<100).map { try retained("t/\($0)", "old") }, reserving: 7)
        let view = try store.view()
        var seen: [String] = []
        let end = try view.scan(filter("t/#"), after: nil, visiting: 10, now: 0) { message in
            seen.append(message.topic.name)
            return true
        }
        guard case .stopped(let position) = end else {
            Issue.record("a scan of 10 keys of 100 does not end")
            return
        }
        try store.reopen()
        #expect(store.reopeningCount == 1)
        // The view has lost its transaction, and goes on where it was.
        _ = try view.scan(filter("t/#"), after: position, visiting: .max, now: 0) { message in
            seen.append(message.topic.name)
            return true
        }
        #expect(seen.count == 100 && Set(seen).count == 100)
        #expect(try value(store, "t/5") == "old")
        try store.apply([retained("t/5", "new")], reserving: 9)
        #expect(try value(store, "t/5") == "new")
        #expect(store.reservedSeq == 9)
        #expect(try store.statistics().values == 100)
    }

    @Test func waitsForAReaderOnAnotherThread() throws {
        let directory = TestDirectory()
        let store = try directory.open()
        try store.apply((0..<500).map { try retained("t/\($0)", "x") }, reserving: nil)
        let stop = Flag()
        let done = DispatchSemaphore(value: 0)
        let failures = Counter()
        // One that never rests; several of them would leave the store no moment in which nobody reads.
        Thread.detachNewThread {
            while !stop.isSet {
                if (try? matches(store, "t/+").count) != 500 { failures.add() }
                // A view that is let go of in the middle.
                if let view = try? store.view() {
                    let end = try? view.scan(filter("t/#"), after: nil, visiting: .max, now: 0) { _ in true }
                    if end == nil { failures.add() }
                }
            }
            done.signal()
        }
        for _ in 0..<20 {
            // Readers that get no processor hold on longer than the store waits for them; then it is asked again.
            var attempts = 0
            while (try? store.reopen()) == nil {
                attempts += 1
                try #require(attempts < 100)
            }
        }
        stop.set()
        done.wait()
        #expect(failures.count == 0)
        #expect(store.reopeningCount == 20)
    }
}

private final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    var count: Int { value.load(ordering: .relaxed) }
    func add() { value.add(1, ordering: .relaxed) }
}

private final class Flag: Sendable {
    private let counter = Counter()
    var isSet: Bool { counter.count > 0 }
    func set() { counter.add() }
}
