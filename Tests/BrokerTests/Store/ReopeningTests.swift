import Foundation
import Synchronization
import Testing

@testable import Broker

@Suite("LMDB store: opening the file again")
struct ReopeningTests {
    @Test func readersAndViewsContinue() throws {
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
        // The view has lost its transaction, and continues where it was.
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

    /// However many readers there are, the file is reopened; readers at that moment must retry, and do not wait.
    @Test func readersCannotDelayReopening() throws {
        let directory = TestDirectory()
        let store = try directory.open()
        try store.apply((0..<500).map { try retained("t/\($0)", "x") }, reserving: nil)
        let stop = Flag()
        let done = DispatchSemaphore(value: 0)
        let failures = Counter()
        let readers = 3
        for _ in 0..<readers {
            Thread.detachNewThread {
                while !stop.isSet {
                    do {
                        if try matches(store, "t/+").count != 500 { failures.add() }
                        // A view that is released in the middle.
                        _ = try store.view().scan(filter("t/#"), after: nil, visiting: .max, now: 0) { _ in true }
                    } catch {
                        if (error as? StorageError)?.isBusy != true { failures.add() }
                    }
                }
                done.signal()
            }
        }
        for _ in 0..<20 { try reopen(store) }
        stop.set()
        for _ in 0..<readers { done.wait() }
        #expect(failures.count == 0)
        #expect(store.reopeningCount == 20)
    }

    /// A reader that gets no processor may hold on longer than the store waits for it; then it is asked again.
    private func reopen(_ store: LMDBStore) throws {
        for _ in 0..<100 {
            do throws(StorageError) {
                return try store.reopen()
            } catch {
                try #require(error.isBusy)
            }
        }
        Issue.record("it was never opened again")
    }

    @Test func aReaderDoesNotWaitDuringReopening() throws {
        let directory = TestDirectory()
        let store = try directory.open()
        try store.apply([retained("a", "1")], reserving: nil)
        var reader: LMDBReader? = try store.readers.take()
        let done = DispatchSemaphore(value: 0)
        let failures = Counter()
        Thread.detachNewThread {
            if (try? reopen(store)) == nil { failures.add() }
            done.signal()
        }
        // The reader above is still in use, so reopening waits until it is returned.
        var refusal: StorageError?
        while refusal == nil {
            do throws(StorageError) {
                store.readers.giveBack(try store.readers.take())
            } catch {
                refusal = error
            }
        }
        #expect(refusal?.isBusy == true)
        #expect(throws: StorageError.self) { try value(store, "a") }
        if let lent = reader.take() { store.readers.giveBack(lent) }
        done.wait()
        #expect(failures.count == 0)
        #expect(try value(store, "a") == "1")
    }

    @Test func theNextWriteRetriesAFailedReopening() throws {
        let directory = TestDirectory()
        let store = try directory.open()
        try store.apply([retained("a", "1")], reserving: nil)
        #expect(throws: StorageError.damaged("x")) {
            try store.readers.reopen { () throws(StorageError) in throw .damaged("x") }
        }
        #expect(throws: LMDBReaders.closed) { try value(store, "a") }
        // Without a publication, too.
        _ = try store.maintain(now: 1000)
        #expect(try value(store, "a") == "1")
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
