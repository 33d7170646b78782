import Foundation
import Testing

@testable import WSTransport

@Suite("A reactor's turns")
struct ReactorTests {
    @Test func runsTasksInOrder() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        try reactor.run { reactor, _ in
            reactor.runSoon {
                log.add("1")
                reactor.runSoon { log.add("3") }
            }
            reactor.runSoon { log.add("2") }
        }
        try log.wait(for: "3")
        #expect(log.all == ["1", "2", "3"])
    }

    @Test func runsDelayedTasksNoEarlierThanDue() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let before = MonotonicTime.now
        try reactor.run { reactor, _ in
            reactor.run(afterNanoseconds: 120_000_000) { log.add("late") }
            reactor.run(afterNanoseconds: 0) {
                log.add("first")
                reactor.run(afterNanoseconds: 20_000_000) { log.add("second") }
            }
        }
        try log.wait(for: "late")
        #expect(MonotonicTime.now.nanoseconds(since: before) >= 120_000_000)
        #expect(log.all == ["first", "second", "late"])
    }

    @Test func runsPostedTasksInOrder() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        for number in 0..<200 { reactor.remote.run { _ in log.add("\(number)") } }
        try log.wait(for: "199")
        #expect(log.all == (0..<200).map(String.init))
    }

    @Test func repeatsEndOfTurnWorkUntilNoneIsLeft() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        try reactor.run { reactor, _ in
            var left = 5
            reactor.endOfTurn.append {
                guard left > 0 else { return false }
                left -= 1
                log.add("\(left)")
                return left > 0
            }
        }
        try log.wait(for: "0")
        #expect(log.all == ["4", "3", "2", "1", "0"])
    }

    @Test func sendsBytesAddedAtTheEndOfATurn() throws {
        let reactor = try ReactorThread()
        let peer = try reactor.adopt()
        let before = reactor.counters.sends.current
        try reactor.run { reactor, stage in
            let stream = stage.drivers[0].stream
            var isDone = false
            reactor.endOfTurn.append {
                if !isDone { stream.send(Array("b".utf8)) }
                isDone = true
                return false
            }
            stream.send(Array("a".utf8))
        }
        #expect(try peer.readText(2) == "ab")
        try reactor.turns()
        #expect(reactor.counters.sends.current - before == 1)
    }

    @Test func stopsAndResetsItsConnections() throws {
        let remote = try Remote()
        let counters = ReactorCounters()
        let log = EventLog()
        let (peer, other) = SocketPeer.pair()
        let reactor = try Reactor(index: 3, counters: counters, remote: remote)
        let stream = reactor.adopt(FileDescriptor(adopting: other), peer: nil)
        stream.driver = TestDriver(stream, log)
        stream.send(Array("last".utf8))
        nonisolated(unsafe) let owned = reactor
        let thread = try startThread(named: "reactor") { owned.run() }
        #expect(try peer.readText(4) == "last")
        remote.run { $0.stop() }
        thread.join()
        #expect(try peer.readToEnd() == [])
        #expect(log.all == ["closed"] && counters.connections.current == 0)
        // These are no longer accepted, and do no harm.
        remote.run { $0.stop() }
        remote.wake()
    }

    /// Objects that a reactor holds usually refer to it.
    @Test func releasesEverythingWhenItEnds() throws {
        final class Tenant {
            let reactor: Reactor
            let log: EventLog
            init(_ reactor: Reactor, _ log: EventLog) { (self.reactor, self.log) = (reactor, log) }
            deinit { log.add("gone") }
        }
        let log = EventLog()
        try ReactorThread().run { reactor, stage in
            let tenant = Tenant(reactor, log)
            stage.kept.append(tenant)
            reactor[Tenant.self] = tenant
            reactor.run(afterNanoseconds: .max / 2) { _ = tenant }
            reactor.endOfTurn.append {
                _ = tenant; return false
            }
        }
        try log.wait(for: "gone")
    }

    @Test func finishesOnlyIdleConnections() throws {
        let reactor = try ReactorThread()
        let log = EventLog()
        let busy = try reactor.adopt(log: log)
        let idle = SocketPeer.pair()
        try reactor.run { reactor, _ in
            let stream = reactor.adopt(FileDescriptor(adopting: idle.other), peer: nil)
            stream.driver = HTTPConnection(
                stream: stream, settings: HTTPSettings(), handler: Routing(), refusal: nil)
            reactor.finishIdleConnections()
        }
        #expect(try idle.peer.readToEnd() == [])
        try busy.send("a")
        try log.wait(for: "received a")
        #expect(log.all == ["received a"])
    }
}
