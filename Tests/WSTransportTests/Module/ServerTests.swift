import Glibc
import Testing
import WSTransport

@Suite("HTTPServer: routes, chains, upgrades, bodies, streams", .timeLimit(.minutes(10)))
struct ServerTests {
    @Test func upgradesARequest() async throws {
        let harness = try EchoServer()
        let stream = try await RawClient.connect(port: harness.server.port)
        try await stream.write(Array("GET /ws HTTP/1.1\r\nHost: h\r\n\(EchoServer.handshake)\r\n".utf8))
        var head = ""
        while !head.hasSuffix("\r\n\r\n") {
            head += String(decoding: try #require(try await stream.read(1)), as: UTF8.self)
        }
        #expect(head.hasPrefix("HTTP/1.1 101 "))
        #expect(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
        #expect(head.contains("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"))
        #expect(!head.lowercased().contains("content-length") && !head.contains("Sec-WebSocket-Extensions"))
        // Text of the six sizes, a PING, an unsolicited PONG, and the end.
        for size in [10, 100, 125, 126, 65_535, 65_536] {
            let sent = WebSocketMessage(type: ws.TEXT)
            sent.write(String(repeating: "x", count: size))
            try await sent.sendTo(stream)
            let got = WebSocketMessage()
            try await got.readFrom(stream)
            #expect(got.body == sent.body && got.type == ws.TEXT && !got.masked)
        }
        for type in [ws.PONG, ws.PING] {
            let control = WebSocketMessage(type: type)
            control.write("hello")
            try await control.sendTo(stream)
        }
        let pong = WebSocketMessage()
        try await pong.readFrom(stream)
        #expect(pong.type == ws.PONG && pong.body == Array("hello".utf8))
        try await WebSocketMessage(type: ws.CLOSE).sendTo(stream)
        let close = WebSocketMessage()
        try await close.readFrom(stream)
        #expect(close.type == ws.CLOSE && close.length == 0)
        await #expect(throws: WS.Error.endOfStream) { try await WebSocketMessage().readFrom(stream) }
    }

    @Test(arguments: [
        ("Upgrade", 426), ("Connection", 400), ("Sec-WebSocket-Version", 400), ("Sec-WebSocket-Key", 400),
    ])
    func rejectsAnIncompleteHandshake(missing: String, status: Int) async throws {
        let harness = try EchoServer()
        let fields = EchoServer.handshake.split(separator: "\r\n").filter { !$0.hasPrefix(missing + ":") }
        let answer = try await harness.ask("/ws", fields.map { $0 + "\r\n" }.joined())
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
    }

    @Test func refusesAReservedOpcode() async throws {
        let harness = try EchoServer()
        let stream = try await ws.connect(harness.url + "/ws", options: .patient)
        try await WebSocketMessage(type: Opcode(rawValue: 5)).sendTo(stream)
        let close = WebSocketMessage()
        try await close.readFrom(stream)
        #expect(close.type == ws.CLOSE && close.body.prefix(2) == [3, 0xEA], "1002")
    }

    // MARK: Chains

    /// A token in a header admits the client; without it the client gets 403 and no open event.
    @Test func aChainMayRefuse() async throws {
        let harness = try EchoServer { routing, log in
            let door = FunctionHandler { (request: ServerRequest) in
                request.response.fields.append("X-Door", "1")
                guard request.firstHeader("x-token") != "valid" else { return }
                request.response.statusCode = 403
                request.response.write("no")
                request.response.end()
            }
            let after = FunctionHandler { (_: ServerRequest) in log.add("after the socket") }
            routing.append(
                "/door", [door, ws.upgrade(.patient) { $0.onclose = { _ in log.add("closed") } }, after] as Chain)
        }
        await #expect(throws: WS.HandshakeError.refused(status: 403, body: Array("no".utf8))) {
            _ = try await ws.open(harness.url + "/door", options: .patient)
        }
        var options = ConnectOptions.patient
        options.headers = ["X-Token": "valid"]
        let socket = try await ws.open(harness.url + "/door", options: options)
        try socket.close()
        _ = try await socket.closed()
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["closed"], "the socket's request is ended, so the chain is")
    }

    @Test func choosesTheSubprotocolChecksTheOriginAndAuthorizes() async throws {
        var options = UpgradeOptions.patient
        options.protocols = ["b", "a"]
        options.authorize = { request in
            guard request.parameter("token") == "t" else { throw HTTPRefusal(status: 401, message: "Who are you?") }
        }
        let harness = try EchoServer(options: options)
        var asked = ConnectOptions.patient
        asked.protocols = ["x", "a", "b"]
        let socket = try await ws.open(harness.url + "/ws?token=t", options: asked)
        #expect(socket.protocol == "b")
        await #expect(throws: WS.HandshakeError.refused(status: 401, body: Array("Who are you?\n".utf8))) {
            _ = try await ws.open(harness.url + "/ws", options: asked)
        }
        asked.origin = "https://evil.example"
        await #expect(throws: WS.HandshakeError.self) {
            _ = try await ws.open(harness.url + "/ws?token=t", options: asked)
        }
        asked.origin = "http://127.0.0.1"
        _ = try await ws.open(harness.url + "/ws?token=t", options: asked)
    }

    /// A request that is not a handshake does not use up a one-time token.
    @Test func authorizesOnlyHandshakes() async throws {
        let asked = EchoServer.Notes()
        var options = UpgradeOptions.patient
        options.authorize = { asked.add($0.path) }
        let harness = try EchoServer(options: options)
        let version8 = EchoServer.handshake.replacing("Version: 13", with: "Version: 8")
        let keyless = EchoServer.handshake.replacing(/Sec-WebSocket-Key.*\r\n/, with: "")
        let wrongOrigin = EchoServer.handshake + "Origin: https://evil.example\r\n"
        #expect(try await harness.ask("/ws").hasPrefix("HTTP/1.1 426 "))
        #expect(try await harness.ask("/ws", version8).hasPrefix("HTTP/1.1 426 "))
        #expect(try await harness.ask("/ws", keyless).hasPrefix("HTTP/1.1 400 "))
        #expect(try await harness.ask("/ws", EchoServer.handshake, method: "POST").hasPrefix("HTTP/1.1 405 "))
        #expect(try await harness.ask("/ws", wrongOrigin).hasPrefix("HTTP/1.1 403 "))
        #expect(asked.all == [])
        _ = try await ws.open(harness.url + "/ws", options: .patient)
        #expect(asked.all == ["/ws"])
    }

    @Test(arguments: ["ws://127.0.0.1", "ws://[::1]"])
    func servesIPv4AndIPv6OnTheUnspecifiedAddress(url: String) async throws {
        let server = HTTPServer(address: "::", port: 0, handler: ws.upgrade(.patient) { $0.onmessage = { _ in } })
        try server.start()
        let socket = try await ws.open("\(url):\(server.port)/", options: .patient)
        #expect(socket.readyState == .open && socket.remoteAddress.hasSuffix(":\(server.port)"))
        #expect(socket.response?["upgrade"] == "websocket")
    }

    private static let senseless: [(@Sendable (inout HTTPServer.Options) -> Void, String)] = [
        ({ $0.reactors = -1 }, "reactors: -1 is below 0"),
        ({ $0.pathPrefix = "x" }, "pathPrefix: x does not begin with /"),
        ({ $0.idleTimeout = .seconds(-1) }, "headTimeout and idleTimeout must be above 0"),
        ({ $0.maximumHead = 0 }, "maximumHead, maximumUnsent and maximumConnections must be above 0"),
    ]

    @Test(arguments: senseless)
    func rejectsInvalidOptions(change: @Sendable (inout HTTPServer.Options) -> Void, problem: String) {
        var options = HTTPServer.Options()
        change(&options)
        #expect {
            try HTTPServer(port: 0, handler: Routing(), options: options).start()
        } throws: { "\($0)" == problem }
    }

    @Test func closesWith1011WhenTheClosureThrows() async throws {
        struct Failed: Error {}
        let harness = try EchoServer { routing, _ in
            routing.append("/throws", ws.upgrade(.patient) { (_: WebSocket) async throws in throw Failed() })
        }
        let socket = try await ws.open(harness.url + "/throws", options: .patient)
        #expect(try await socket.closed().code == 1011)
    }

    // MARK: Plain HTTP

    @Test func answersRequests() async throws {
        let errors = EchoServer.Notes()
        var values = HTTPServer.Options()
        values.onError = { error, request in errors.add("\(request.path): \(error)") }
        let harness = try EchoServer(server: values) { routing, _ in
            routing.get(
                "/hello/:name",
                FunctionHandler { (request: ServerRequest) in
                    request.response.write("hello \(request.params[0]) \(request.parameter("q") ?? "-")")
                })
            routing.post(
                "/body",
                FunctionHandler { (request: ServerRequest) in
                    request.response.write(try await request.readBody(maximum: 10))
                })
            routing.get("/moved", FunctionHandler { (request: ServerRequest) in request.response.redirect("/hello/x") })
            routing.get("/broken", FunctionHandler { (_: ServerRequest) in throw WS.Error.busy })
            routing.get(
                "/stream",
                FunctionHandler { (request: ServerRequest) in
                    request.response.fields.append("Content-Type", "text/plain")
                    let stream = try await request.startStream()
                    for number in 0..<3 { try await stream.write("\(number)\n") }
                    stream.end()
                })
            routing.host(
                "other.example", FunctionHandler { (request: ServerRequest) in request.response.write("other") })
        }
        #expect(try await harness.ask("/hello/you?q=1").hasSuffix("\r\n\r\nhello you 1"))
        #expect(try await harness.ask("/body", method: "POST", body: "0123456789").hasSuffix("\r\n\r\n0123456789"))
        #expect(try await harness.ask("/body", method: "POST", body: "0123456789x").hasPrefix("HTTP/1.1 413 "))
        #expect(try await harness.ask("/body").hasPrefix("HTTP/1.1 405 "))
        #expect(try await harness.ask("/moved").contains("\r\nLocation: /hello/x\r\n"))
        #expect(try await harness.ask("/broken").hasPrefix("HTTP/1.1 500 "))
        #expect(errors.all == ["/broken: \(WS.Error.busy)"])
        #expect(try await harness.ask("/stream").hasSuffix("2\r\n0\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n"))
        #expect(try await harness.ask("/nowhere").hasPrefix("HTTP/1.1 404 "))
        #expect(try await harness.ask("/hello/you", method: "HEAD").hasSuffix("\r\n\r\n"))
        let other = "GET /x HTTP/1.1\r\nHost: Other.Example:80\r\nConnection: close\r\n\r\n"
        #expect(try await EchoServer.ask(harness.server.port, other).hasSuffix("\r\n\r\nother"))
    }

    @Test func startsOnceAndStops() async throws {
        let harness = try EchoServer()
        try harness.server.start()
        let port = harness.server.port
        let second = HTTPServer(port: port, handler: Routing())
        #expect(throws: HTTPServer.StartError.self) { try second.start() }
        #expect(throws: HTTPServer.StartError.self) {
            try HTTPServer(address: "no address", port: 0, handler: Routing()).start()
        }
        await harness.server.stop()
        await #expect(throws: WS.HandshakeError.self) { _ = try await ws.connect("ws://127.0.0.1:\(port)/ws") }
        await harness.server.stop()
    }

    @Test func servesAnAdoptedSocket() async throws {
        let given = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        listen(given, 16)
        let server = HTTPServer(port: 0, handler: ["/ws": ws.upgrade(.patient) { $0.onmessage = { _ in } }] as Routing)
        try server.start(adopting: given)
        let client = try await ws.open("ws://127.0.0.1:\(server.port)/ws", options: .patient)
        #expect(client.readyState == .open)
        await server.stop()
        #expect(try await client.closed().code == .goingAway)
    }

    @Test func servesTLSUntilItsTaskIsCancelled() async throws {
        let server = try HTTPSServer(
            port: 0, identity: try TestAuthority.server.get(),
            handler: ["/": ws.upgrade(.patient) { $0.onmessage = { _ in } }] as Routing)
        try server.start()
        let serving = Task { try await server.run() }
        var options = ConnectOptions.patient
        options.tls = try TLSContext.client(try TestAuthority.shared.get().trust)
        let socket = try await ws.open("wss://localhost:\(server.port)/", options: options)
        serving.cancel()
        #expect(try await socket.closed().code == .goingAway)
        try await serving.value
    }

    @Test func speaksTLS() async throws {
        let identity = try TestAuthority.server.get()
        let server = try HTTPSServer(
            port: 0, identity: identity, handler: ["/": ws.upgrade(.patient) { $0.onmessage = { _ in } }] as Routing)
        try server.start()
        var options = ConnectOptions.patient
        options.tls = try TLSContext.client(try TestAuthority.shared.get().trust)
        let socket = try await ws.open("wss://localhost:\(server.port)/", options: options)
        try server.reload(identity: identity)
        #expect(socket.readyState == .open)
        try socket.close()
        _ = try await socket.closed()
        await #expect(throws: WS.HandshakeError.self) { _ = try await ws.open("wss://localhost:\(server.port)/") }
        #expect(throws: TLSFileError.self) {
            try server.reload(identity: TLSIdentity(certificate: "/nowhere", key: "/nowhere"))
        }
        await server.stop()
    }
}
