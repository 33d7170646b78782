import Glibc
import Synchronization
import Testing

@testable import WSTransport

@Suite("ws: every wait can be cancelled, and no task outlives its connection or its server", .timeLimit(.minutes(10)))
struct StructureTests {
    /// A server that reads nothing.
    private static func deafHarness() throws -> EchoServer {
        var options = UpgradeOptions.patient
        options.maximumHeld = 1000
        return try EchoServer { [options] routing, log in
            routing.append(
                "/deaf",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    await log.wait(for: 1)
                    for try await message in socket.messages { log.add("\(message.length)") }
                })
        }
    }

    /// The error of a task that is cancelled while it waits.
    private static func cancelled(_ body: @escaping @Sendable () async throws -> Void) async -> (any Error)? {
        let task = Task.immediate { try await body() }
        task.cancel()
        do { try await task.value } catch { return error }
        return nil
    }

    @Test func cancelsAWaitingSend() async throws {
        let harness = try Self.deafHarness()
        var options = ConnectOptions.patient
        options.maximumUnsent = 64 << 20
        let socket = try await ws.open(harness.url + "/deaf", options: options)
        for _ in 0..<32 { try socket.core.post(.binary, [UInt8](repeating: 7, count: 1 << 20)) }
        let first = Task.immediate { try await socket.send("one") }
        let second = Task.immediate { try await socket.send("second") }
        #expect(socket.core.state.withLock { $0.senders.count } == 2)
        #expect(try socket.trySend("not sent") == false)
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        #expect(socket.core.state.withLock { $0.senders.count } == 1)
        harness.log.add("read")
        try await second.value
        await harness.log.wait(for: 34)
        #expect(harness.log.all.last == "6", "the socket continues, and the cancelled message is not sent")
        #expect(try socket.trySend("sent"))
    }

    @Test func cancelsAnyOtherWait() async throws {
        let harness = try Self.deafHarness()
        let socket = try await ws.open(harness.url + "/deaf", options: .patient).ref()
        #expect(await Self.cancelled { _ = try await socket.closed() } is CancellationError)
        #expect(await Self.cancelled { try await ws.waitForAll() } is CancellationError)
        #expect(await Self.cancelled { _ = try await socket.receive() } is CancellationError)
        #expect(socket.readyState == .open)
        socket.unref()
        let stream = try await ws.connect(harness.url + "/deaf", options: .patient)
        #expect(await Self.cancelled { _ = try await stream.read() } is CancellationError)
        // A message that is never read, larger than any kernel accepts.
        let first = WebSocketPeer.bytes(.binary, [UInt8](repeating: 0, count: 2000))
        let message = WebSocketPeer.bytes(.binary, [UInt8](repeating: 0, count: 32 << 20))
        let write = Task.immediate { try await stream.write(first + message) }
        // The write may already have sent all bytes, and then there is nothing to flush.
        #expect(await Self.cancelled { try await stream.flush() } is CancellationError)
        write.cancel()
        await #expect(throws: CancellationError.self) { try await write.value }
    }

    /// A handler with a limit of its own for a body that does not come to its end.
    @Test func cancelsReadingABody() async throws {
        let harness = try EchoServer { routing, log in
            routing.post(
                "/slow",
                FunctionHandler { (request: ServerRequest) in
                    let reading = Task.immediate { try await request.readBody() }
                    reading.cancel()
                    do { _ = try await reading.value } catch { log.add("\(error is CancellationError)") }
                    request.response.statusCode = 408
                })
        }
        let head = "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345"
        let answer = try await EchoServer.ask(harness.server.port, head)
        #expect(answer.hasPrefix("HTTP/1.1 408 ") && harness.log.all == ["true"])
    }

    /// A handler whose client reads nothing of a response.
    @Test func cancelsWritingAResponse() async throws {
        let harness = try EchoServer { routing, log in
            routing.get(
                "/long",
                FunctionHandler { (request: ServerRequest) in
                    let stream = try await request.startStream()
                    // More than any kernel accepts.
                    let writing = Task.immediate { try await stream.write([UInt8](repeating: 7, count: 64 << 20)) }
                    writing.cancel()
                    do { try await writing.value } catch { log.add("\(error is CancellationError)") }
                })
        }
        let client = try await RawClient.connect(port: harness.server.port)
        try await client.write(Array("GET /long HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["true"])
        await client.close()
    }

    /// A server that accepts connections and sends nothing.
    @Test func cancelsConnecting() async throws {
        let silent = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { Glibc.close(silent) }
        listen(silent, 16)
        let port = try #require(Socket.localAddress(silent)).port
        let url = "ws://127.0.0.1:\(port)/"
        #expect(await Self.cancelled { _ = try await ws.open(url, options: .patient) } is CancellationError)
        #expect(await Self.cancelled { _ = try await ws.connect(url, options: .patient) } is CancellationError)
    }

    @Test(arguments: [UpgradeOptions.Executor.global, .reactor])
    func runsClosuresOnTheirExecutor(executor: UpgradeOptions.Executor) async throws {
        var options = UpgradeOptions.patient
        options.executor = executor
        let harness = try EchoServer { [options] routing, log in
            let note = { @Sendable (name: String, socket: WebSocket) in
                log.add("\(name) \(socket.core.link.remote?.isCurrentThread ?? false)")
            }
            routing.append(
                "/where",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    note("closure", socket)
                    async let child: Void = note("child", socket)
                    await child
                    socket.onmessage = { _ in note("listener", socket) }
                    try await socket.send("ready")
                    _ = try? await socket.closed()
                })
        }
        let socket = try await ws.open(harness.url + "/where", options: .patient)
        #expect(try await socket.receive()?.data?.text == "ready")
        try await socket.send("go")
        await harness.log.wait(for: 3)
        let isReactor = executor == .reactor
        #expect(harness.log.all == ["closure \(isReactor)", "child \(isReactor)", "listener \(isReactor)"])
    }

    /// An error that a closure throws is reported, and the end of its peer is not.
    @Test func reportsErrorsOfClosures() async throws {
        struct Failed: Error {}
        let errors = EchoServer.Notes()
        var values = HTTPServer.Options()
        values.onError = { error, request in errors.add("\(request.path): \(type(of: error))") }
        let harness = try EchoServer(server: values) { routing, log in
            routing.append("/throws", ws.upgrade(.patient) { (_: WebSocket) async throws in throw Failed() })
            routing.append(
                "/reads",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    defer { log.add("over") }
                    while try await socket.receive() != nil {}
                })
        }
        let gone = try await ws.open(harness.url + "/reads", options: .patient)
        gone.terminate()
        await harness.log.wait(for: 1)
        let socket = try await ws.open(harness.url + "/throws", options: .patient)
        #expect(try await socket.closed().code == .internalError)
        await errors.wait(for: 1)
        #expect(errors.all == ["/throws: Failed"])
    }

    /// A closure that only sends learns of the end only by its cancellation.
    private static func producingHarness() throws -> EchoServer {
        try EchoServer { routing, log in
            routing.append(
                "/produce",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    try await socket.send("ready")
                    defer { log.add("cleaned up, \(Task.isCancelled)") }
                    await EchoServer.waitForCancellation()
                })
        }
    }

    @Test func cancelsAClosureWhenItsConnectionEnds() async throws {
        let harness = try Self.producingHarness()
        let socket = try await ws.open(harness.url + "/produce", options: .patient)
        #expect(try await socket.receive()?.data?.text == "ready")
        socket.terminate()
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["cleaned up, true"])
    }

    @Test func stopsOnceItsClosuresHaveEnded() async throws {
        let harness = try Self.producingHarness()
        let socket = try await ws.open(harness.url + "/produce", options: .patient)
        #expect(try await socket.receive()?.data?.text == "ready")
        await harness.server.stop(patience: .seconds(500))
        #expect(harness.log.all == ["cleaned up, true"])
        #expect(try await socket.closed().code == .goingAway)
    }

    /// A cancelled closure may still read the messages from before the end, each once.
    @Test func aCancelledClosureCanReadEarlierMessages() async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/late",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    await EchoServer.waitForCancellation()
                    do { while let message = try await socket.receive() { log.add(message.data?.text ?? "") } } catch {
                        log.add("\(error)")
                    }
                })
        }
        let address = try #require(SocketAddress(host: "127.0.0.1", port: harness.server.port))
        let opening = HTTPPeer(try SocketPeer(to: address))
        try opening.send("GET /late HTTP/1.1\r\nHost: h\r\n\(EchoServer.handshake)\r\n")
        #expect(try opening.readHead().status == 101)
        let peer = WebSocketPeer(after: opening)
        try peer.send(.text, Array("first".utf8))
        peer.socket.close()
        await harness.log.wait(for: 2)
        #expect(harness.log.all == ["first", "the connection was lost"])
    }

    @Test func doesNotWaitForTheClosureThatCallsStop() async throws {
        let server = Mutex<HTTPServer?>(nil)
        let harness = try EchoServer { routing, log in
            routing.append(
                "/stop",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    _ = try await socket.receive()
                    await server.withLock { $0 }?.stop(patience: .seconds(500))
                    log.add("stopped")
                })
        }
        server.withLock { $0 = harness.server }
        let socket = try await ws.open(harness.url + "/stop", options: .patient)
        try await socket.send("stop")
        #expect(try await socket.closed().code == .goingAway)
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["stopped"])
        server.withLock { $0 = nil }
    }

    // MARK: A socket for the time of a function

    private static func notingHarness() throws -> EchoServer {
        try EchoServer { routing, log in
            routing.append(
                "/note", ws.upgrade(.patient) { socket in socket.onclose = { log.add("\($0.code) \($0.wasClean)") } })
        }
    }

    @Test func closesTheSocketWhenItsFunctionReturns() async throws {
        let harness = try Self.notingHarness()
        let state = try await ws.withSocket(harness.url + "/note", options: .patient) { socket in
            try await socket.send("x")
            return (socket, socket.readyState)
        }
        #expect(state.0.readyState == .closed && state.1 == .open)
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["1000 true"])
    }

    @Test func closesTheSocketWhenItsFunctionThrows() async throws {
        struct Failed: Error {}
        let harness = try Self.notingHarness()
        await #expect(throws: Failed.self) {
            try await ws.withSocket(harness.url + "/note", options: .patient) { _ in throw Failed() }
        }
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["1011 true"])
    }

    @Test func closesTheSocketWhenItsTaskIsCancelled() async throws {
        let harness = try Self.notingHarness()
        let opened = EchoServer.Notes()
        let task = Task {
            try await ws.withSocket(harness.url + "/note", options: .patient) { socket in
                opened.add("open")
                _ = try await socket.receive()
            }
        }
        await opened.wait(for: 1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["1001 true"])
    }
}
