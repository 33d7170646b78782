import Synchronization
import Testing
import WSTransport

@Suite("ws.Socket: events, state, order, closing", .timeLimit(.minutes(10)))
struct SocketTests {
    /// Notes every event of a socket.
    private static func note(_ socket: WebSocket, in log: EchoServer.Notes) {
        for event in WebSocket.Event.allCases where event != .newListener && event != .removeListener {
            socket.on(event) { payload in
                switch payload {
                case .message(let message): log.add("message \(message.type) \(message.length)")
                case .error(let info), .close(let info):
                    log.add("\(info.type.rawValue) \(info.code) \(info.wasClean) \(info.target.readyState)")
                default: log.add(payload.event.rawValue)
                }
            }
        }
    }

    @Test func opensSendsAndReceives() async throws {
        let harness = try EchoServer()
        let socket = WebSocket(
            harness.url + "/ws", protocol: "chat", origin: harness.url.replacing("ws:", with: "http:"))
        #expect(socket.url == harness.url + "/ws" && socket.origin.hasPrefix("http:"))
        let log = EchoServer.Notes()
        socket.onopen = { log.add("open \(socket.readyState)") }
        socket.onmessage = { message in
            log.add("\(message.data.map { "\($0)" } ?? "none") \(message.compress) \(message.masked)")
        }
        socket.onclose = { info in log.add("close \(info.code) \(info.reason) \(socket.readyState)") }
        await log.wait(for: 1)
        #expect(socket.protocol.isEmpty, "the server chose none")
        try await socket.send("grüß")
        try await socket.send([0, 255])
        try await socket.send("")
        await log.wait(for: 4)
        try socket.close(1000, reason: "123")
        try socket.close()
        await log.wait(for: 5)
        #expect(
            log.all == [
                "open OPEN", "text(\"grüß\") false false", "binary([0, 255]) false false", "text(\"\") false false",
                "close 1000 123 CLOSED",
            ])
        #expect(throws: WS.Error.invalidState(.closed)) { try socket.send("late") }
        try socket.close()
    }

    @Test func deliversEventsToListenersAddedByOn() async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/on",
                ws.upgrade(.patient) { (socket, request) in
                    log.add("upgrade \(request.firstHeader("upgrade") ?? "")")
                    socket.on(.message) { payload in
                        guard let message = payload.message else { return }
                        log.add("server \(message.masked)")
                        try? socket.send(message.body)
                    }
                })
        }
        let socket = WebSocket(harness.url + "/on", options: .patient)
        let log = EchoServer.Notes()
        Self.note(socket, in: log)
        await log.wait(for: 1)
        try await socket.send("x")
        await log.wait(for: 2)
        #expect(log.all == ["open", "message binary 1"])
        #expect(harness.log.all == ["upgrade websocket", "server true"])
    }

    /// No listener, no route, a refusal, no server of WebSockets, an invalid address.
    @Test func reportsFailuresAsEvents() async throws {
        let harness = try EchoServer { routing, _ in
            routing.append(
                "/no", FunctionHandler { (_: ServerRequest) in throw HTTPRefusal(status: 403, message: "no") })
            routing.append("/page", FunctionHandler { (request: ServerRequest) in request.response.write("page") })
        }
        let free = try EchoServer().server
        let port = free.port
        await free.stop()
        let urls = [
            "ws://127.0.0.1:\(port)/", harness.url + "/nowhere", harness.url + "/no", harness.url + "/page", "http:/x",
            "",
            "ws://no-such-host.invalid/",
        ]
        for url in urls {
            let socket = WebSocket(url)
            let log = EchoServer.Notes()
            Self.note(socket, in: log)
            await log.wait(for: 2)
            #expect(log.all == ["error 1002 false CLOSED", "close 1006 false CLOSED"], "\(url)")
            #expect(try await socket.closed().code == 1006)
        }
    }

    @Test func timesOutConnecting() async throws {
        let silent = try LoopbackServer.answering { _ in nil }
        let socket = WebSocket("ws://127.0.0.1:\(silent.port)/", protocol: "chat")
        let log = EchoServer.Notes()
        Self.note(socket, in: log)
        #expect(socket.readyState == .connecting)
        #expect(socket.protocol == "chat", "the offered subprotocol, until it is open")
        #expect(throws: WS.Error.invalidState(.connecting)) { try socket.send("early") }
        try socket.close()
        #expect(socket.readyState == .closed)
        await log.wait(for: 2)
        #expect(log.all == ["error 1002 false CLOSED", "close 1006 false CLOSED"])
    }

    /// The server's code and reason reach the client, as an orderly end whatever the code.
    @Test(arguments: [1000, 3000, 4999] as [CloseCode])
    func reportsTheServersCloseCode(code: CloseCode) async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/close",
                ws.upgrade(.patient) { socket in
                    socket.onclose = { log.add("server \($0.code) \($0.reason) \($0.wasClean)") }
                    try? socket.close(code, reason: "remote")
                })
        }
        let socket = try await ws.open(harness.url + "/close", options: .patient)
        let info = try await socket.closed()
        #expect(info.code == code && info.reason == "remote" && info.wasClean && info.type == .close)
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["server \(code) remote true"])
    }

    /// A clean close with 1001 is not an error.
    @Test func goingAwayIsNotAnError() async throws {
        let harness = try EchoServer()
        let socket = try await ws.open(harness.url + "/ws", options: .patient)
        let log = EchoServer.Notes()
        Self.note(socket, in: log)
        await harness.server.stop()
        await log.wait(for: 1)
        #expect(log.all == ["close 1001 true CLOSED"])
    }

    @Test func reportsALostConnection() async throws {
        let harness = try EchoServer { routing, _ in
            routing.append("/cut", ws.upgrade(.patient) { socket in socket.onmessage = { await $0.stream?.close() } })
        }
        let socket = try await ws.open(harness.url + "/cut", options: .patient)
        let log = EchoServer.Notes()
        Self.note(socket, in: log)
        try await socket.send("cut me off")
        await log.wait(for: 2)
        #expect(log.all == ["error 1001 false CLOSED", "close 1006 false CLOSED"])
        await #expect(throws: WS.Error.closed(1006, reason: "")) { try await socket.receive() }
    }

    @Test func reportsAViolation() async throws {
        let harness = try EchoServer { routing, _ in
            routing.append("/text", ws.upgrade(.patient) { socket in socket.onopen = nil })
        }
        var options = ConnectOptions.patient
        options.maxPayload = 3
        let socket = try await ws.open(harness.url + "/ws", options: options)
        let log = EchoServer.Notes()
        Self.note(socket, in: log)
        try await socket.send("four")
        await log.wait(for: 2)
        #expect(log.all == ["error 1009 false CLOSED", "close 1006 false CLOSED"])
    }

    @Test func rejectsReservedCodesAndLongReasons() async throws {
        let harness = try EchoServer()
        let socket = try await ws.open(harness.url + "/ws", options: .patient)
        for code: CloseCode in [0, 999, 1001, 1002, 1005, 1006, 2999, 5000] {
            #expect(throws: WS.Error.self) { try socket.close(code) }
        }
        #expect(throws: WS.Error.self) { try socket.close(1000, reason: String(repeating: "x", count: 124)) }
        #expect(throws: WS.Error.controlTooLong) { try socket.ping([UInt8](repeating: 0, count: 126)) }
        #expect(socket.readyState == .open)
        try socket.close(3000, reason: String(repeating: "x", count: 123))
        #expect(socket.readyState >= .closing)
        #expect(try await socket.closed().code == 3000)
    }

    @Test func receivesAPong() async throws {
        let harness = try EchoServer { routing, log in
            routing.append("/ping", ws.upgrade(.patient) { socket in socket.on(.ping) { _ in log.add("pinged") } })
        }
        let socket = try await ws.open(harness.url + "/ping", options: .patient)
        let log = EchoServer.Notes()
        Self.note(socket, in: log)
        #expect(socket.lastPong == nil)
        try socket.ping([1, 2])
        await log.wait(for: 1)
        #expect(log.all == ["pong"] && socket.lastPong != nil)
        await harness.log.wait(for: 1)
    }

    @Test func keepsTheOrderOfABurst() async throws {
        let harness = try EchoServer()
        let socket = WebSocket(harness.url + "/ws", options: .patient)
        let log = EchoServer.Notes()
        socket.onopen = { for number in 0..<1000 { try? socket.send("\(number)") } }
        socket.onmessage = { log.add($0.data?.text ?? "") }
        await log.wait(for: 1000)
        #expect(log.all == (0..<1000).map(String.init))
    }

    /// The limit applies to each message, not to all together.
    @Test func theLimitAppliesToEachMessageOnly() async throws {
        let harness = try EchoServer { routing, _ in
            routing.append(
                "/flood",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    for _ in 0..<1025 { try await socket.send([UInt8](repeating: 7, count: 65_536)) }
                    try socket.close()
                })
        }
        let socket = try await ws.open(harness.url + "/flood", options: .patient)
        var count = 0
        for try await message in socket.messages {
            #expect(message.length == 65_536)
            count += 1
        }
        #expect(count == 1025)
    }

    /// If a client does not read, an immediate send is refused or closes the connection, and an awaited one waits.
    @Test(arguments: [UpgradeOptions.SlowReaders.close, .refuse])
    func limitsUnsentBytes(policy: UpgradeOptions.SlowReaders) async throws {
        var options = UpgradeOptions.patient
        options.maximumUnsent = 100_000
        options.slowReaders = policy
        let harness = try EchoServer { [options] routing, log in
            routing.append(
                "/flood",
                ws.upgrade(options) { socket in
                    socket.onclose = { log.add("close \($0.code) \($0.wasClean)") }
                    socket.onerror = { log.add("error \($0.code)") }
                    let bytes = [UInt8](repeating: 7, count: 50_000)
                    do { while true { try socket.send(bytes) } } catch { log.add("\(error)") }
                    log.add("\(socket.bufferedAmount > 100_000)")
                })
        }
        let stream = try await ws.connect(harness.url + "/flood", options: .patient)
        await harness.log.wait(for: policy == .close ? 4 : 2)
        let refusal = "more than 100000 bytes are unsent"
        #expect(harness.log.all.prefix(2) == [refusal, "true"])
        if policy == .close { #expect(harness.log.all.dropFirst(2) == ["error 1013", "close 1006 false"]) }
        await stream.close()
    }

    @Test(arguments: [(true, true), (true, false), (false, true)])
    func compressesIfBothAgree(client: Bool, server: Bool) async throws {
        var options = UpgradeOptions.patient
        options.perMessageDeflate = server ? CompressionOptions() : nil
        let seen = EchoServer.Notes()
        let harness = try EchoServer { [options] routing, _ in
            routing.append(
                "/deflate",
                ws.upgrade(options) { socket in
                    socket.onmessage = { message in
                        seen.add("\(message.compress)")
                        try? socket.send(message.data?.text ?? "")
                    }
                })
        }
        var asked = ConnectOptions.patient
        asked.perMessageDeflate = client ? CompressionOptions() : nil
        let socket = try await ws.open(harness.url + "/deflate", options: asked)
        let text = String(repeating: "again ", count: 200)
        try await socket.send(text)
        let message = try #require(try await socket.receive())
        #expect(message.data == .text(text) && message.compress == (client && server))
        #expect(seen.all == ["\(client && server)"])
    }

    // MARK: Listeners

    @Test func replacesAndRemovesListeners() async throws {
        let harness = try EchoServer()
        let socket = try await ws.open(harness.url + "/ws", options: .patient)
        let log = EchoServer.Notes()
        socket.on(.newListener) { if case .newListener(let event) = $0 { log.add("new \(event)") } }
        let token = socket.on(.message) { _ in log.add("first") }
        socket.once(.message) { _ in log.add("once") }
        socket.prependListener(.message) { _ in log.add("prepended") }
        await log.wait(for: 3)
        #expect(socket.listenerCount(.message) == 3 && Set(socket.eventNames) == [.message, .newListener])
        try await socket.send("1")
        await log.wait(for: 6)
        socket.off(token)
        try await socket.send("2")
        await log.wait(for: 7)
        socket.onmessage = { _ in log.add("the only one") }
        #expect(socket.listenerCount(.message) == 1 && socket.onmessage != nil)
        #expect(socket.emit(.message(WebSocketMessage("emitted"))))
        await log.wait(for: 9)
        socket.removeAllListeners()
        #expect(!socket.emit(.open) && socket.eventNames.isEmpty && socket.onmessage == nil)
        #expect(
            log.all == [
                "new message", "new message", "new message", "prepended", "first", "once", "prepended", "new message",
                "the only one",
            ])
    }

    /// Messages from before the first listener are not lost, and a slow listener makes the peer wait.
    @Test func keepsMessagesForItsListeners() async throws {
        var options = UpgradeOptions.patient
        options.maximumHeld = 1000
        let sockets = Mutex<[WebSocket]>([])
        let harness = try EchoServer { [options] routing, log in
            routing.append(
                "/later",
                ws.upgrade(options) { socket in
                    sockets.withLock { $0.append(socket) }
                    log.add("accepted")
                })
        }
        let socket = try await ws.open(harness.url + "/later", options: .patient)
        for number in 0..<200 { try await socket.send("\(number) " + String(repeating: "x", count: 1000)) }
        await harness.log.wait(for: 1)
        let server = try #require(sockets.withLock { $0.first })
        server.onmessage = { harness.log.add(String($0.data?.text?.prefix { $0 != " " } ?? "")) }
        await harness.log.wait(for: 201)
        #expect(harness.log.all.dropFirst().elementsEqual((0..<200).map(String.init)))
    }

    // MARK: Life

    /// Reports its release.
    private final class Trace: Sendable {
        private let log: EchoServer.Notes
        init(_ log: EchoServer.Notes) { self.log = log }
        deinit { log.add("released") }
    }

    @Test func releasesItsListenersWhenClosed() async throws {
        let harness = try EchoServer()
        let log = EchoServer.Notes()
        do {
            let socket = WebSocket(harness.url + "/ws", options: .patient)
            let trace = Trace(log)
            // A listener lives as long as its socket.
            socket.onmessage = { _ in _ = trace }
            socket.onopen = { try? socket.close() }
            socket.onclose = { _ in log.add("closed") }
        }
        await log.wait(for: 2)
        #expect(log.all == ["closed", "released"])
    }

    @Test func closesWhenDeallocated() async throws {
        let harness = try EchoServer { routing, log in
            routing.append("/gone", ws.upgrade(.patient) { $0.onclose = { log.add("\($0.code) \($0.wasClean)") } })
        }
        do { _ = try await ws.open(harness.url + "/gone", options: .patient) }
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["1001 true"])
    }

    @Test func refKeepsWaitForAllWaiting() async throws {
        let harness = try EchoServer()
        let socket = try await ws.open(harness.url + "/ws", options: .patient).ref()
        let log = EchoServer.Notes()
        let waiting = Task {
            try await ws.waitForAll()
            log.add("all over")
        }
        log.add("closing")
        try socket.close()
        try await waiting.value
        #expect(log.all == ["closing", "all over"])
        try await ws.waitForAll()
    }

    @Test func cancellingAReaderKeepsTheConnection() async throws {
        let harness = try EchoServer()
        let socket = try await ws.open(harness.url + "/ws", options: .patient)
        let reading = Task { try await socket.receive() }
        reading.cancel()
        await #expect(throws: CancellationError.self) { try await reading.value }
        try await socket.send("on it goes")
        #expect(try await socket.receive()?.data == .text("on it goes"))
    }
}
