import Logging
import Synchronization
import Testing
import WSTransport
import WSTransportCoding
import WSTransportServices
import WSTransportTesting

/// The libraries as another package uses them: only their public API, optimised.
@Suite("The libraries as another package uses them", .timeLimit(.minutes(5)))
struct LibraryTests {
    private struct Order: Codable, Equatable, Sendable {
        var item = "tea"
        var count = 2
    }

    /// A server with all paths that the tests use.
    private static func serve(
        compression: CompressionOptions? = nil, observer: (any ServerObserver)? = nil, _ room: Broadcast = Broadcast()
    ) throws -> HTTPServer {
        let options = UpgradeOptions(perMessageDeflate: compression, receivesParts: true)
        let guarded = UpgradeOptions(authorize: { request in
            guard request.cookies["session"] == "known" else { throw HTTPRefusal(status: 401, message: "Who are you?") }
        })
        let attempts = Mutex(0)
        let routing: Routing = [
            "/echo": ws.upgrade { socket in
                for try await message in socket.messages { try await socket.send(message) }
            },
            "/listen": ws.upgrade { socket in socket.onmessage = { try? await socket.send($0) } },
            "/room": ws.upgrade { socket in
                room.add(socket)
                try await socket.send("welcome")
                for try await message in socket.messages { room.send(message.data?.text ?? "") }
            },
            "/parts": ws.upgrade(options) { socket in
                while let message = try await socket.receiveInParts() {
                    try await socket.sendInParts(message.type) { writer in
                        for try await part in message { try await writer.write(part) }
                    }
                }
            },
            "/guarded": ws.upgrade(guarded) { socket in try? socket.send("in") },
            "/restarts": ws.upgrade { socket in
                let attempt = attempts.withLock { attempts in
                    attempts += 1
                    return attempts
                }
                try await socket.send("attempt \(attempt)")
                if attempt < 3 { socket.terminate() }
                _ = try await socket.closed()
            },
            "/orders": FunctionHandler { (request: ServerRequest) in
                var order = try await request.json(as: Order.self)
                order.count += 1
                try request.response.json(order)
            },
        ]
        let server = HTTPServer(
            port: 0, routing: routing, options: HTTPServer.Options(reactors: 2, observer: observer))
        try server.start()
        return server
    }

    private static func url(_ server: HTTPServer, _ path: String) -> String {
        "ws://127.0.0.1:\(server.port)\(path)"
    }

    @Test(arguments: ["/echo", "/listen"])
    func echoes(path: String) async throws {
        let server = try Self.serve()
        try await ws.withSocket(Self.url(server, path)) { socket in
            try await socket.send("häuser")
            try await socket.send([1, 2, 3])
            try await socket.send(json: Order())
            try await socket.send(pack: Order())
            #expect(try await socket.receive()?.data == .text("häuser"))
            #expect(try await socket.receive()?.data == .binary([1, 2, 3]))
            #expect(try await socket.receive()?.json(as: Order.self) == Order())
            #expect(try await socket.receive()?.pack(as: Order.self) == Order())
            #expect(try await socket.ping() > .zero)
        }
        await server.stop()
    }

    @Test func sendsToEveryMemberOfARoom() async throws {
        let server = try Self.serve()
        var members: [WebSocket] = []
        for _ in 0..<4 {
            members.append(try await ws.open(Self.url(server, "/room")))
            #expect(try await members.last?.receive()?.data == .text("welcome"))
        }
        try await members[0].send("hello")
        for member in members { #expect(try await member.receive()?.data == .text("hello")) }
        let ends = members.map { member in Task { try await member.closed() } }
        await server.stop()
        for end in ends { #expect(try await end.value.code == .goingAway) }
    }

    @Test(arguments: [false, true])
    func streamsALargeMessage(isCompressed: Bool) async throws {
        let compression = isCompressed ? CompressionOptions(minimum: 0) : nil
        let server = try Self.serve(compression: compression)
        let options = ConnectOptions(perMessageDeflate: compression, receivesParts: true)
        try await ws.withSocket(Self.url(server, "/parts"), options: options) { socket in
            async let sent: Void = socket.sendInParts(ws.TEXT) { writer in
                for number in 0..<20_000 { try await writer.write("line \(number)\n") }
            }
            let message = try #require(try await socket.receiveInParts())
            #expect(message.type == ws.TEXT && message.isCompressed == isCompressed)
            let text = String(decoding: try await message.collect(), as: UTF8.self)
            try await sent
            #expect(text.split(separator: "\n").map(String.init) == (0..<20_000).map { "line \($0)" })
        }
    }

    @Test func refusesOrAcceptsByCookie() async throws {
        let server = try Self.serve()
        let refused = WS.HandshakeError.refused(status: 401, body: Array("Who are you?\n".utf8))
        await #expect(throws: refused) { try await ws.open(Self.url(server, "/guarded")) }
        let options = ConnectOptions(cookies: [(name: "session", value: "known")])
        try await ws.withSocket(Self.url(server, "/guarded"), options: options) { socket in
            let message = try await socket.receive()
            #expect(message?.data == .text("in"))
        }
        await #expect(throws: WS.Error.invalidURL("nonsense: expected ws://HOST/PATH or wss://HOST/PATH")) {
            try await ws.open("nonsense")
        }
    }

    @Test func reconnects() async throws {
        let server = try Self.serve()
        let backoff = Backoff(first: .milliseconds(1), longest: .milliseconds(2))
        let heard = Mutex<[String]>([])
        let last = try await ws.keepOpen(Self.url(server, "/restarts"), backoff: backoff) { socket, attempt in
            let text = try await socket.receive()?.data?.text ?? ""
            heard.withLock { $0.append(text) }
            if attempt < 3 { _ = try await socket.receive() }
            return attempt
        }
        #expect(last == 3)
    }

    @Test func logsAndStopsAsAService() async throws {
        let server = HTTPServer(
            port: 0, handler: ["/": ws.upgrade { socket in socket.onmessage = { _ in } }] as Routing)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let service = HTTPService(server, logger: logger)
        let serving = Task { try await service.run() }
        serving.cancel()
        try await serving.value
        #expect(server.port == 0)
    }

    /// A small message that nobody refers to any more may become the next one; other tasks still refer to some.
    @Test(arguments: [false, true])
    func givesEachMessageItsOwnContent(isOnReactor: Bool) async throws {
        let options = UpgradeOptions(executor: isOnReactor ? .reactor : .global)
        let routing: Routing = [
            "/": ws.upgrade(options) { socket in
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    var number = 0
                    for try await message in socket.messages {
                        guard message.data != .text("end") else { break }
                        let expected = WebSocketMessage.Data.text("number \(number)")
                        if number % 3 == 0 {
                            group.addTask { message.data == expected }
                        } else if message.data != expected {
                            group.addTask { false }
                        }
                        number += 1
                        try await socket.send(message)
                    }
                    let isRight = try await group.reduce(true) { $0 && $1 }
                    try await socket.send("\(number) \(isRight)")
                }
            }
        ]
        let server = HTTPServer(port: 0, routing: routing)
        try server.start()
        try await ws.withSocket(Self.url(server, "/")) { socket in
            for number in 0..<100 {
                try await socket.send("number \(number)")
                let echo = try await socket.receive()
                #expect(echo?.data == .text("number \(number)"))
            }
            for number in 100..<1000 { try await socket.send("number \(number)") }
            try await socket.send("end")
            for number in 100..<1000 {
                let echo = try await socket.receive()
                #expect(echo?.data == .text("number \(number)"))
            }
            let last = try await socket.receive()
            #expect(last?.data == .text("1000 true"))
        }
        await server.stop()
    }

    /// The closure of a server, without the server.
    private static func shout(_ socket: WebSocket) async throws {
        for try await message in socket.messages { try await socket.send((message.data?.text ?? "").uppercased()) }
    }

    @Test(arguments: [false, true])
    func connectsAPair(isCompressed: Bool) async throws {
        let compression = isCompressed ? CompressionOptions(minimum: 0) : nil
        let pair = try await ws.pair(
            server: UpgradeOptions(perMessageDeflate: compression, protocols: ["v2", "v1"]),
            client: ConnectOptions(protocols: ["v1", "v2"], perMessageDeflate: compression))
        #expect(pair.server.protocol == "v2" && pair.client.protocol == "v2")
        let serving = Task { try await Self.shout(pair.server) }
        let text = String(repeating: "hello ", count: 20)
        try await pair.client.send(text)
        let answer = try await pair.client.receive()
        #expect(answer?.data == .text(text.uppercased()) && answer?.compress == isCompressed)
        try pair.client.close(4000, reason: "enough")
        #expect(try await pair.client.closed().wasClean)
        await #expect(throws: WS.Error.closed(4000, reason: "enough")) { try await serving.value }
        let bad = UpgradeOptions(maximumHeld: 0)
        await #expect(throws: WS.Error.invalidOption("maximumHeld and maximumUnsent must be above 0")) {
            try await ws.pair(server: bad)
        }
    }

    /// A peer that breaks the protocol in a way that no client of this library can.
    @Test func reportsAPeerThatViolatesTheProtocol() async throws {
        let (socket, peer) = try await ws.socketAndPeer(server: UpgradeOptions(maxPayload: 100))
        try await ws.Message("in order").sendTo(peer)
        #expect(try await socket.receive()?.data == .text("in order"))
        // Not masked (RFC 6455 §5.1).
        try await peer.write([0x81, 0x01, 0x61])
        #expect(try await socket.closed().endReason == .violation)
        let close = ws.Message()
        try await close.readFrom(peer)
        #expect(close.type == ws.CLOSE && close.body.prefix(2) == [0x03, 0xEA])
        await peer.close()
    }

    @Test func readsAndWritesMessagesOnAnyStream() async throws {
        let stream = MemoryStream()
        try await ws.Message("by hand").sendTo(stream)
        let message = ws.Message()
        try await message.readFrom(stream)
        #expect(message.data == .text("by hand") && message.masked)
    }
}
