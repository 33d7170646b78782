import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 9112 §7.1: answers of unknown length")
struct HTTPStreamTests {
    /// A harness whose `/` begins a stream that the test continues.
    private final class Streams {
        var all: [HTTPStream] = []
    }

    private static func harness(
        log: EventLog = EventLog(), settings: @escaping @Sendable (inout HTTPSettings) -> Void = { _ in }
    ) throws -> HTTPHarness {
        let routes: @Sendable (inout Routing, Stage) -> Void = { routing, stage in
            HTTPHarness.standard(&routing, stage)
            // On the reactor's thread, as the handlers are.
            nonisolated(unsafe) let streams = Streams()
            stage.kept.append(streams)
            routing.add(["GET"], exactly: "/") { exchange in
                guard let stream = exchange.startStream(["Content-Type": "text/event-stream"]) else { return }
                stream.onClosed = { log.add("closed") }
                stream.onDrained = { log.add("drained") }
                stream.onOverflow = { log.add("overflow") }
                streams.all.append(stream)
                log.add("started")
            }
        }
        return try HTTPHarness(routes: routes, settings: settings)
    }

    private static func on(_ harness: HTTPHarness, _ body: @escaping @Sendable (HTTPStream) -> Void) throws {
        try harness.reactor.run { _, stage in
            if let stream = (stage.kept.first as? Streams)?.all.last { body(stream) }
        }
    }

    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    private static let after = "GET /path/after HTTP/1.1\r\nHost: h\r\n\r\n"

    @Test func sendsEachPieceAsAChunk() throws {
        let log = EventLog()
        let harness = try Self.harness(log: log)
        let peer = try harness.connect()
        try peer.send(Self.get)
        let head = try peer.readHead()
        #expect(head.status == 200 && head.fields.only("Transfer-Encoding") == "chunked")
        #expect(head.fields.first("Content-Length") == nil)
        let long = String(repeating: "x", count: 70_000)
        try Self.on(harness) { stream in
            stream.send(Array("one".utf8))
            stream.send([])
            stream.send(Array(long.utf8))
        }
        #expect(try peer.readChunk() == "one")
        #expect(try peer.readChunk() == long)
        try Self.on(harness) { stream in
            stream.send(Array("\r\n0\r\n\r\n".utf8))
            stream.end()
            stream.end()
            stream.send(Array("late".utf8))
        }
        #expect(try peer.readChunk() == "\r\n0\r\n\r\n")
        #expect(try peer.readChunk() == nil)
        try peer.send(Self.after)
        #expect(try peer.readAnswer().body == "GET after ")
        #expect(log.count(of: "closed") == 0)
    }

    /// A request that a client sends during a stream is answered after it.
    @Test(arguments: [true, false])
    func answersRequestsSentDuringTheStream(isTogether: Bool) throws {
        let log = EventLog()
        let harness = try Self.harness(log: log)
        let peer = try harness.connect()
        try peer.send(Self.get + (isTogether ? Self.after : ""))
        try log.wait(for: "started")
        if !isTogether {
            let before = harness.reactor.counters.receivedBytes.current
            try peer.send(Self.after)
            try harness.reactor.wait { harness.reactor.counters.receivedBytes.current != before }
        }
        try harness.reactor.turns()
        try Self.on(harness) { $0.end() }
        #expect(try peer.readAnswer().chunks == [])
        #expect(try peer.readAnswer().body == "GET after ")
    }

    @Test func tellsTheHandlerWhenThePeerDisconnects() throws {
        let log = EventLog()
        let harness = try Self.harness(log: log)
        let peer = try harness.connect()
        try peer.send(Self.get)
        try log.wait(for: "started")
        peer.socket.shutDownSending()
        try log.wait(for: "closed")
        try Self.on(harness) { $0.send([1]) }
        #expect(log.all == ["started", "closed"])
    }

    @Test func endsAStreamToADisconnectedPeer() async {
        await #expect(processExitsWith: .success) {
            let log = EventLog()
            let harness = try Self.harness(log: log)
            let peer = try harness.connect()
            try peer.send(Self.get)
            try log.wait(for: "started")
            peer.socket.close()
            try log.wait(for: "closed")
            try harness.reactor.turns()
            try Self.on(harness) { $0.end() }
        }
    }

    @Test func sendsNoBodyForHEAD() throws {
        let log = EventLog()
        let harness = try Self.harness(log: log)
        let peer = try harness.connect()
        try peer.send(Self.get.replacingOccurrences(of: "GET", with: "HEAD"))
        try log.wait(for: "started")
        try Self.on(harness) { stream in
            #expect(stream.isBodyless)
            stream.send([1])
            stream.end()
        }
        try peer.send(Self.after)
        #expect(try peer.readAnswer(isHead: true).fields.only("Transfer-Encoding") == "chunked")
        #expect(try peer.readAnswer().body == "GET after ")
    }

    /// HTTP/1.0 has no chunks: the answer ends with the connection, whatever the client requested.
    @Test(arguments: ["", "Connection: keep-alive\r\n"])
    func endsWithTheConnectionInHTTP10(fields: String) throws {
        let log = EventLog()
        let harness = try Self.harness(log: log)
        let peer = try harness.connect()
        try peer.send("GET / HTTP/1.0\r\n\(fields)\r\n")
        let head = try peer.readHead()
        #expect(head.status == 200 && head.fields.only("Connection") == "close")
        #expect(head.fields.first("Transfer-Encoding") == nil && head.fields.first("Content-Length") == nil)
        try Self.on(harness) { stream in
            #expect(!stream.isChunked)
            stream.send(Array("one".utf8))
            stream.send(Array("two".utf8))
            stream.end()
        }
        #expect(try peer.readToEnd() == "onetwo")
    }

    private static let hidden = "GET /path/hidden HTTP/1.1\r\nHost: h\r\n\r\n"

    /// An unread body is never parsed as a request, before the answer's end or after.
    @Test(arguments: ["GET", "HEAD"], [true, false])
    func closesAfterAnUnreadBody(method: String, isChunked: Bool) throws {
        let log = EventLog()
        let harness = try Self.harness(log: log)
        let peer = try harness.connect()
        let size = Self.hidden.utf8.count
        let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(2 * size)"
        let begin = isChunked ? "\(String(size, radix: 16))\r\n\(Self.hidden)\r\n0\r\n\r\n" : Self.hidden
        try peer.send("\(method) / HTTP/1.1\r\nHost: h\r\n\(framing)\r\n\r\n\(begin)")
        try log.wait(for: "started")
        try peer.send(Self.hidden)
        try Self.on(harness) { $0.end() }
        let answer = try peer.readAnswer(isHead: method == "HEAD")
        #expect(answer.status == 200 && answer.fields.only("Connection") == "close")
        #expect(try peer.readToEnd() == "")
    }

    /// A client that has closed its half gets answers with an end completely.
    @Test func finishesAFiniteAnswerToAHalfClosedClient() throws {
        let log = EventLog()
        let harness = try Self.harness(log: log)
        let peer = try harness.connect()
        try peer.send(Self.get)
        try log.wait(for: "started")
        try Self.on(harness) { $0.isFinite = true }
        peer.socket.shutDownSending()
        try harness.reactor.turns()
        try Self.on(harness) { stream in
            stream.send(Array("late".utf8))
            stream.end()
        }
        #expect(try peer.readAnswer().body == "late")
        #expect(try peer.readToEnd() == "")
        #expect(log.count(of: "closed") == 0)
    }

    @Test func closesTheConnectionIfRequested() throws {
        let log = EventLog()
        let harness = try Self.harness(log: log)
        let peer = try harness.connect()
        try peer.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        try log.wait(for: "started")
        try Self.on(harness) { $0.end() }
        let answer = try peer.readAnswer()
        #expect(answer.fields.only("Connection") == "close" && answer.body == "")
        #expect(try peer.readToEnd() == "")
    }

    @Test func resetsAPeerWithTooManyUnsentBytes() throws {
        let log = EventLog()
        let harness = try Self.harness(log: log) { $0.maximumUnsent = 50_000 }
        let peer = try harness.connect(sendBytes: 4096)
        try peer.send(Self.get)
        try log.wait(for: "started")
        try Self.on(harness) { $0.send([UInt8](repeating: 1, count: 200_000)) }
        try harness.reactor.turns()
        #expect(log.all == ["started"], "one large piece is not held against it")
        try Self.on(harness) { $0.send([1]) }
        try log.wait(for: "closed")
        #expect(log.all == ["started", "overflow", "closed"])
        #expect(harness.reactor.counters.slowReaders.current == 1)
    }

    @Test func resetsAPeerThatReadsNothingForTooLong() throws {
        let log = EventLog()
        let harness = try Self.harness(log: log) { $0.maximumUnsentAge = 200_000_000 }
        let peer = try harness.connect(sendBytes: 4096)
        try peer.send(Self.get)
        try log.wait(for: "started")
        try Self.on(harness) { $0.send([UInt8](repeating: 1, count: 200_000)) }
        try log.wait(for: "closed")
        #expect(harness.reactor.counters.slowReaders.current == 1)
        withExtendedLifetime(peer) {}
    }

    @Test func keepsAPeerThatCatchesUp() throws {
        let log = EventLog()
        let harness = try Self.harness(log: log) { $0.maximumUnsentAge = 60_000_000_000 }
        let peer = try harness.connect(sendBytes: 4096)
        try peer.send(Self.get)
        _ = try peer.readHead()
        try Self.on(harness) { $0.send([UInt8](repeating: 49, count: 200_000)) }
        // A peer that reads while it is sent would keep up.
        try harness.reactor.turns()
        #expect(try peer.readChunk() == String(repeating: "1", count: 200_000))
        try log.wait(for: "drained")
        try Self.on(harness) { $0.send(Array("more".utf8)) }
        #expect(try peer.readChunk() == "more")
    }

    @Test func resetsAPeerThatSendsTooMuchDuringAStream() throws {
        let log = EventLog()
        let harness = try Self.harness(log: log)
        let peer = try harness.connect()
        try peer.send(Self.get)
        try log.wait(for: "started")
        try peer.send(String(repeating: "x", count: 20_000))
        try log.wait(for: "closed")
    }
}
