import Testing

@testable import WSTransport

@Suite("ws: invalid options and URLs; executors of closures", .timeLimit(.minutes(10)))
struct OptionTests {
    // MARK: What is thrown

    @Test(arguments: ["", "http:/h", "ws://", "ws://h#a", "mqtt://h"])
    func rejectsInvalidURLs(url: String) async throws {
        let reason = "\(url): " + ((try? WebSocketURL(parsing: url)).map { "\($0)" } ?? Self.problem(url))
        await #expect(throws: WS.Error.invalidURL(reason)) { _ = try await ws.open(url) }
        await #expect(throws: WS.Error.invalidURL(reason)) { _ = try await ws.connect(url) }
        await #expect(throws: WS.Error.invalidURL(reason)) { try await ws.withSocket(url) { _ in } }
        await #expect(throws: WS.Error.invalidURL(reason)) { try await ws.keepOpen(url) { _, _ in } }
    }

    private static func problem(_ url: String) -> String {
        do throws(WebSocketURL.ParseError) { _ = try WebSocketURL(parsing: url) } catch { return "\(error)" }
        return ""
    }

    private static let senseless: [(ConnectOptions, String)] = [
        (
            ConnectOptions(perMessageDeflate: CompressionOptions(level: 99)),
            "perMessageDeflate: level: 99 is not from 1 to 9"
        ),
        (
            ConnectOptions(perMessageDeflate: CompressionOptions(clientWindowBits: 8)),
            "perMessageDeflate: window bits are from 9 to 15"
        ),
        (ConnectOptions(maxPayload: -1), "maxPayload: -1 is below 0"),
        (ConnectOptions(maximumRedirects: -1), "maximumRedirects: -1 is below 0"),
        (ConnectOptions(handshakeTimeout: .zero), "handshakeTimeout must be above 0"),
        (ConnectOptions(closeTimeout: .seconds(-1)), "closeTimeout must be above 0"),
        (
            ConnectOptions(keepAlive: KeepAlive(interval: .seconds(-1))),
            "keepAlive: interval and timeout must be above 0"
        ),
        (ConnectOptions(maximumHeld: 0), "maximumHeld and maximumUnsent must be above 0"),
        (ConnectOptions(protocols: ["a b"]), "\"a b\" is no name of a subprotocol"),
        (ConnectOptions(headers: ["Host": "h"]), "the header field Host belongs to the handshake"),
    ]

    @Test(arguments: senseless.indices)
    func rejectsInvalidOptions(index: Int) async throws {
        let (options, reason) = Self.senseless[index]
        await #expect(throws: WS.Error.invalidOption(reason)) { _ = try await ws.open("ws://h", options: options) }
        await #expect(throws: WS.Error.invalidOption(reason)) { _ = try await ws.connect("ws://h", options: options) }
    }

    /// TLS would have no name to verify.
    @Test func rejectsTLSOverAUnixSocket() async throws {
        let options = ConnectOptions(socketPath: "/tmp/nothing.sock")
        let reason = "socketPath: a socket in the file system is for ws://, not for wss://"
        await #expect(throws: WS.Error.invalidOption(reason)) { _ = try await ws.open("wss://h", options: options) }
        await #expect(throws: WS.Error.invalidOption(reason)) { _ = try await ws.connect("wss://h", options: options) }
    }

    @Test(arguments: [
        (UpgradeOptions(protocols: ["a b"]), "protocols: \"a b\" is no name of a subprotocol"),
        (UpgradeOptions(maximumUnsentAge: .zero), "maximumUnsentAge must be above 0"),
        (UpgradeOptions(maximumUnsent: 0), "maximumHeld and maximumUnsent must be above 0"),
        (
            UpgradeOptions(perMessageDeflate: CompressionOptions(minimum: -1)),
            "perMessageDeflate: minimum: -1 is below 0"
        ),
    ])
    func startsNoServerWithInvalidUpgradeOptions(options: UpgradeOptions, problem: String) {
        let handler = ["/": ["/ws": [ws.upgrade(options) { _ in }] as Chain] as Routing] as Routing
        let server = HTTPServer(port: 0, handler: handler)
        #expect(throws: HTTPServer.StartError(description: "ws.upgrade: " + problem)) { try server.start() }
    }

    /// A reader of a socket that was never open gets the reason.
    @Test func tellsReadersWhyOpeningFailed() async throws {
        let harness = try EchoServer()
        let socket = WebSocket(harness.url + "/nothing", options: .patient)
        let refused = WS.HandshakeError.refused(status: 404, body: Array("There is nothing at /nothing.\n".utf8))
        await #expect(throws: WS.Error.handshake(refused)) { try await socket.receive() }
        await #expect(throws: WS.Error.handshake(refused)) { for try await _ in socket.messages {} }
        #expect(socket.endReason == .notOpened)
    }

    // MARK: Closures

    /// Also those that are not asynchronous: user code must not hold up the connections of a thread.
    @Test(arguments: [UpgradeOptions.Executor.global, .reactor])
    func runsSynchronousClosuresOnTheirExecutor(executor: UpgradeOptions.Executor) async throws {
        var options = UpgradeOptions.patient
        options.executor = executor
        let harness = try EchoServer { [options] routing, log in
            let note = { @Sendable (socket: WebSocket) in
                log.add("\(socket.core.link.remote?.isCurrentThread ?? false)")
            }
            routing.append("/plain", ws.upgrade(options) { (socket: WebSocket) in note(socket) })
            routing.append("/request", ws.upgrade(options) { (socket: WebSocket, _: ServerRequest) in note(socket) })
        }
        for path in ["/plain", "/request"] { _ = try await ws.open(harness.url + path, options: .patient) }
        await harness.log.wait(for: 2)
        #expect(harness.log.all == Array(repeating: "\(executor == .reactor)", count: 2))
    }

    /// A server that only sends answers a CLOSE, even if its client has sent a message that it never reads.
    @Test(arguments: ["/member", "/producer"])
    func answersTheCloseOfAClientItNeverReads(path: String) async throws {
        let room = Broadcast()
        var options = UpgradeOptions.patient
        options.closeTimeout = .seconds(600)
        let harness = try EchoServer { [options] routing, log in
            routing.append("/member", ws.upgrade(options) { socket in room.add(socket) })
            routing.append(
                "/producer",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    room.add(socket)
                    let bytes = [UInt8](repeating: 0, count: 1 << 20)
                    while !Task.isCancelled { try await socket.send(bytes) }
                })
        }
        var client = ConnectOptions.patient
        client.closeTimeout = .seconds(600)
        let socket = try await ws.open(harness.url + path, options: client)
        try await socket.send("nobody reads this")
        try socket.close(4000)
        let end = try await socket.closed()
        #expect(end.code == 4000 && end.wasClean && end.endReason == .closed)
    }
}
