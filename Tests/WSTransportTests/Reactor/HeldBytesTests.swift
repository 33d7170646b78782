import Foundation
import Testing

@testable import WSTransport

@Suite("The counted memory of connections")
struct HeldBytesTests {
    /// A driver reads nothing of its input, and the connection ends.
    @Test func countsInputTheDriverHasNotConsumed() throws {
        let reactor = try ReactorThread()
        let peer = try reactor.adopt { $0.onReceived = { _, _ in 0 } }
        try peer.send([UInt8](repeating: 7, count: 20_000))
        try reactor.wait { reactor.counters.heldBytes.current >= 20_000 }
        let held = try reactor.run { _, stage in stage.drivers[0].stream.heldBytes }
        #expect(held == reactor.counters.heldBytes.current)
        peer.close()
        try reactor.run { _, stage in stage.drivers[0].stream.reset() }
        try reactor.wait { reactor.counters.heldBytes.current == 0 }
    }

    /// The memory counts, not the readers: the unread bytes of a frame count once for several readers.
    @Test func countsASharedUnsentFrameOnce() throws {
        let reactor = try ReactorThread()
        let logs = (0..<5).map { _ in EventLog() }
        let peers = try logs.map { try reactor.adopt(log: $0, sendBytes: 4096) }
        try reactor.run { reactor, stage in
            let frame = [UInt8](repeating: 7, count: 1_000_000)
            let segment = frame.withUnsafeBytes { reactor.encode(lane: reactor.makeLane(), $0) }
            for driver in stage.drivers { reactor.send(segment, to: driver.stream.slot) }
        }
        for log in logs { try log.wait(for: "behind") }
        #expect((1_000_000..<1_100_000).contains(reactor.counters.heldBytes.current))
        for peer in peers[1...] { #expect(try peer.read(1_000_000).count == 1_000_000) }
        for log in logs[1...] { try log.wait(for: "drained") }
        #expect(reactor.counters.heldBytes.current >= 1_000_000)
        #expect(try peers[0].read(1_000_000).count == 1_000_000)
        try logs[0].wait(for: "drained")
        try reactor.wait { reactor.counters.heldBytes.current == 0 }
    }

    /// A reader has a small part of a large chunk unread: it is copied, and only the copy is held.
    @Test func countsTheCopyOfASmallUnsentPart() throws {
        let reactor = try ReactorThread()
        let (slow, other) = (EventLog(), EventLog())
        let peer = try reactor.adopt(log: slow, sendBytes: 4096)
        _ = try reactor.adopt(log: other)
        try reactor.run { _, stage in stage.drivers[0].stream.send([UInt8](repeating: 1, count: 100_000)) }
        try slow.wait(for: "behind")
        let before = reactor.counters.heldBytes.current
        try reactor.run { _, stage in
            stage.drivers[0].stream.send([UInt8](repeating: 2, count: 1000))
            stage.drivers[1].stream.send([UInt8](repeating: 3, count: 50_000))
        }
        try reactor.turns(2)
        #expect(reactor.counters.heldBytes.current - before == 1000)
        #expect(try peer.read(101_000).suffix(1000) == ArraySlice([UInt8](repeating: 2, count: 1000)))
        try reactor.wait { reactor.counters.heldBytes.current == 0 }
    }

    @Test func countsAnIncompleteBody() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        let head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n"
        try peer.send(head + String(repeating: "x", count: 500))
        try harness.reactor.wait { harness.reactor.counters.heldBytes.current >= 500 }
        try peer.send(String(repeating: "x", count: 400))
        #expect(try peer.readAnswer().body.count == 900)
        try harness.reactor.wait { harness.reactor.counters.heldBytes.current == 0 }
        try peer.send(head + "x")
        try harness.reactor.wait { harness.reactor.counters.heldBytes.current > 0 }
        peer.socket.close()
        try harness.reactor.wait { harness.reactor.counters.heldBytes.current == 0 }
    }

    @Test func countsAnIncompleteMessage() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        let frame = WebSocketPeer.bytes(.binary, [UInt8](repeating: 7, count: 40_000))
        try peer.socket.send(Array(frame[..<30_000]))
        try harness.reactor.wait { harness.reactor.counters.heldBytes.current >= 29_000 }
        try peer.socket.send(Array(frame[30_000...]))
        #expect(try peer.readFrame()?.payload.count == 40_000)
        try harness.reactor.wait { harness.reactor.counters.heldBytes.current == 0 }
        try peer.socket.send(Array(frame[..<30_000]))
        try harness.reactor.wait { harness.reactor.counters.heldBytes.current >= 29_000 }
        peer.socket.close()
        try harness.reactor.wait { harness.reactor.counters.heldBytes.current == 0 }
    }
}
