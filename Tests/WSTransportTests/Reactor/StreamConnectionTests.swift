import Foundation
import Synchronization
import Testing

@testable import WSTransport

@Suite("Reading and writing of a connection")
struct StreamConnectionTests {
    @Test func sendsTheBytesOfATurnTogether() throws {
        let reactor = try ReactorThread()
        let peer = try reactor.adopt()
        let before = reactor.counters.sends.current
        try reactor.run { _, stage in
            for number in 0..<100 { stage.drivers[0].stream.send(Array("\(number),".utf8)) }
            stage.drivers[0].stream.send([])
        }
        let expected = (0..<100).map { "\($0)," }.joined()
        #expect(String(decoding: try peer.readSome(), as: UTF8.self) == expected)
        try reactor.turns()
        #expect(reactor.counters.sends.current - before == 1)
    }

    @Test func keepsTheOrderAcrossLanes() throws {
        let reactor = try ReactorThread()
        let peer = try reactor.adopt()
        let before = reactor.counters.sends.current
        try reactor.run { reactor, stage in
            let lanes = [0, reactor.makeLane(), reactor.makeLane()]
            for number in 0..<30 {
                let bytes = Array("\(number),".utf8)
                let segment = bytes.withUnsafeBytes { reactor.encode(lane: lanes[number % 3], $0) }
                reactor.send(segment, to: stage.drivers[0].stream.slot)
            }
        }
        let expected = (0..<30).map { "\($0)," }.joined()
        #expect(try peer.readText(expected.utf8.count) == expected)
        try reactor.turns()
        #expect(reactor.counters.sends.current - before == 1)
    }

    @Test func keepsUnsentBytesOfASlowReader() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log, sendBytes: 8192)
        var expected: [UInt8] = []
        var random = SplitMix(schedule: 4)
        for _ in 0..<40 {
            let bytes = random.bytes(20_000)
            expected += bytes
            try reactor.run { _, stage in stage.drivers[0].stream.send(bytes) }
        }
        try log.wait(for: "behind")
        let unsent = try reactor.run { _, stage in
            let stream = stage.drivers[0].stream
            return (bytes: stream.unsentBytes, age: stream.unsentAge)
        }
        #expect(unsent.bytes > 700_000 && unsent.bytes < 800_000 && unsent.age > 0)
        #expect(log.all == ["behind"])
        #expect(try peer.read(expected.count) == expected)
        try log.wait(for: "drained")
        try reactor.run { _, stage in stage.drivers[0].stream.send([1]) }
        #expect(try peer.read(1) == [1])
        #expect(try reactor.run { _, stage in stage.drivers[0].stream.unsentBytes } == 0)
        #expect(log.all == ["behind", "drained"])
    }

    @Test func reportsAnOverflow() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log, sendBytes: 8192) { $0.stream.maximumUnsent = 100_000 }
        // One within the limit, and another large one while that waits.
        for number: UInt8 in [1, 2] {
            try reactor.run { _, stage in stage.drivers[0].stream.send([UInt8](repeating: number, count: 90_000)) }
            try log.wait(for: "behind")
            try reactor.turns()
            #expect(log.count(of: "overflowed") == 0)
        }
        try reactor.run { _, stage in stage.drivers[0].stream.send([3]) }
        try log.wait(for: "overflowed")
        #expect(try peer.read(180_001).last == 3)
    }

    @Test func redeliversUnconsumedInputWithTheNext() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log) { driver in
            // Consumes only whole words of four bytes.
            driver.onReceived = { $1.count / 4 * 4 }
        }
        try peer.send("abcdef")
        try log.wait(for: "received abcd")
        try peer.send("g")
        try log.wait(for: "received ", times: 2)
        try peer.send("hij")
        try log.wait(for: "received efgh")
        #expect(log.all.filter { $0 != "received " } == ["received abcd", "received efgh"])
    }

    @Test func pausingStopsReading() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log) { driver in
            driver.onReceived = { driver, bytes in
                driver.stream.pauseReading()
                return 2
            }
        }
        try peer.send("abcdef")
        try log.wait(for: "received ab")
        try peer.send("gh")
        try reactor.turns()
        #expect(log.all == ["received ab"])
        #expect(try reactor.run { _, stage in stage.drivers[0].stream.isReadingPaused })
        for word in ["cd", "ef"] {
            try reactor.run { _, stage in stage.drivers[0].stream.resumeReading() }
            try log.wait(for: "received " + word)
        }
        try reactor.run { _, stage in stage.drivers[0].stream.resumeReading() }
        try log.wait(for: "received gh")
        #expect(log.all == ["received ab", "received cd", "received ef", "received gh"])
    }

    /// Two connections are readable at once, and the driver of the first pauses the second, whose bytes still wait.
    @Test func continuesSendingWhilePaused() throws {
        let reactor = try ReactorThread()
        let (first, second) = (EventLog(), EventLog())
        let (trigger, peer) = (try reactor.adopt(log: first), try reactor.adopt(log: second, sendBytes: 8192))
        let expected = [UInt8](repeating: 7, count: 300_000)
        let readable = DispatchSemaphore(value: 0)
        try reactor.run { _, stage in
            let other = stage.drivers[1].stream
            stage.drivers[0].onReceived = { _, bytes in
                other.pauseReading()
                return bytes.count
            }
            other.send(expected)
        }
        try second.wait(for: "behind")
        reactor.remote.run { _ in readable.wait() }
        try trigger.send("pause")
        try peer.send("late")
        readable.signal()
        try first.wait(for: "received pause")
        #expect(try peer.read(expected.count) == expected)
        try second.wait(for: "drained")
        #expect(second.all == ["behind", "drained"])
        try reactor.run { _, stage in stage.drivers[1].stream.resumeReading() }
        try second.wait(for: "received late")
    }

    /// Like pipelined HTTP requests: each waits for the answer to the previous one.
    @Test(arguments: [ReactorBackend.epoll, .auto])
    func readsNothingWhileEarlierInputWaits(backend: ReactorBackend) throws {
        let reactor = try ReactorThread(backend: backend)
        let seen = Seen()
        let peer = try reactor.adopt { driver in
            driver.onReceived = { driver, bytes in
                let taken = min(100, bytes.count)
                seen.add(bytes.count, taken)
                driver.stream.pauseReading()
                driver.stream.reactor.runSoon { driver.stream.resumeReading() }
                return taken
            }
        }
        let count = 1_000_000
        try peer.send([UInt8](repeating: 7, count: count))
        try reactor.wait { seen.taken == count }
        #expect(seen.largest <= 64 * 1024, "no more than one reading at a time")
    }

    /// Each must end before its connection is read again, in any order.
    @Test func resumesWhenTheLastReasonToPauseEnds() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log)
        try reactor.run { _, stage in
            for reason in [ReadingPause.turn, .user, .congestion] { stage.drivers[0].stream.pauseReading(for: reason) }
        }
        try peer.send("abc")
        for reason in [ReadingPause.user, .turn, .unsent] {
            try reactor.run { _, stage in stage.drivers[0].stream.resumeReading(for: reason) }
            try reactor.turns()
            #expect(log.all == [])
        }
        try reactor.run { _, stage in stage.drivers[0].stream.resumeReading(for: .congestion) }
        try log.wait(for: "received abc")
    }

    @Test func countsReceivedBytes() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log)
        let before = try reactor.run { _, stage in stage.drivers[0].stream.lastReceived }
        try peer.send("abc")
        try log.wait(for: "received abc")
        #expect(reactor.counters.receivedBytes.current == 3)
        #expect(try reactor.run { _, stage in stage.drivers[0].stream.lastReceived } > before)
        #expect(reactor.counters.connections.current == 1)
    }

    @Test func firesADeadlineOnceUnlessCleared() throws {
        let reactor = try ReactorThread()
        let (first, second) = (EventLog(), EventLog())
        let peers = [try reactor.adopt(log: first), try reactor.adopt(log: second)]
        let before = MonotonicTime.now
        try reactor.run { reactor, stage in
            stage.drivers[0].stream.setDeadline(reactor.now.advanced(byNanoseconds: 150_000_000))
            stage.drivers[1].stream.setDeadline(reactor.now.advanced(byNanoseconds: 10_000_000))
            stage.drivers[1].stream.setDeadline(nil)
        }
        try first.wait(for: "deadline")
        #expect(MonotonicTime.now.nanoseconds(since: before) >= 150_000_000)
        #expect(second.all == [] && first.all == ["deadline"])
        withExtendedLifetime(peers) {}
    }
}

/// The largest input of a driver, and how much it has consumed in all.
private final class Seen: Sendable {
    private let counts = Mutex((largest: 0, taken: 0))

    var largest: Int { counts.withLock { $0.largest } }
    var taken: Int { counts.withLock { $0.taken } }

    func add(_ given: Int, _ taken: Int) {
        counts.withLock { $0 = (max($0.largest, given), $0.taken + taken) }
    }
}
