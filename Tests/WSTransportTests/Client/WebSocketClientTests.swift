import Testing
import WSTransport

@Suite("The client's WebSocket, against a local server", .timeLimit(.minutes(10)))
struct WebSocketClientTests {
    @Test func sendsAndReceives() async throws {
        let server = try LoopbackServer.webSockets()
        let client = try await WS.connect(server.endpoint, path: "/")
        try await client.send("grüß")
        try await client.send([0, 255, 10])
        try await client.send([])
        #expect(try await client.next() == ReceivedMessage(opcode: .text, bytes: Array("grüß".utf8)))
        #expect(try await client.next() == ReceivedMessage(opcode: .binary, bytes: [0, 255, 10]))
        #expect(try await client.next() == ReceivedMessage(opcode: .binary, bytes: []))
        #expect(client.closeEvent == nil)
        #expect(await client.end() == CloseEvent(code: .normal, reason: "", wasClean: true))
        #expect(try await client.receive() == nil)
        await #expect(throws: WS.Error.self) { try await client.send("late") }
    }

    @Test(arguments: 0..<12)
    func keepsTheOrderOfMessages(seed: UInt64) async throws {
        var generator = SeededGenerator(state: seed)
        let server = try LoopbackServer.webSockets()
        let client = try await WS.connect(server.endpoint, path: "/")
        let sent = (0..<20).map { _ in
            let size = [0, 1, 125, 126, 65_535, 65_536, 100_000][Int.random(in: 0..<7, using: &generator)]
            return [UInt8](repeating: .random(in: 0...255, using: &generator), count: size)
        }
        let sending = Task { for bytes in sent { try await client.send(bytes) } }
        var received: [[UInt8]] = []
        for try await message in client.messages {
            received.append(message.bytes)
            if received.count == sent.count { break }
        }
        try await sending.value
        #expect(received == sent)
    }

    @Test func agreesOnASubprotocol() async throws {
        let server = try LoopbackServer.webSockets()
        var options = ClientOptions()
        options.subprotocols = ["first", "second"]
        #expect(try await WS.connect(server.endpoint, path: "/", options: options).protocol == "second")
        #expect(try await WS.connect(server.endpoint, path: "/").protocol.isEmpty)
    }

    @Test func sendsAnOriginOnlyIfGiven() async throws {
        let server = try LoopbackServer.webSockets()
        var options = ClientOptions()
        for origin in [nil, "https://example.com"] {
            options.origin = origin
            let client = try await WS.connect(server.endpoint, path: "/", options: options)
            try await client.send("origin")
            #expect(try await client.receive()?.text == origin ?? "none")
        }
    }

    @Test func reportsTheServersCloseCode() async throws {
        let server = try LoopbackServer.webSockets()
        let client = try await WS.connect(server.endpoint, path: "/")
        try await client.send("close 4410 enough")
        await #expect(throws: WS.Error.closed(4410, reason: "enough")) { try await client.receive() }
        #expect(
            client.closeEvent == CloseEvent(code: 4410, reason: "enough", wasClean: true, cause: .closedByPeer))
    }

    @Test func throwsWhenTheConnectionIsLost() async throws {
        let server = try LoopbackServer.webSockets()
        let client = try await WS.connect(server.endpoint, path: "/")
        try await client.send("terminate")
        await #expect(throws: WS.Error.self) { try await client.receive() }
        #expect(client.closeEvent?.wasClean == false)
    }

    /// Asks the server for a number.
    private static func ask(_ client: WebSocket, _ order: String) async throws -> Int? {
        try await client.send(order)
        return try await client.receive().flatMap { Int($0.text) }
    }

    /// The server must wait while the client does not read, and nothing is lost.
    @Test func stopsReadingWhileMessagesAreUnread() async throws {
        let server = try LoopbackServer.webSockets()
        var options = ClientOptions()
        options.maximumHeld = 100_000
        let client = try await WS.connect(server.endpoint, path: "/", options: options)
        let watcher = try await WS.connect(server.endpoint, path: "/")
        // 40 MB are more than any socket's buffers.
        try await client.send("flood 800 50000")
        #expect(try await client.receive()?.bytes == [UInt8](repeating: 0, count: 50_000))
        var unsent: Int?
        var unchanged = 0
        while unchanged < 50 {
            let now = try await Self.ask(watcher, "unsent-to-first")
            unchanged = now == unsent ? unchanged + 1 : 0
            unsent = now
        }
        #expect(try #require(unsent) > 1_000_000)
        for number in 1..<800 {
            let bytes = try await client.receive()?.bytes
            #expect(bytes?.count == 50_000 && bytes?.first == UInt8(truncatingIfNeeded: number))
        }
    }

    @Test func makesSendersWait() async throws {
        let server = try LoopbackServer.webSockets()
        var options = ClientOptions()
        options.maximumUnsent = 10_000
        let client = try await WS.connect(server.endpoint, path: "/", options: options)
        let other = try await WS.connect(server.endpoint, path: "/")
        try await client.send("deaf")
        let done = EchoServer.Notes()
        // The first is more than any socket's buffers.
        let sent = [12_000_000, 1, 1].map { [UInt8](repeating: 7, count: $0) }
        let sending = Task {
            for bytes in sent {
                try await client.send(bytes)
                done.add("sent")
            }
        }
        // There was room for the first.
        await done.wait(for: 1)
        for _ in 0..<100 { _ = try await Self.ask(other, "count") }
        #expect(done.all.count == 1)
        try await other.send("wake-first")
        for bytes in sent { #expect(try await client.receive()?.bytes == bytes) }
        try await sending.value
        #expect(done.all.count == 3)
    }

    @Test func closesWhenDeallocated() async throws {
        let server = try LoopbackServer.webSockets()
        var left: WebSocket? = try await WS.connect(server.endpoint, path: "/")
        let other = try await WS.connect(server.endpoint, path: "/")
        #expect(left?.protocol.isEmpty == true)
        #expect(try await Self.ask(other, "count") == 2)
        left = nil
        // If it stays open, the time limit of the suite ends this.
        #expect(try await Self.ask(other, "when-alone") == 1)
    }

    /// Messages outlive the name of their client.
    @Test func staysOpenWhileItsMessagesAreIterated() async throws {
        let server = try LoopbackServer.webSockets()
        let other = try await WS.connect(server.endpoint, path: "/")
        let messages = try await Self.echoed("still here", by: server)
        #expect(try await Self.ask(other, "count") == 2)
        for try await message in messages {
            #expect(message.text == "still here")
            break
        }
    }

    private static func echoed(
        _ text: String, by server: LoopbackServer
    ) async throws -> WebSocket.Messages {
        let client = try await WS.connect(server.endpoint, path: "/")
        try await client.send(text)
        return client.messages
    }

    @Test func cancellingAReaderKeepsTheConnection() async throws {
        let server = try LoopbackServer.webSockets()
        let client = try await WS.connect(server.endpoint, path: "/")
        let reading = Task { try await client.receive() }
        reading.cancel()
        await #expect(throws: CancellationError.self) { try await reading.value }
        try await client.send("on it goes")
        #expect(try await client.receive()?.text == "on it goes")
    }
}

/// SplitMix64: the same numbers for the same seed.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
