import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 6455 §7: closing handshakes on connections")
struct ClosingTests {
    @Test(arguments: [
        (FrameEncoder.closeFrame(.normal, reason: "bye", maskingKey: FrameKeys.any), "1000 bye", "03e8627965"),
        (FrameEncoder.closeFrame(CloseCode(rawValue: 4321), maskingKey: FrameKeys.any), "4321 ", "10e1"),
        (FrameEncoder.frame(.close, [], maskingKey: FrameKeys.any), "1005 ", ""),
    ])
    func answersThePeersClose(frame: [UInt8], reported: String, reply: String) throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        try peer.socket.send(frame + WebSocketPeer.bytes(.text, [65]))
        let answer = try #require(try peer.readFrame())
        #expect(answer.opcode == .close && answer.payload.map { String(format: "%02x", $0) }.joined() == reply)
        #expect(try peer.readFrame() == nil, "what follows a CLOSE is not read")
        try harness.log.wait(for: "closed \(reported) clean")
        peer.socket.close()
        try harness.reactor.wait { harness.reactor.counters.connections.current <= 0 }
        #expect(harness.log.all == ["closed \(reported) clean"])
        #expect(harness.reactor.counters.connections.current == 0 && harness.reactor.counters.webSockets.current == 0)
    }

    @Test func sendsAClose() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        try harness.on { socket in
            socket.send(.text, [65])
            socket.close(.goingAway, reason: "later")
            socket.send(.text, [66])
            socket.close(.normal, reason: "again")
        }
        #expect(try harness.on { $0.readyState } == .closing)
        #expect(try peer.readFrame() == .init(.text, [65]))
        #expect(try peer.readFrame() == .close(.goingAway, "later"))
        try peer.send(.text, [67])
        try peer.send(.ping)
        try peer.sendClose(.normal, "fine")
        #expect(try peer.readFrame() == nil, "nothing follows a CLOSE")
        try harness.log.wait(for: "closed 1000 fine clean")
        #expect(harness.log.all.count == 1 && harness.reactor.counters.messagesReceived.current == 0)
    }

    @Test func handlesSimultaneousCloses() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open { session in
            session.onMessage = { session, _, _ in session.socket.close(.normal, reason: "ours") }
        }
        try peer.socket.send(
            WebSocketPeer.bytes(.text, [65])
                + FrameEncoder.closeFrame(.goingAway, reason: "theirs", maskingKey: FrameKeys.any))
        #expect(try peer.readToEnd() == [.close(.normal, "ours")])
        try harness.log.wait(for: "closed 1001 theirs clean")
    }

    @Test func resetsAPeerThatDoesNotAnswerAClose() throws {
        let harness = try WebSocketHarness { $0.closeTimeout = 200_000_000 }
        let peer = try harness.open()
        try harness.on { $0.close() }
        #expect(try peer.readToEnd() == [.close(.normal)])
        try harness.log.wait(for: "closed 1006  unclean")
        try harness.reactor.turns()
        #expect(harness.log.all.count == 1 && harness.reactor.counters.connections.current == 0)
    }

    @Test func reportsALostConnectionOnce() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        peer.socket.close()
        try harness.log.wait(for: "closed 1006  unclean")
        try harness.reactor.turns()
        #expect(harness.log.all.count == 1 && harness.reactor.counters.webSockets.current == 0)
    }

    @Test(
        arguments: [
            ([0x81, 0x01, 0x41], 1002), ([0xC1, 0x80, 0, 0, 0, 0], 1002), ([0x83, 0x80, 0, 0, 0, 0], 1002),
            ([0x81, 0x81, 0, 0, 0, 0, 0xFF], 1007), ([0x88, 0x81, 0, 0, 0, 0, 3], 1002),
            ([0x88, 0x82, 0, 0, 0, 0, 3, 0xED], 1002), ([0x80, 0x80, 0, 0, 0, 0], 1002),
        ] as [([UInt8], Int)], [true, false])
    func failsTheConnectionOnAViolation(violation: ([UInt8], Int), isHalfClosed: Bool) throws {
        let (bytes, code) = violation
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        try peer.socket.send(WebSocketPeer.bytes(.text, [65]) + bytes)
        if isHalfClosed { peer.socket.shutDownSending() }
        #expect(try peer.readFrame() == .init(.text, [65]), "earlier messages are answered")
        let frame = try #require(try peer.readFrame())
        #expect(frame.opcode == .close && frame.payload.prefix(2) == [UInt8(code >> 8), UInt8(code & 0xFF)])
        #expect(try peer.readFrame() == nil)
        let reason = String(decoding: frame.payload.dropFirst(2), as: UTF8.self)
        try harness.log.wait(for: "closed \(code) \(reason) unclean")
        #expect(harness.log.all.count == 1)
    }

    @Test func terminatesAtOnce() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        try harness.on { socket in
            socket.terminate()
            socket.send(.text, [65])
            socket.close()
            socket.terminate()
        }
        #expect(try peer.readToEnd() == [])
        #expect(harness.log.all == ["closed 1006  unclean"])
    }
}
