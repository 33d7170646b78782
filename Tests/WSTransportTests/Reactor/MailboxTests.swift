import Foundation
import Synchronization
import Testing

@testable import WSTransport

@Suite("Mailboxes between threads")
struct MailboxTests {
    final class Tally: Sendable {
        let count = Atomic<Int>(0)
        func add() { count.add(1, ordering: .relaxed) }
        var current: Int { count.load(ordering: .relaxed) }
    }

    @Test func wakesOnlyWhenItWasEmpty() {
        let wakeups = Tally()
        let mailbox = Mailbox<Int>(wakeup: { wakeups.add() })
        #expect(mailbox.drain() == [])
        for letter in 0..<5 { mailbox.post(letter) }
        #expect(wakeups.current == 1)
        #expect(mailbox.drain() == [0, 1, 2, 3, 4])
        #expect(mailbox.drain() == [])
        mailbox.post(9, waking: false)
        #expect(wakeups.current == 1)
        #expect(mailbox.drain() == [9])
        mailbox.post(10)
        #expect(wakeups.current == 2)
    }

    @Test func leavesTheWakingToACallerThatAsks() {
        let wakeups = Tally()
        let mailbox = Mailbox<Int>(wakeup: { wakeups.add() })
        #expect(mailbox.put(0) == (isTaken: true, mustWake: true))
        #expect(mailbox.put(1) == (isTaken: true, mustWake: false))
        #expect(wakeups.current == 0)
        #expect(mailbox.close() == [0, 1])
        #expect(mailbox.put(2) == (isTaken: false, mustWake: false))
    }

    @Test func letsWhatIsNotUrgentWaitWithoutLosingAWakeup() {
        let wakeups = Tally()
        let mailbox = Mailbox<Int>(wakeup: { wakeups.add() })
        mailbox.post(0, isUrgent: false)
        #expect(wakeups.current == 1 && mailbox.drain() == [0])
        mailbox.isPatient = true
        mailbox.post(1, isUrgent: false)
        #expect(wakeups.current == 1 && mailbox.hasElements)
        // It is not empty any more, and nobody has been woken.
        mailbox.post(2)
        #expect(wakeups.current == 2)
        mailbox.post(3)
        #expect(wakeups.current == 2 && mailbox.drain() == [1, 2, 3])
        mailbox.post(4, isUrgent: false)
        mailbox.isPatient = false
        mailbox.post(5, isUrgent: false)
        #expect(wakeups.current == 3 && mailbox.drain() == [4, 5])
        // The reactor itself will look: no other needs to wake it.
        mailbox.post(6, waking: false)
        mailbox.post(7)
        #expect(wakeups.current == 3 && mailbox.drain() == [6, 7])
    }

    @Test func drainsIntoAnArray() {
        let wakeups = Tally()
        let mailbox = Mailbox<Int>(wakeup: { wakeups.add() })
        var letters: [Int] = []
        mailbox.drain(into: &letters)
        #expect(letters == [])
        for letter in 0..<3 { mailbox.post(letter) }
        mailbox.drain(into: &letters)
        #expect(letters == [0, 1, 2])
        mailbox.post(3)
        #expect(wakeups.current == 2)
        mailbox.drain(into: &letters)
        #expect(letters == [0, 1, 2, 3])
        #expect(mailbox.drain() == [])
    }

    @Test func losesNothingFromManyThreads() throws {
        let reactor = try ReactorThread()
        let (producers, elements) = (6, 3000)
        let log = EventLog()
        let mailbox = try reactor.run { reactor, stage in
            let seen = Seen(producers: producers)
            stage.kept.append(seen)
            let mailbox = Mailbox<(producer: Int, number: Int)>(wakeup: { [remote = reactor.remote] in remote.wake() })
            reactor.endOfTurn.append {
                for element in mailbox.drain() {
                    seen.take(element.producer, element.number)
                    if seen.total == producers * elements { log.add(seen.isInOrder ? "all, in order" : "out of order") }
                }
                return false
            }
            return mailbox
        }
        let threads = try (0..<producers).map { producer in
            try startThread(named: "producer") {
                for number in 0..<elements { mailbox.post((producer, number)) }
            }
        }
        for thread in threads { thread.join() }
        try log.wait(for: "all, in order")
    }

    private final class Seen {
        private var next: [Int]
        private(set) var total = 0
        private(set) var isInOrder = true

        init(producers: Int) { next = Array(repeating: 0, count: producers) }

        func take(_ producer: Int, _ number: Int) {
            if next[producer] != number { isInOrder = false }
            next[producer] += 1
            total += 1
        }
    }
}
