import Testing
import WSTransport

@Suite("RFC 6455 §7.1.7: a peer that violates the protocol while a task is still reading", .timeLimit(.minutes(10)))
struct FailingTests {
    /// A server whose answer is followed by a message and a frame of a reserved opcode, in the same bytes.
    private static func server() throws -> LoopbackServer {
        try LoopbackServer.answering(finishes: false) { head in
            let key = Handshake.acceptKey(for: head.fields.first("Sec-WebSocket-Key") ?? "")
            let answer =
                "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(key)\r\n\r\n"
            return Array(answer.utf8) + FrameEncoder.frame(.text, Array("one".utf8)) + [0x83, 0]
        }
    }

    @Test func closesWhenTheReaderReadsAgain() async throws {
        let server = try Self.server()
        var options = ConnectOptions.patient
        options.closeTimeout = .seconds(3600)
        let socket = try await WS.open("ws://127.0.0.1:\(server.port)/", options: options)
        #expect(try await socket.receive()?.data == .text("one"))
        #expect(socket.readyState == .open, "received messages can still be answered")
        try await socket.send("two")
        await #expect(throws: WS.Error.self) { try await socket.receive() }
        #expect(socket.readyState == .closed)
        #expect(try await socket.closed().wasClean == false)
    }

    @Test func closesWhenTheListenersHaveFinished() async throws {
        let server = try Self.server()
        var options = ConnectOptions.patient
        options.closeTimeout = .seconds(3600)
        let socket = WebSocket("ws://127.0.0.1:\(server.port)/", options: options)
        let (heard, sender) = AsyncStream.makeStream(of: String.self)
        socket.onmessage = { message in
            do { try await socket.send("two") } catch { sender.yield("cannot answer") }
            sender.yield(message.data?.text ?? "none")
        }
        socket.onclose = { _ in sender.finish() }
        var all: [String] = []
        for await each in heard { all.append(each) }
        #expect(all == ["one"])
    }

    @Test func closesAfterTheTimeout() async throws {
        let server = try Self.server()
        var options = ConnectOptions.patient
        options.closeTimeout = .milliseconds(50)
        let socket = try await WS.open("ws://127.0.0.1:\(server.port)/", options: options)
        #expect(try await socket.closed().wasClean == false)
        #expect(try await socket.receive()?.data == .text("one"), "earlier messages are kept for a late reader")
    }
}
