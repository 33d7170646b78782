import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 6455 §4.2: opening handshakes on connections")
struct UpgradeTests {
    @Test func opensWithTheFieldsOfTheHandler() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.connect()
        try peer.send(WebSocketHarness.request + "Sec-WebSocket-Protocol: other, known\r\n\r\n")
        let head = try peer.readHead()
        #expect(head.status == 101 && head.fields.tokens("Upgrade") == ["websocket"])
        #expect(head.fields.tokens("Connection") == ["upgrade"])
        #expect(head.fields.only("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(head.fields.only("Sec-WebSocket-Protocol") == "known" && head.fields.only("X-Extra") == "1")
        #expect(try harness.on { $0.subprotocol } == "known")
        #expect(harness.reactor.counters.upgrades.current == 1 && harness.reactor.counters.webSockets.current == 1)
    }

    @Test(
        arguments: [
            ("Upgrade: websocket", "X: y", 426, ["Upgrade": "websocket", "Sec-WebSocket-Version": "13"]),
            ("Version: 13", "Version: 8", 426, ["Sec-WebSocket-Version": "13"]),
            ("GET", "POST", 405, ["Allow": "GET"]), ("Connection: Upgrade", "Connection: keep-alive", 400, [:]),
            ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400, [:]), ("Sec-WebSocket-Key", "X-Key", 400, [:]),
            ("Host: h", "Host: h\r\nOrigin: https://elsewhere", 403, ["X-Extra": "1"]),
            ("Host: h", "Host: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", 400, [:]),
            ("/ws ", "/elsewhere ", 404, [:]),
        ] as [(String, String, Int, [String: String])])
    func rejectsInvalidHandshakes(part: String, other: String, status: Int, fields: [String: String]) throws {
        let harness = try WebSocketHarness()
        let peer = try harness.connect()
        try peer.send(WebSocketHarness.request.replacingOccurrences(of: part, with: other) + "\r\n")
        let answer = try peer.readAnswer()
        #expect(answer.status == status && !answer.body.isEmpty)
        for (name, value) in fields { #expect(answer.fields.only(name) == value) }
        #expect(harness.reactor.counters.webSockets.current == 0 && harness.reactor.counters.upgrades.current == 0)
        #expect(harness.reactor.counters.refusedUpgrades.current == (status == 404 ? 0 : 1))
        // A client that asked for the upgrade may have sent frames already: nothing after a refusal is a request.
        let asksForUpgrade = part != "Upgrade: websocket"
        #expect((answer.fields.only("Connection") == "close") == asksForUpgrade)
        try peer.send(WebSocketHarness.request + "\r\n")
        if asksForUpgrade {
            #expect(try peer.readToEnd() == "")
        } else {
            #expect(try peer.readAnswer().status == 101)
        }
    }

    /// A client need not wait for the answer before it sends frames.
    @Test func readsFramesSentWithTheRequest() throws {
        let head = Array((WebSocketHarness.request + "\r\n").utf8)
        let bytes = head + WebSocketPeer.bytes(.text, Array("hello".utf8)) + WebSocketPeer.bytes(.binary, [1, 2])
        for cut in head.count - 5...bytes.count {
            let harness = try WebSocketHarness()
            let peer = try harness.connect()
            try peer.socket.send(Array(bytes[..<cut]))
            try harness.reactor.turns(1)
            try peer.socket.send(Array(bytes[cut...]))
            #expect(try peer.readHead().status == 101)
            let frames = WebSocketPeer(after: peer)
            #expect(try frames.readFrame() == .init(.text, Array("hello".utf8)), "cut at \(cut)")
            #expect(try frames.readFrame() == .init(.binary, [1, 2]))
        }
    }

    /// Everything that came before the end of the stream counts.
    @Test func readsTheFramesOfADisconnectedClient() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.connect()
        try peer.socket.send(
            Array((WebSocketHarness.request + "\r\n").utf8) + WebSocketPeer.bytes(.text, [65])
                + FrameEncoder.closeFrame(.goingAway, maskingKey: FrameKeys.any))
        peer.socket.shutDownSending()
        #expect(try peer.readHead().status == 101)
        let frames = WebSocketPeer(after: peer)
        #expect(try frames.readToEnd() == [.init(.text, [65]), .close(.goingAway)])
        try harness.log.wait(for: "closed 1001  clean")
    }

    @Test func canCloseWhileOpening() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open { $0.socket.close(.policyViolation, reason: "no") }
        #expect(try peer.readFrame() == .close(.policyViolation, "no"))
        try peer.sendClose(.policyViolation)
        #expect(try peer.readFrame() == nil)
        try harness.log.wait(for: "closed 1008  clean")
    }

    /// The opener is notified of the end, whenever that comes.
    @Test func reportsAnEndWhileOpening() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.connect { $0.socket.terminate() }
        try peer.send(WebSocketHarness.request + "\r\n")
        _ = try peer.socket.readToEnd()
        try harness.log.wait(for: "closed 1006  unclean")
    }
}
