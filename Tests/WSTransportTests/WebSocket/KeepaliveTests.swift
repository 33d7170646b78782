import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 6455 §5.5.2: keeping a connection alive")
struct KeepaliveTests {
    private static func harness(timeout: Int64 = 60_000_000_000) throws -> WebSocketHarness {
        try WebSocketHarness { options in
            options.pingInterval = 200_000_000
            options.pingTimeout = timeout
        }
    }

    @Test func pingsAfterSilenceAndMeasuresTheRoundTrip() throws {
        let harness = try Self.harness()
        let before = MonotonicTime.now
        let peer = try harness.open()
        #expect(try harness.on { $0.roundTrip } == nil)
        for number in 1...3 {
            let ping = try #require(try peer.readFrame())
            #expect(ping.opcode == .ping)
            #expect(MonotonicTime.now.nanoseconds(since: before) >= 200_000_000 * Int64(number))
            try peer.send(.pong, ping.payload)
        }
        try harness.reactor.turns()
        #expect(try #require(try harness.on { $0.roundTrip }) > 0)
        #expect(harness.reactor.counters.pingsSent.current >= 3 && harness.reactor.counters.evicted.current == 0)
    }

    @Test func evictsAPeerThatAnswersNothing() throws {
        let harness = try Self.harness(timeout: 200_000_000)
        let before = MonotonicTime.now
        let peer = try harness.open()
        #expect(try peer.readToEnd() == [.init(.ping, [])])
        #expect(MonotonicTime.now.nanoseconds(since: before) >= 400_000_000)
        try harness.log.wait(for: "closed 1006  unclean")
        #expect(harness.reactor.counters.evicted.current == 1 && harness.reactor.counters.webSockets.current == 0)
    }

    /// An answer to each PING, but never a PONG: even a part of a frame is a sign of life.
    @Test func anyByteCountsAsASignOfLife() throws {
        let harness = try Self.harness()
        let peer = try harness.open()
        let bytes = WebSocketPeer.bytes(.text, [65])
        for byte in bytes {
            #expect(try peer.readFrame()?.opcode == .ping)
            try peer.socket.send([byte])
        }
        #expect(try peer.readFrame() == .init(.text, [65]))
        #expect(harness.reactor.counters.evicted.current == 0)
        #expect(harness.reactor.counters.pingsSent.current >= bytes.count)
    }

    @Test func doesNotPingAnActivePeer() throws {
        let harness = try WebSocketHarness { $0.pingInterval = 2_000_000_000 }
        let peer = try harness.open()
        let begin = MonotonicTime.now
        var (last, longest) = (begin, Int64(0))
        while last < begin.advanced(byNanoseconds: 2_500_000_000) {
            try peer.send(.text, [65])
            while let frame = try peer.readFrame(), frame.opcode == .ping {}
            let now = MonotonicTime.now
            longest = max(longest, now.nanoseconds(since: last))
            last = now
        }
        // If the machine suspended this thread for so long, the peer really was silent.
        #expect(harness.reactor.counters.pingsSent.current == 0 || longest >= 2_000_000_000)
    }

    /// Like a body, a message has a time limit, however often a part of it arrives; its parts are released afterwards.
    @Test(arguments: [nil, 100_000_000])
    func timesOutAnIncompleteMessage(pingInterval: Int64?) throws {
        let harness = try WebSocketHarness { options in
            options.pingInterval = pingInterval
            options.messageTimeout = 300_000_000
            options.closeTimeout = 200_000_000
        }
        let peer = try harness.open()
        let counters = harness.reactor.counters
        // Between complete messages there is no limit.
        for _ in 0..<2 { try peer.send(.text, [65]) }
        let long = WebSocketPeer.bytes(.text, [UInt8](repeating: 65, count: 1_000_000))
        try peer.socket.send(Array(long.prefix(50_000)))
        try harness.reactor.wait {
            try? peer.socket.send([65])
            return counters.messageTimeouts.current == 1
        }
        try harness.reactor.wait { counters.heldBytes.current == 0 }
        let frames = try peer.readToEnd().filter { $0.opcode != .ping }
        #expect(frames.map(\.opcode) == [.text, .text, .close])
        #expect(frames.last?.payload.prefix(2) == [0x03, 0xF0], "1008")
    }

    @Test func doesNotPingIfDisabled() throws {
        let harness = try WebSocketHarness { $0.pingInterval = nil }
        let other = try Self.harness()
        let (quiet, pinged) = (try harness.open(), try other.open())
        #expect(try pinged.readFrame()?.opcode == .ping)
        try quiet.send(.text, [65])
        #expect(try quiet.readFrame() == .init(.text, [65]))
        #expect(harness.reactor.counters.pingsSent.current == 0)
    }
}
