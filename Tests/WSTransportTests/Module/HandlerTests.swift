import Testing
import WSTransport

@Suite("ws.Handler: each message is answered by another", .timeLimit(.minutes(10)))
struct HandlerTests {
    private static func echo() -> WebSocketHandler {
        WebSocketHandler(options: .patient) { message in message.response.body = message.body }
    }

    @Test func answersMessages() async throws {
        let handler = Self.echo()
        let harness = try EchoServer { routing, _ in routing.append("/handler", handler) }
        let stream = try await ws.connect(harness.url + "/handler", options: .patient)
        for size in [0, 10, 125, 126, 65_535, 65_536] {
            for type in [ws.TEXT, ws.BINARY] {
                let sent = WebSocketMessage(type: type)
                sent.write([UInt8](repeating: 0x61, count: size))
                try await sent.sendTo(stream)
                let got = WebSocketMessage()
                try await got.readFrom(stream)
                #expect(got.type == type && got.body == sent.body && !got.masked)
            }
        }
        #expect(handler.stats == .init(total: 12, pending: 0, request: 12, response: 12, error: 0))
        handler.resetStats()
        #expect(handler.stats == .init(total: 12))
    }

    @Test func answersPingsAutomatically() async throws {
        let handler = WebSocketHandler(options: .patient) { _ in Issue.record("nobody is to be asked") }
        let harness = try EchoServer { routing, _ in routing.append("/handler", handler) }
        let stream = try await ws.connect(harness.url + "/handler", options: .patient)
        let ping = WebSocketMessage(type: ws.PING)
        ping.write("hello")
        try await ping.sendTo(stream)
        let pong = WebSocketMessage()
        try await pong.readFrom(stream)
        #expect(pong.type == ws.PONG && pong.body == Array("hello".utf8))
    }

    @Test func closesOnAnythingButMessagesAndPings() async throws {
        let harness = try EchoServer { routing, _ in routing.append("/handler", Self.echo()) }
        for (type, code) in [(ws.CLOSE, [] as [UInt8]), (Opcode(rawValue: 5), [3, 0xEA])] {
            let stream = try await ws.connect(harness.url + "/handler", options: .patient)
            try await WebSocketMessage(type: type).sendTo(stream)
            let close = WebSocketMessage()
            try await close.readFrom(stream)
            #expect(close.type == ws.CLOSE && close.body.prefix(2).elementsEqual(code))
            await #expect(throws: WS.Error.endOfStream) { try await WebSocketMessage().readFrom(stream) }
        }
    }

    @Test func endsWhenItsHandlerClosesTheStream() async throws {
        let harness = try EchoServer { routing, _ in
            routing.append("/handler", WebSocketHandler(options: .patient) { message in await message.stream?.close() })
        }
        let stream = try await ws.connect(harness.url + "/handler", options: .patient)
        try await WebSocketMessage("x").sendTo(stream)
        await #expect(throws: WS.Error.endOfStream) { try await WebSocketMessage().readFrom(stream) }
    }

    @Test func callsTheErrorHandlerOnce() async throws {
        struct Failed: Error {}
        let handler = WebSocketHandler(options: .patient) { _ in throw Failed() }
        let harness = try EchoServer { routing, log in
            handler.onerror([500: FunctionHandler { (message: WebSocketMessage) in log.add(message.lastError) }])
            routing.append("/handler", handler)
        }
        let socket = try await ws.open(harness.url + "/handler", options: .patient)
        try await socket.send("x")
        #expect(try await socket.closed().code == 1011)
        #expect(harness.log.all == ["Failed()"])
        #expect(handler.stats == .init(total: 1, pending: 0, request: 1, response: 0, error: 1))
    }

    @Test func routesMessagesByTheirValue() async throws {
        let routing: Routing = [
            "^a$": FunctionHandler { (message: WebSocketMessage) in message.response.write("A") },
            "^b$": FunctionHandler { (message: WebSocketMessage) in message.response.write("B") },
        ]
        let byText = FunctionHandler(returning: { message in
            guard let message = message as? WebSocketMessage else { return nil }
            message.value = message.data?.text ?? ""
            return routing
        })
        let harness = try EchoServer { routes, _ in
            routes.append("/handler", WebSocketHandler(byText, options: .patient))
        }
        let socket = try await ws.open(harness.url + "/handler", options: .patient)
        for (sent, answer) in [("a", "A"), ("b", "B")] {
            try await socket.send(sent)
            #expect(try await socket.receive()?.data == .text(answer))
        }
    }

    @Test func limitsMessages() async throws {
        let handler = Self.echo()
        #expect(handler.maxSize == 67_108_864)
        #expect(throws: WS.Error.outOfRange) { try handler.setMaxSize(-1) }
        try handler.setMaxSize(3)
        let harness = try EchoServer { routing, _ in routing.append("/handler", handler) }
        let socket = try await ws.open(harness.url + "/handler", options: .patient)
        try await socket.send("abc")
        #expect(try await socket.receive()?.data == .text("abc"))
        try await socket.send("abcd")
        #expect(try await socket.closed().code == 1009)
    }

    @Test(arguments: ["Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key"])
    func rejectsAnIncompleteHandshake(missing: String) async throws {
        let harness = try EchoServer { routing, _ in routing.append("/handler", Self.echo()) }
        let fields = EchoServer.handshake.split(separator: "\r\n").filter { !$0.hasPrefix(missing + ":") }
        let answer = try await harness.ask("/handler", fields.map { $0 + "\r\n" }.joined())
        #expect(answer.hasPrefix("HTTP/1.1 4"))
    }
}
