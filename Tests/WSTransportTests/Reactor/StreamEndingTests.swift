import Foundation
import Testing

@testable import WSTransport

@Suite("Closing of a connection")
struct StreamEndingTests {
    @Test func closesAfterSendingEverything() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log, sendBytes: 8192)
        try reactor.run { _, stage in
            let stream = stage.drivers[0].stream
            for number in 0..<30 { stream.send([UInt8](repeating: UInt8(number), count: 20_000)) }
            stream.finish(patience: 60_000_000_000)
            stream.send([99])
        }
        #expect(log.count(of: "closed") == 0)
        let received = try peer.readToEnd()
        #expect(received.count == 600_000 && received.last == 29)
        // It waits for the peer's own end, and accepts nothing more.
        try peer.send("late")
        try reactor.turns()
        #expect(log.count(of: "closed") == 0)
        peer.close()
        try log.wait(for: "closed")
        // The figure is updated at the end of that turn.
        try reactor.turns()
        #expect(log.count(of: "closed") == 1 && log.all.last == "closed")
        #expect(log.all.allSatisfy { !$0.hasPrefix("received") } && reactor.counters.connections.current == 0)
    }

    @Test func timesOutAPeerThatNeverCloses() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log)
        try reactor.run { _, stage in
            stage.drivers[0].stream.send([1])
            stage.drivers[0].stream.finish(patience: 1_000_000)
        }
        #expect(try peer.readToEnd() == [1])
        try log.wait(for: "closed")
    }

    @Test func closesAtOnceIfThePeerHasClosed() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log) { $0.onEnd = { $0.stream.finish(patience: 60_000_000_000) } }
        try peer.send("a")
        peer.shutDownSending()
        try log.wait(for: "closed")
        #expect(log.all == ["received a", "end", "closed"])
        #expect(try peer.readToEnd() == [])
    }

    @Test func aResetDiscardsUnsentBytes() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log, sendBytes: 8192)
        try reactor.run { _, stage in
            stage.drivers[0].stream.send([UInt8](repeating: 1, count: 500_000))
        }
        try log.wait(for: "behind")
        try reactor.run { _, stage in
            stage.drivers[0].stream.reset()
            stage.drivers[0].stream.send([2])
            stage.drivers[0].stream.reset()
        }
        try log.wait(for: "closed")
        let received = try peer.readToEnd()
        #expect(received.count < 500_000 && received.allSatisfy { $0 == 1 })
        #expect(log.all == ["behind", "closed"])
    }

    @Test func closesWhenThePeerDisconnects() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log)
        peer.close()
        try log.wait(for: "end")
        try reactor.run { _, stage in stage.drivers[0].stream.send([1]) }
        try log.wait(for: "closed")
        #expect(log.count(of: "closed") == 1)
    }

    /// The kernel reports a hang-up again and again; a driver that still has work to do must hear of it once.
    @Test func reportsTheEndOnce() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log)
        peer.close()
        try log.wait(for: "end")
        try reactor.turns(20)
        #expect(log.count(of: "end") == 1)
    }

    /// Input from before the end is delivered before the end, although it waits.
    @Test func reportsTheEndAfterEarlierInput() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let peer = try reactor.adopt(log: log) { driver in
            driver.onReceived = { driver, _ in
                driver.stream.pauseReading()
                return 2
            }
        }
        try peer.send("abcdef")
        peer.shutDownSending()
        for word in ["ab", "cd", "ef"] {
            try log.wait(for: "received " + word)
            try reactor.run { _, stage in stage.drivers[0].stream.resumeReading() }
        }
        try log.wait(for: "end")
        #expect(log.all == ["received ab", "received cd", "received ef", "end"])
    }

    /// A driver may send to other connections while its own is being disposed of.
    @Test func aClosingDriverMaySendToOthers() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let other = try reactor.adopt()
        let gone = try reactor.adopt(log: log)
        try reactor.run { reactor, stage in
            let listener = stage.drivers[0].stream
            stage.drivers[1].onClosed = { _ in
                listener.send(Array("gone".utf8))
                reactor.runSoon { listener.send(Array("!".utf8)) }
            }
            stage.drivers[1].stream.reset()
        }
        #expect(try other.readText(5) == "gone!")
        withExtendedLifetime(gone) {}
    }

    @Test func doesNotAffectTheNextOwnerOfItsSlot() throws {
        let reactor = try ReactorThread()
        let (old, new) = (EventLog(), EventLog())
        let first = try reactor.adopt(log: old)
        try reactor.run { _, stage in stage.drivers[0].stream.reset() }
        try old.wait(for: "closed")
        let second = try reactor.adopt(log: new)
        let sameSlot = try reactor.run { reactor, stage in
            let (gone, here) = (stage.drivers[0].stream, stage.drivers[1].stream)
            here.setDeadline(reactor.now.advanced(byNanoseconds: 50_000_000))
            here.send(Array("new".utf8))
            gone.send(Array("old".utf8))
            gone.setDeadline(nil)
            gone.pauseReading()
            gone.resumeReading()
            gone.finish()
            gone.reset()
            return gone.slot == here.slot && gone.token != here.token
        }
        #expect(sameSlot)
        #expect(try second.readText(3) == "new")
        try second.send("x")
        try new.wait(for: "received x")
        try new.wait(for: "deadline")
        withExtendedLifetime(first) {}
    }

    @Test(arguments: 0..<20)
    func losesNothingWhileConnectionsComeAndGo(seed: Int) throws {
        var random = SplitMix(schedule: seed)
        let reactor = try ReactorThread()
        var open: [(peer: SocketPeer, index: Int, log: EventLog)] = []
        var count = 0
        for step in 0..<60 {
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                let log = EventLog()
                open.append((try reactor.adopt(log: log), count, log))
                count += 1
            case 2:
                guard let (peer, index, _) = open.randomElement(using: &random) else { continue }
                let text = "to \(index) at \(step)"
                try reactor.run { _, stage in stage.drivers[index].stream.send(Array(text.utf8)) }
                #expect(try peer.readText(text.utf8.count) == text)
                try peer.send(text)
                try open.first { $0.index == index }?.log.wait(for: "received " + text)
            default:
                guard !open.isEmpty else { continue }
                let (peer, index, log) = open.remove(at: .random(in: 0..<open.count, using: &random))
                if Bool.random(using: &random) {
                    try reactor.run { _, stage in stage.drivers[index].stream.reset() }
                    #expect(try peer.readToEnd() == [])
                } else {
                    try reactor.run { _, stage in stage.drivers[index].stream.finish() }
                    peer.close()
                }
                try log.wait(for: "closed")
            }
        }
        try reactor.turns(1)
        #expect(reactor.counters.connections.current == open.count)
    }
}
