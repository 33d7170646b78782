import Foundation
import Synchronization
import Testing

@testable import WSTransport

/// The rules for connections that are readable at once, however they are read.
@Suite("Many connections readable at once")
struct ReceiveRingTests {
    /// Keeps a reactor in a turn until it is released: one wait finds everything that arrives meanwhile.
    private struct Hold {
        private let release = DispatchSemaphore(value: 0)

        init(_ reactor: ReactorThread) throws {
            let begun = DispatchSemaphore(value: 0)
            reactor.remote.run { [release] _ in
                begun.signal()
                release.wait()
            }
            guard begun.wait(timeout: .now() + ReactorThread.patience) == .success else { throw ReactorThread.Stuck() }
        }

        func end() { release.signal() }
    }

    /// Connections whose first bytes the reactor has read, each with its log.
    private static func adopt(_ count: Int, by reactor: ReactorThread) throws -> [(peer: SocketPeer, log: EventLog)] {
        try (0..<count).map { _ in
            let log = EventLog()
            let peer = try reactor.adopt(log: log)
            try peer.send("first")
            try log.wait(for: "received first")
            return (peer, log)
        }
    }

    private static func onRing(_ check: @escaping @Sendable (inout ReceiveRing) throws -> Void) throws {
        // On a thread that ends with the ring.
        let failure = Mutex<(any Error)?>(nil)
        let thread = try startThread(named: "ring") {
            do {
                var ring = try ReceiveRing()
                try check(&ring)
            } catch {
                failure.withLock { $0 = error }
            }
        }
        thread.join()
        if let error = failure.withLock({ $0 }) { throw error }
    }

    @Test(arguments: SendRingTests.backends.filter { $0 == .ioUring })
    func reportsTheResultOfEachRead(backend: ReactorBackend) throws {
        try Self.onRing { ring in
            let kinds = ["bytes", "nothing", "end", "error", "more"]
            let pairs = kinds.map { _ in SocketPeer.pair() }
            defer { for pair in pairs { Socket.close(pair.other) } }
            let long = (0..<ReceiveRing.room + 100).map { UInt8(truncatingIfNeeded: $0 / 7) }
            try pairs[0].peer.send("bytes")
            pairs[2].peer.shutDownSending()
            // Closed with something unread.
            _ = Glibc.send(pairs[3].other, "x", 1, 0)
            pairs[3].peer.close()
            try pairs[4].peer.send(long)
            for round in 0..<2 {
                let none = ring.run()
                #expect(none == 0)
                for (number, pair) in pairs.enumerated() { ring.put(pair.other, tag: UInt32(number * 10)) }
                let (tried, isBroken) = (ring.run(), ring.isBroken)
                #expect(tried == pairs.count && !isBroken)
                var found: [String: [UInt8]] = [:]
                for (place, kind) in kinds.enumerated() {
                    let tag = ring.tag(at: place)
                    #expect(tag == UInt32(place * 10))
                    do throws(Errno) {
                        found[kind] = Array(try ring.bytes(at: place))
                    } catch {
                        let expected = kind == "error" && round == 0 ? [ECONNRESET] : [EAGAIN]
                        #expect(kind != "end" && expected.contains(error.rawValue), "\(kind): \(error)")
                    }
                }
                #expect(found["end"] == [] && found["nothing"] == nil)
                // An error is reported once; then the connection has ended.
                #expect(found["error"] == (round == 0 ? nil : []))
                #expect(found["bytes"] == (round == 0 ? Array("bytes".utf8) : nil))
                #expect(found["more"] == (round == 0 ? Array(long.prefix(ReceiveRing.room)) : Array(long.suffix(100))))
            }
        }
    }

    @Test(arguments: SendRingTests.backends.filter { $0 == .ioUring })
    func readsUpToItsCapacity(backend: ReactorBackend) throws {
        try Self.onRing { ring in
            let pairs = (0..<ReceiveRing.capacity).map { _ in SocketPeer.pair() }
            defer { for pair in pairs { Socket.close(pair.other) } }
            for round in 0..<5 {
                for (number, pair) in pairs.enumerated() {
                    try pair.peer.send("\(round) \(number)")
                    let isFull = ring.isFull
                    #expect(!isFull)
                    ring.put(pair.other, tag: UInt32(number))
                }
                let (isFull, tried, isStillFull) = (ring.isFull, ring.run(), ring.isFull)
                #expect(isFull && tried == pairs.count && !isStillFull)
                for place in pairs.indices {
                    let text = String(decoding: try ring.bytes(at: place), as: UTF8.self)
                    let tag = ring.tag(at: place)
                    #expect(text == "\(round) \(tag)")
                }
            }
        }
    }

    /// Sizes near a ring's buffer, and many times that; some are silent for a while, some end.
    @Test(arguments: SendRingTests.backends)
    func deliversTheBytesOfEachConnection(backend: ReactorBackend) throws {
        let reactor = try ReactorThread(backend: backend)
        let count = 100
        let streams = Mutex([[UInt8]](repeating: [], count: count))
        let logs = (0..<count).map { _ in EventLog() }
        let peers = try logs.enumerated().map { number, log in
            try reactor.adopt(log: log) { driver in
                driver.onReceived = { _, bytes in
                    streams.withLock { $0[number] += bytes }
                    return bytes.count
                }
            }
        }
        var random = SplitMix(schedule: 23)
        var expected = [[UInt8]](repeating: [], count: count)
        let sizes = [1, 64, ReceiveRing.room - 9, ReceiveRing.room - 8, ReceiveRing.room - 7, 10_000]
        for round in 0..<10 {
            let hold = try Hold(reactor)
            for number in 0..<count where Int.random(in: 0..<8, using: &random) > 0 && !(round > 6 && number % 10 == 3)
            {
                let size = sizes[Int.random(in: 0..<sizes.count, using: &random)]
                let bytes = random.bytes(8) + Array(repeating: UInt8(round), count: size)
                expected[number] += bytes
                try peers[number].send(bytes)
            }
            if round == 6 { for number in stride(from: 3, to: count, by: 10) { peers[number].shutDownSending() } }
            hold.end()
            try reactor.wait { streams.withLock { $0.map(\.count) } == expected.map(\.count) }
        }
        #expect(streams.withLock { $0 } == expected)
        for number in stride(from: 3, to: count, by: 10) { try logs[number].wait(for: "end") }
        #expect(logs.count { $0.count(of: "end") > 0 } == count / 10)
        let total = expected.reduce(0) { $0 + $1.count }
        #expect(reactor.counters.receivedBytes.current == total)
    }

    /// The first of them ends, pauses and finishes others whose bytes may be with the reactor already.
    @Test(arguments: SendRingTests.backends)
    func aDriverMayEndOrPauseOtherConnections(backend: ReactorBackend) throws {
        let reactor = try ReactorThread(backend: backend)
        let all = try Self.adopt(12, by: reactor)
        try reactor.run { _, stage in
            let streams = stage.drivers.map(\.stream)
            stage.drivers[0].onReceived = { _, bytes in
                streams[1].reset()
                streams[2].pauseReading()
                streams[3].finish()
                // Paused, and its end comes with its bytes.
                streams[4].pauseReading()
                // Paused and resumed in one turn.
                streams[5].pauseReading()
                streams[5].resumeReading()
                return bytes.count
            }
        }
        let hold = try Hold(reactor)
        for (number, each) in all.enumerated() { try each.peer.send("now \(number)") }
        all[4].peer.shutDownSending()
        hold.end()
        for number in [0, 5, 6, 11] { try all[number].log.wait(for: "received now \(number)") }
        try all[1].log.wait(for: "closed")
        #expect(all[1].log.all == ["received first", "closed"])
        #expect(try all[3].peer.readToEnd() == [])
        try all[2].peer.send(", later")
        try reactor.turns()
        for number in 2...4 { #expect(all[number].log.all.first == "received first" && all[number].log.all.count == 1) }
        try reactor.run { _, stage in for number in [2, 4] { stage.drivers[number].stream.resumeReading() } }
        try all[4].log.wait(for: "end")
        #expect(all[4].log.all == ["received first", "received now 4", "end"])
        try all[2].peer.send("!")
        try reactor.wait { all[2].log.all.joined().hasSuffix("!") }
        let texts = all[2].log.all.map { $0.replacing("received ", with: "") }
        #expect(texts.joined() == "firstnow 2, later!")
    }

    /// Input that a driver leaves because it is incomplete comes before the following input.
    @Test(arguments: SendRingTests.backends)
    func joinsUnconsumedInputWithTheNext(backend: ReactorBackend) throws {
        let reactor = try ReactorThread(backend: backend)
        let all = try Self.adopt(70, by: reactor)
        try reactor.run { _, stage in
            for driver in stage.drivers { driver.onReceived = { $1.count / 4 * 4 } }
        }
        for part in ["ab", "cdef", "ghi", "j"] {
            let hold = try Hold(reactor)
            for each in all { try each.peer.send(part) }
            hold.end()
            try reactor.turns()
        }
        try all[69].peer.send("kl")
        try all[69].log.wait(for: "received ijkl")
        for each in all.dropLast() {
            #expect(each.log.all.filter { $0 != "received " } == ["received first", "received abcd", "received efgh"])
        }
    }

    /// Only the thread that used a ring first may use it: another one continues without it, and nothing is lost.
    @Test(arguments: SendRingTests.backends.filter { $0 == .ioUring })
    func continuesWithoutARing(backend: ReactorBackend) throws {
        let reactor = try Reactor(index: 0, counters: ReactorCounters(), remote: try Remote(), backend: backend)
        reactor.ringMinimum = 1
        let (peer, other) = SocketPeer.pair()
        let log = EventLog()
        let stream = reactor.adopt(FileDescriptor(adopting: other), peer: nil)
        stream.driver = TestDriver(stream, log)
        nonisolated(unsafe) let owned = (reactor, stream)
        let rings = EventLog()
        let limit = MonotonicTime.now.advanced(byNanoseconds: 60_000_000_000)
        // No turn waits for longer than that.
        reactor.run(afterNanoseconds: 60_000_000_000) {}
        for texts in [["a", "b", "c"], ["d", "e"]] {
            let thread = try startThread(named: "turns") {
                for text in texts {
                    try? peer.send(text)
                    // A refused socket is found ready again by the next turn.
                    while !log.all.contains("received " + text), MonotonicTime.now < limit { owned.0.turn() }
                    rings.add(owned.0.receiveRing == nil ? "none" : "one")
                }
            }
            thread.join()
        }
        #expect(log.all == ["a", "b", "c", "d", "e"].map { "received " + $0 })
        let isModern = try SendRing.availability.get()
        let later = isModern ? "none" : "one"
        #expect(rings.all == ["one", "one", "one", later, later])
    }
}
