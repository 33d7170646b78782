import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 9112 §2, §11: rejected requests and connections")
struct HTTPRefusalTests {
    private static let smuggled = "GET /path/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

    @Test(arguments: [
        ("GET /path/x\r\n\r\n", 400), ("GET  /path/x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET path HTTP/1.1\r\nHost: h\r\n\r\n", 400), ("G@T / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\u{0}b\r\n\r\n", 400), ("\u{16}\u{3}\u{1}", 400),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET /" + String(repeating: "a", count: 20_000), 414),
        ("GET / HTTP/1.1\r\nHost: h\r\n" + (0..<400).map { "A\($0): b\r\n" }.joined() + "\r\n", 431),
    ])
    func rejectsMalformedHeads(request: String, status: Int) throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send(request + Self.smuggled)
        let answer = try peer.readAnswer()
        #expect(answer.status == status && answer.fields.only("Connection") == "close" && !answer.body.isEmpty)
        #expect(try peer.readToEnd() == "")
        #expect(harness.reactor.counters.badRequests.current == 1 && harness.reactor.counters.requests.current == 0)
    }

    /// Bytes that two readers could split into requests in two ways.
    @Test(arguments: [
        "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", "Content-Length: 3, 4\r\n\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "Content-Length: +3\r\n\r\n",
        "Content-Length: 0x3\r\n\r\n", "Content-Length: -1\r\n\r\n", "Content-Length: \r\n\r\n",
        "Content-Length: 99999999999999999999\r\n\r\n", "Transfer-Encoding: chunked, gzip\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: identity\r\n\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n\r\n", "Transfer-Encoding : chunked\r\n\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n\r\n", "X: y\rContent-Length: 3\r\n\r\n", "X: y\n\n",
    ])
    func rejectsRequestSmuggling(fields: String) throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send("POST /echo HTTP/1.1\r\nHost: h\r\n" + fields + "0\r\n\r\n" + Self.smuggled)
        #expect(try peer.readAnswer().status == 400)
        #expect(try peer.readToEnd() == "", "nothing after it is parsed as a request")
        #expect(harness.reactor.counters.requests.current == 0)
    }

    @Test func rejectsAMalformedRequestAfterAValidOne() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send("GET /path/x HTTP/1.1\r\nHost: h\r\n\r\nnonsense\r\n\r\n")
        #expect(try peer.readAnswer().body == "GET x ")
        #expect(try peer.readAnswer().status == 400)
        #expect(try peer.readToEnd() == "")
    }

    @Test func answersRefusedConnections() throws {
        let harness = try HTTPHarness()
        let refusal = HTTPRefusal(status: 503, message: "Full.", fields: [:])
        let peer = try harness.connect(refusal: refusal)
        try peer.send("GET /path/x HTTP/1.1\r\nHost: h\r\n\r\n" + Self.smuggled)
        let answer = try peer.readAnswer()
        #expect(answer.status == 503 && answer.body == "Full.\n" && answer.fields.only("Connection") == "close")
        #expect(try peer.readToEnd() == "")
    }

    @Test func asksForAdmissionAndReportsTheEndOfEachConnection() throws {
        let log = EventLog()
        let reactor = try ReactorThread()
        let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
        let raw = try Socket.listening(on: any, sharesPort: false).release()
        let address = try #require(Socket.localAddress(raw))
        try reactor.run { reactor, stage in
            var admitted = 0
            let server = try? HTTPListener(
                on: reactor, listening: FileDescriptor(adopting: raw), handler: Routing(),
                settings: {
                    var settings = HTTPSettings()
                    settings.entrance.admit = { peer in
                        admitted += 1
                        log.add("asked for " + (peer?.host ?? "nobody"))
                        return admitted > 1 ? HTTPRefusal(status: 429, message: "One is enough.") : nil
                    }
                    settings.entrance.ending = { peer in { log.add("gone " + (peer?.host ?? "nobody")) } }
                    return settings
                })
            if let server { stage.kept.append(server) }
        }
        let first = HTTPPeer(try SocketPeer(to: address))
        try log.wait(for: "asked for 127.0.0.1")
        let second = HTTPPeer(try SocketPeer(to: address))
        try second.send(Self.smuggled)
        #expect(try second.readAnswer().status == 429)
        #expect(reactor.counters.refusedOpen.current == 1)
        #expect(try second.readToEnd() == "")
        second.socket.close()
        try reactor.wait { reactor.counters.connections.current <= 1 }
        #expect(reactor.counters.refusedOpen.current == 0 && log.count(of: "gone 127.0.0.1") == 0)
        try first.send(Self.smuggled)
        #expect(try first.readAnswer().status == 404)
        first.socket.close()
        try log.wait(for: "gone 127.0.0.1")
        try reactor.run { _, stage in (stage.kept.first as? HTTPListener)?.stop() }
        #expect(throws: SocketPeer.Failed(code: ECONNREFUSED)) { try SocketPeer(to: address) }
    }

    /// Whatever is allocated while a connection is admitted, its settings are released with it.
    @Test func releasesTheSettingsOfAConnection() throws {
        let log = EventLog()
        let reactor = try ReactorThread()
        let any = try #require(SocketAddress(host: "127.0.0.1", port: 0))
        let raw = try Socket.listening(on: any, sharesPort: false).release()
        let address = try #require(Socket.localAddress(raw))
        try reactor.run { reactor, stage in
            let server = try? HTTPListener(
                on: reactor, listening: FileDescriptor(adopting: raw), handler: Routing(),
                settings: {
                    var settings = HTTPSettings()
                    let note = LastNote(log)
                    settings.entrance.admit = { _ in
                        // Overwrites memory that has just been freed.
                        let blocks = (1...128).map { [UInt8](repeating: 0xA5, count: $0 * 8) }
                        return withExtendedLifetime((note, blocks)) { nil }
                    }
                    return settings
                })
            if let server { stage.kept.append(server) }
        }
        let peer = HTTPPeer(try SocketPeer(to: address))
        try peer.send(Self.smuggled)
        #expect(try peer.readAnswer().status == 404)
        peer.socket.close()
        try log.wait(for: "released")
    }

    private final class LastNote {
        private let log: EventLog
        init(_ log: EventLog) { self.log = log }
        deinit { log.add("released") }
    }
}
