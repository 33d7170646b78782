import Synchronization
import Testing

@testable import WSTransport

@Suite("ws.Socket: every message is read once, and answered before the end", .timeLimit(.minutes(10)))
struct TakingTests {
    /// A handshake's connection, and the frames that follow.
    private static func peer(_ harness: EchoServer, _ path: String) throws -> WebSocketPeer {
        guard let address = SocketAddress(host: "127.0.0.1", port: harness.server.port) else { throw WS.Error.busy }
        let opening = HTTPPeer(try SocketPeer(to: address))
        try opening.send("GET \(path) HTTP/1.1\r\nHost: h\r\n\(EchoServer.handshake)\r\n")
        guard try opening.readHead().status == 101 else { throw WS.Error.busy }
        return WebSocketPeer(after: opening)
    }

    private static let askAndClose =
        WebSocketPeer.bytes(.text, Array("ask".utf8))
        + FrameEncoder.closeFrame(4000, reason: "bye", maskingKey: FrameKeys.any)

    /// Closures that answer, each in its way, some time after the CLOSE has arrived.
    private static func answeringHarness() throws -> EchoServer {
        var options = UpgradeOptions.patient
        options.closeTimeout = .seconds(600)
        return try EchoServer { [options] routing, log in
            routing.append(
                "/listen",
                ws.upgrade(options) { socket in
                    socket.onmessage = { message in
                        await log.wait(for: 1)
                        try? await socket.send("answer")
                    }
                })
            routing.append(
                "/read",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    await log.wait(for: 1)
                    for try await _ in socket.messages { try await socket.send("answer") }
                })
            // It answers, and continues to send: a CLOSE does not wait for sending that only the CLOSE can end.
            routing.append(
                "/stream",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    _ = try await socket.receive()
                    try await socket.send("answer")
                    await EchoServer.waitForCancellation()
                })
        }
    }

    @Test(arguments: ["/listen", "/read", "/stream"])
    func answersMessagesBeforeTheClose(path: String) throws {
        let harness = try Self.answeringHarness()
        let peer = try Self.peer(harness, path)
        try peer.socket.send(Self.askAndClose)
        // The answer to an earlier PING: the CLOSE has been read.
        harness.log.add("go on")
        #expect(try peer.readFrame() == WebSocketPeer.Frame(.text, Array("answer".utf8)))
        #expect(try peer.readFrame() == .close(4000, "bye"))
        #expect(try peer.readFrame() == nil)
    }

    /// The same for a client whose server sends a message and closes.
    @Test func aClientAnswersMessagesBeforeTheClose() async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/ask",
                ws.upgrade(.patient) { socket in
                    socket.onmessage = { log.add($0.data?.text ?? "") }
                    socket.onclose = { log.add("\($0.code) \($0.endReason)") }
                    try? socket.send("ask")
                    try? socket.close(4001)
                })
        }
        let socket = try await ws.open(harness.url + "/ask", options: .patient)
        #expect(try await socket.receive()?.data?.text == "ask")
        await #expect(throws: WS.Error.closed(4001, reason: "")) { _ = try await socket.receive() }
        #expect(socket.closeCode == 4001 && socket.endReason == .closedByPeer && socket.closeReason == "")
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["4001 closed"])
    }

    /// A client that has read its message and does nothing more does not delay the end.
    @Test func anIdleClientDoesNotDelayTheClose() async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/greet",
                ws.upgrade(.patient) { socket in
                    socket.onclose = { log.add("\($0.code) \($0.endReason)") }
                    socket.onmessage = { _ in try? socket.close(4002) }
                    try? socket.send("hello")
                })
        }
        var options = ConnectOptions.patient
        options.closeTimeout = .seconds(600)
        let socket = try await ws.open(harness.url + "/greet", options: options)
        try await socket.send("close")
        #expect(try await socket.receive()?.data?.text == "hello")
        #expect(try await socket.closed().code == 4002)
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["4002 closed"])
    }

    /// With a message that is never read, a peer that has closed does not wait for `closeTimeout`.
    @Test func answersTheCloseWhileAClosureAwaitsIt() async throws {
        var patient = UpgradeOptions.patient
        patient.closeTimeout = .seconds(600)
        let harness = try EchoServer { [patient] routing, log in
            routing.append(
                "/waits", ws.upgrade(patient) { socket in log.add("\(try await socket.closed().endReason)") })
        }
        var options = ConnectOptions.patient
        options.closeTimeout = .seconds(600)
        let socket = try await ws.open(harness.url + "/waits", options: options)
        try await socket.send("unread")
        try socket.close(4001)
        #expect(try await socket.closed().code == 4001)
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["closed by the peer"])
    }

    @Test func refusesToReadWhileAListenerIsSet() async throws {
        let harness = try EchoServer()
        let socket = try await ws.open(harness.url + "/ws", options: .patient)
        let early = Task.immediate { try await socket.receive() }
        let log = EchoServer.Notes()
        let token = socket.on(.message) { log.add($0.message?.data?.text ?? "") }
        await #expect(throws: WS.Error.messagesAreListenedTo) { try await early.value }
        await #expect(throws: WS.Error.messagesAreListenedTo) { try await socket.receive() }
        try await socket.send("listened to")
        await log.wait(for: 1)
        socket.off(token)
        try await socket.send("read")
        #expect(try await socket.receive()?.data?.text == "read")
        #expect(log.all == ["listened to"])
    }

    /// A closure's own task, which waits in a way of its own, and another one, which is cancelled while it waits.
    @Test(arguments: [UpgradeOptions.Executor.global, .reactor])
    func cancelsTheWaitsOfAClosure(executor: UpgradeOptions.Executor) async throws {
        var options = UpgradeOptions.patient
        options.executor = executor
        let harness = try EchoServer { [options] routing, log in
            routing.append(
                "/waits",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    let other = Task { try await socket.receive() }
                    other.cancel()
                    do { _ = try await other.value } catch { log.add("\(type(of: error))") }
                    // The first is read by `receive`, the second by the sequence.
                    log.add(try await socket.receive()?.data?.text ?? "")
                    for try await message in socket.messages {
                        log.add(message.data?.text ?? "")
                        withUnsafeCurrentTask { $0?.cancel() }
                        do { _ = try await socket.receive() } catch { log.add("\(type(of: error))") }
                    }
                })
        }
        let socket = try await ws.open(harness.url + "/waits", options: .patient)
        await harness.log.wait(for: 1)
        try await socket.send("one")
        await harness.log.wait(for: 2)
        try await socket.send("two")
        await harness.log.wait(for: 4)
        #expect(harness.log.all == ["CancellationError", "one", "two", "CancellationError"])
        // What the sequence throws next ends the closure: the socket is not needed any more.
        #expect(try await socket.closed().code == 1011)
    }

    /// Messages refer to what received them; those that nobody can take do not keep it.
    @Test(arguments: [4, 400])
    func dropsMessagesThatNobodyCanTake(count: Int) {
        weak var dropped: SocketCore?
        func receive(_ core: SocketCore) {
            [UInt8](repeating: 0x61, count: count).withUnsafeBytes { bytes in
                _ = core.received(ReceivedBytes(.text, bytes, isCompressed: false))
            }
        }
        do {
            let core = SocketCore(link: ReactorLink(remote: nil), limits: .init(), isClient: false, subprotocol: "")
            dropped = core
            do {
                let socket = WebSocket(url: "", origin: "", offered: "", core: core)
                receive(core)
                #expect(core.state.withLock { $0.hasMessages })
                withExtendedLifetime(socket) {}
            }
            #expect(core.state.withLock { !$0.hasMessages })
            receive(core)
            #expect(core.state.withLock { !$0.hasMessages })
        }
        #expect(dropped == nil)
    }

    @Test(arguments: [(1000, true), (1001, true), (1008, false), (1011, false), (3000, false), (4401, false)])
    func endsOrFailsAReaderByTheCloseCode(code: UInt16, isOrderly: Bool) async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/read",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    do {
                        for try await _ in socket.messages {}
                        log.add("the end")
                    } catch {
                        log.add("\(error)")
                    }
                })
        }
        let peer = try Self.peer(harness, "/read")
        try peer.sendClose(CloseCode(rawValue: code), "why")
        #expect(try peer.readFrame() == .close(CloseCode(rawValue: code), "why"))
        await harness.log.wait(for: 1)
        #expect(harness.log.all == [isOrderly ? "the end" : "the connection was closed with code \(code): why"])
    }

    @Test func reportsAViolationToAReader() async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/read",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    do { for try await _ in socket.messages {} } catch { log.add("\(error)") }
                    log.add("\(socket.endReason.map { "\($0)" } ?? "-")")
                })
        }
        let peer = try Self.peer(harness, "/read")
        // A client's frame without a mask.
        try peer.socket.send([0x81, 1, 97])
        await harness.log.wait(for: 2)
        #expect(
            harness.log.all == [
                "the peer broke the protocol: frame from a client is not masked (1002)", "the peer broke the protocol",
            ])
    }

    // MARK: Sending

    @Test func pingWaitsForItsPong() async throws {
        let harness = try EchoServer()
        let socket = try await ws.open(harness.url + "/ws", options: .patient)
        async let first = socket.ping()
        async let second = socket.ping()
        let (one, other) = try await (first, second)
        #expect(one > .zero && other > .zero)
        #expect(socket.lastPong != nil && socket.core.state.withLock { $0.pings.isEmpty })
        socket.terminate()
        _ = try await socket.closed()
        await #expect(throws: WS.Error.invalidState(.closed)) { try await socket.ping() }
    }

    @Test func sendsEveryKindOfPayload() async throws {
        let harness = try EchoServer()
        let socket = try await ws.open(harness.url + "/ws", options: .patient)
        try await socket.send(ws.Message("text"))
        try await socket.send((0..<3).lazy.map { UInt8($0) })
        try await socket.send([1, 2, 3, 4][1...])
        let bytes: [UInt8] = [7, 8]
        try socket.send(copying: bytes.span)
        for expected in [.text("text"), .binary([0, 1, 2]), .binary([2, 3, 4]), .binary([7, 8])] as [ws.Message.Data] {
            #expect(try await socket.receive()?.data == expected)
        }
        await #expect(throws: WS.Error.badType("expected a text or a binary message, found opcode 9")) {
            try await socket.send(ws.Message(type: ws.PING))
        }
        let broken = ws.Message(type: ws.Message.TEXT)
        broken.body = [0xFF]
        await #expect(throws: WS.Error.badType("a text message must be UTF-8")) { try await socket.send(broken) }
    }

    @Test func listsItsListeners() async throws {
        let socket = WebSocket("ws:/")
        let token = socket.addListener(.pong) { _ in }
        #expect(socket.listeners(.pong).count == 1)
        socket.removeListener(token)
        #expect(socket.listeners(.pong).isEmpty)
    }

    @Test func changesHeaderFields() {
        var fields: HeaderFields = ["A": "1", "X": "1", "B": "2", "x": "2"]
        fields["x"] = "3"
        #expect(fields == ["A": "1", "x": "3", "B": "2"])
        fields["C"] = "4"
        fields.remove("a")
        #expect(fields["X"] == "3" && fields == ["x": "3", "B": "2", "C": "4"])
        fields["b"] = nil
        #expect(fields == ["x": "3", "C": "4"])
    }

    // MARK: Random orders

    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) ^ (state << 31)
        }
    }

    private static let count = 60

    /// Sends numbers, some at once and some by waiting, and closes.
    private static func send(_ socket: WebSocket, seed: Int) async throws {
        var random = Random(state: UInt64(seed) &+ 1)
        for number in 0..<count {
            // Small and large ones wait in different ways.
            let text = (Bool.random(using: &random) ? "" : String(repeating: "0", count: 70)) + "\(number)"
            switch Int.random(in: 0..<4, using: &random) {
            case 0: try await socket.send(text)
            case 1: if try !socket.trySend(text) { try await socket.send(text) }
            case 2:
                await Task {}.value
                try await socket.send([UInt8](text.utf8))
            default:
                try await socket.send(text)
                try socket.core.post(.ping, [])
            }
        }
        try socket.close(Bool.random(using: &random) ? 1000 : 4000)
    }

    /// Reads messages by listeners that come and go, by readers and by cancelled waits, until the end.
    ///
    /// Returns the messages of the listeners, and those of the readers.
    private static func take(_ socket: WebSocket, seed: Int) async -> [[Int]] {
        var random = Random(state: UInt64(seed) &+ 1_000_003)
        let taken = Mutex<[[Int]]>([[], []])
        let note = { @Sendable (message: WebSocketMessage?, isRead: Bool) in
            guard let message else { return }
            taken.withLock { $0[isRead ? 1 : 0].append(Int(String(decoding: message.body, as: UTF8.self)) ?? -1) }
        }
        var tokens: [WebSocket.Token] = []
        for _ in 0..<40 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0:
                if socket.listenerCount(.message) == 0 {
                    tokens.append(socket.on(.message) { note($0.message, false) })
                }
            case 1:
                for token in tokens { socket.off(token) }
                tokens = []
            case 2: if socket.listenerCount(.message) == 0 { socket.once(.message) { note($0.message, false) } }
            case 3: socket.onclose = { _ in }
            case 4: socket.on(.ping) { _ in await Task {}.value }
            case 5:
                let reading = Task { try await socket.receive() }
                await Task {}.value
                reading.cancel()
                note((try? await reading.value) ?? nil, true)
            case 6: note((try? await socket.receive()) ?? nil, true)
            default: await Task {}.value
            }
        }
        socket.removeAllListeners()
        // A running listener already has its message.
        do { while let message = try await socket.receive() { note(message, true) } } catch {}
        return taken.withLock { $0 }
    }

    @Test(arguments: 0..<16, [UpgradeOptions.Executor.global, .reactor])
    func readsEachMessageOnceUnderAnySchedule(seed: Int, executor: UpgradeOptions.Executor) async throws {
        let isServer = seed % 2 == 0
        let done = EchoServer.Notes()
        let taken = Mutex<[[Int]]>([])
        var options = UpgradeOptions.patient
        options.closeTimeout = .seconds(600)
        options.executor = executor
        let harness = try EchoServer { [options] routing, _ in
            routing.append(
                "/any",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    if isServer {
                        let all = await Self.take(socket, seed: seed)
                        taken.withLock { $0 = all }
                        done.add("all")
                    } else {
                        try await Self.send(socket, seed: seed)
                        _ = try? await socket.closed()
                    }
                })
        }
        var client = ConnectOptions.patient
        client.closeTimeout = .seconds(600)
        let socket = try await ws.open(harness.url + "/any", options: client)
        if isServer {
            try await Self.send(socket, seed: seed)
            _ = try await socket.closed()
            await done.wait(for: 1)
        } else {
            let all = await Self.take(socket, seed: seed)
            taken.withLock { $0 = all }
        }
        let numbers = taken.withLock { $0 }
        #expect(numbers.flatMap(\.self).sorted() == Array(0..<Self.count), "seed \(seed), \(executor): \(numbers)")
        #expect(numbers.allSatisfy { $0 == $0.sorted() }, "seed \(seed), \(executor): \(numbers)")
    }
}
