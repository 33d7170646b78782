import Foundation
import Synchronization
import Testing
import WSTransport

@Suite("A pool of threads", .timeLimit(.minutes(10)))
struct WorkerPoolTests {
    /// Holds the threads that arrive until it is opened.
    private final class Gate: Sendable {
        private let condition = NSCondition()
        nonisolated(unsafe) private var isOpen = false

        func pass() {
            condition.lock()
            defer { condition.unlock() }
            while !isOpen { condition.wait() }
        }

        func open() {
            condition.lock()
            isOpen = true
            condition.broadcast()
            condition.unlock()
        }
    }

    @Test func runsInOrderOnOneThread() throws {
        let pool = WorkerPool(name: "pool-order", maximumThreads: 1, maximumWaiting: 5000)
        let log = EventLog()
        for number in 0..<3000 { #expect(pool.run { log.add(String(number)) }) }
        try log.wait(for: "2999")
        #expect(log.all == (0..<3000).map(String.init))
    }

    @Test func runsOnSeveralThreadsAtOnce() throws {
        let pool = WorkerPool(name: "pool-many", maximumThreads: 3, maximumWaiting: 100)
        let (log, gate) = (EventLog(), Gate())
        for _ in 0..<5 {
            #expect(
                pool.run {
                    log.add("begun")
                    gate.pass()
                    log.add("done")
                })
        }
        try log.wait(for: "begun", times: 3)
        #expect(pool.waiting == 2)
        #expect(log.count(of: "begun") == 3)
        gate.open()
        try log.wait(for: "done", times: 5)
        // Idle threads take new work.
        for _ in 0..<50 { #expect(pool.run { log.add("late") }) }
        try log.wait(for: "late", times: 50)
    }

    /// An idle thread must not retain the objects of its work.
    @Test func releasesFinishedWork() throws {
        final class Load: Sendable {
            let log: EventLog
            init(_ log: EventLog) { self.log = log }
            deinit { log.add("gone") }
        }
        let pool = WorkerPool(name: "pool-gone", maximumThreads: 1, maximumWaiting: 10)
        let log = EventLog()
        // Nothing of the work is left here when this returns.
        func begin() -> Bool { pool.run { [load = Load(log)] in load.log.add("worked") } }
        for times in 1...3 {
            #expect(begin())
            try log.wait(for: "gone", times: times)
        }
    }

    @Test func limitsWaitingWork() throws {
        let pool = WorkerPool(name: "pool-full", maximumThreads: 1, maximumWaiting: 2)
        let (log, gate) = (EventLog(), Gate())
        let work: WorkerPool.Work = {
            log.add("begun")
            gate.pass()
        }
        #expect(pool.run(work))
        try log.wait(for: "begun")
        #expect(pool.run(work))
        #expect(pool.run(work))
        #expect(!pool.run(work) && pool.refused == 1)
        #expect(pool.waiting == 2)
        gate.open()
        try log.wait(for: "begun", times: 3)
        #expect(pool.run(work))
        try log.wait(for: "begun", times: 4)
    }
}
