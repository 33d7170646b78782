import Synchronization
import Testing

@testable import WSTransport

@Suite("Broadcast, and the reports to a server's observer", .timeLimit(.minutes(10)))
struct BroadcastTests {
    /// A room in which every client receives each message.
    private static func room(_ options: UpgradeOptions = .patient, _ room: Broadcast) throws -> EchoServer {
        try EchoServer { routing, log in
            routing.append(
                "/room",
                ws.upgrade(options) { socket in
                    socket.onmessage = { message in
                        let isShy = message.data?.text?.hasPrefix("to the others") ?? false
                        room.send(message.data?.text ?? "", except: isShy ? socket : nil)
                    }
                    socket.onclose = { _ in log.add("left, \(room.count)") }
                    room.add(socket)
                    try? socket.send("welcome")
                })
        }
    }

    private static func texts(_ socket: WebSocket, _ count: Int) async throws -> [String] {
        var texts: [String] = []
        while texts.count < count, let message = try await socket.receive() { texts.append(message.data?.text ?? "") }
        return texts
    }

    @Test func sendsEachMessageToAllInOrder() async throws {
        let room = Broadcast()
        var options = UpgradeOptions.patient
        options.perMessageDeflate = CompressionOptions()
        let harness = try Self.room(options, room)
        var members: [WebSocket] = []
        for number in 0..<8 {
            var options = ConnectOptions.patient
            // Some get a frame of their own.
            if number % 3 == 0 { options.perMessageDeflate = CompressionOptions() }
            members.append(try await ws.open(harness.url + "/room", options: options))
            #expect(try await Self.texts(members[number], 1) == ["welcome"])
        }
        #expect(room.count == 8)
        let words = (0..<50).map { "message \($0) " + String(repeating: "x", count: 300) }
        for word in words { try await members[1].send(word) }
        try await members[1].send("to the others")
        for (number, member) in members.enumerated() {
            #expect(try await Self.texts(member, 50) == words)
            if number != 1 { #expect(try await Self.texts(member, 1) == ["to the others"]) }
        }
        try members[0].close()
        await harness.log.wait(for: 1)
        members[1].terminate()
        await harness.log.wait(for: 2)
        #expect(harness.log.all == ["left, 7", "left, 6"])
        try room.close(4000, reason: "closed")
        for member in members[2...] { #expect(try await member.closed().code == 4000) }
    }

    @Test func closesAMemberThatDoesNotRead() async throws {
        let room = Broadcast()
        var options = UpgradeOptions.patient
        options.maximumUnsent = 1 << 20
        let harness = try Self.room(options, room)
        let address = try #require(SocketAddress(host: "127.0.0.1", port: harness.server.port))
        let opening = HTTPPeer(try SocketPeer(to: address))
        try opening.send("GET /room HTTP/1.1\r\nHost: h\r\n\(EchoServer.handshake)\r\n")
        #expect(try opening.readHead().status == 101)
        let socket = try await ws.open(harness.url + "/room", options: .patient)
        #expect(try await Self.texts(socket, 1) == ["welcome"])
        let text = String(repeating: "y", count: 1 << 20)
        var count = 0
        while room.count == 2 {
            try await socket.send(text)
            #expect(try await Self.texts(socket, 1) == [text])
            count += 1
        }
        await harness.log.wait(for: 1)
        #expect(harness.log.all == ["left, 1"] && count < 64)
    }

    // MARK: The observer

    private struct Watch: ServerObserver {
        let notes = EchoServer.Notes()

        func opened(_ socket: ObservedSocket) { notes.add("opened \(socket.path) \(socket.subprotocol)") }
        func ended(_ socket: ObservedSocket, _ end: ObservedEnd) {
            notes.add("ended \(socket.path) \(end.code) \(end.cause.rawValue)")
        }
        func evicted(_ socket: ObservedSocket, _ reason: String) { notes.add("evicted \(socket.path) \(reason)") }
        func violatedProtocol(_ socket: ObservedSocket, _ code: CloseCode, _ reason: String) {
            notes.add("violated \(socket.path) \(code) \(reason)")
        }
        func refused(_ request: RefusedRequest) { notes.add("refused \(request.path) \(request.status)") }
        func failed(_ error: any Error, _ request: ServerRequest) { notes.add("failed \(request.path) \(error)") }
        func tlsFailed(_ reason: String, remoteAddress: String) {
            notes.add("tls \(!reason.isEmpty && remoteAddress.hasPrefix("127.0.0.1:"))")
        }
    }

    @Test func reportsEveryEvent() async throws {
        let watch = Watch()
        var options = UpgradeOptions.patient
        options.protocols = ["known"]
        var values = HTTPServer.Options()
        values.observer = ServerObservers(watch)
        let harness = try EchoServer(options: options, server: values) { routing, _ in
            routing.append(
                "/throws", ws.upgrade(.patient) { (_: WebSocket) async throws in throw WS.Error.outOfRange })
        }
        var asked = ConnectOptions.patient
        asked.protocols = ["known"]
        let first = try await ws.open(harness.url + "/ws", options: asked)
        try first.close(4000)
        await watch.notes.wait(for: 2)
        let second = try await ws.open(harness.url + "/ws", options: asked)
        second.terminate()
        await watch.notes.wait(for: 4)
        _ = try await harness.ask("/ws")
        _ = try await harness.ask("/nowhere")
        let third = try await ws.open(harness.url + "/throws", options: .patient)
        _ = try await third.closed()
        await watch.notes.wait(for: 9)
        #expect(
            watch.notes.all[..<7] == [
                "opened /ws known", "ended /ws 4000 closedByPeer", "opened /ws known", "ended /ws 1006 lost",
                "refused /ws 426", "refused /nowhere 404", "opened /throws ",
            ])
        #expect(
            Set(watch.notes.all[7...]) == ["failed /throws the value is below 0", "ended /throws 1011 closed"])
    }

    private struct SlowWatch: ServerObserver {
        let notes = EchoServer.Notes()

        func fellBehind(_ socket: ObservedSocket) { notes.add("behind \(socket.path)") }
    }

    /// A client that reads nothing; the kernels on the way take a part, so it may fall behind more than once.
    @Test func reportsAClientThatFallsBehind() async throws {
        let watch = SlowWatch()
        let harness = try EchoServer(server: HTTPServer.Options(observer: watch)) { routing, _ in
            routing.append(
                "/flood",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    while true { try await socket.send([UInt8](repeating: 7, count: 1 << 20)) }
                })
        }
        let stream = try await ws.connect(harness.url + "/flood")
        await watch.notes.wait(for: 1)
        await stream.close()
        #expect(Set(watch.notes.all) == ["behind /flood"])
    }

    @Test func reportsAViolationOfTheProtocol() async throws {
        let watch = Watch()
        var options = UpgradeOptions.patient
        options.maxPayload = 10
        let harness = try EchoServer(options: options, server: HTTPServer.Options(observer: ServerObservers(watch)))
        for (text, isMasked, count) in [("a", false, 3), ("more than ten", true, 6)] {
            let stream = try await ws.connect(harness.url + "/ws")
            let message = ws.Message(text)
            message.masked = isMasked
            try await message.sendTo(stream)
            while try await stream.read() != nil {}
            await stream.close()
            // A socket has ended only when TCP has.
            await watch.notes.wait(for: count)
        }
        #expect(
            watch.notes.all == [
                "opened /ws ", "violated /ws 1002 frame from a client is not masked", "ended /ws 1002 violation",
                "opened /ws ", "violated /ws 1009 message above the limit", "ended /ws 1009 violation",
            ])
    }

    /// A client that takes nothing of what it is sent, and one that does not answer a PING.
    @Test func reportsAnEviction() async throws {
        let watch = Watch()
        var options = UpgradeOptions.patient
        options.maximumUnsent = 1 << 20
        var impatient = UpgradeOptions.patient
        impatient.keepAlive = KeepAlive(interval: .milliseconds(20), timeout: .milliseconds(20))
        let harness = try EchoServer(server: HTTPServer.Options(observer: watch)) { [options, impatient] routing, _ in
            routing.append(
                "/flood",
                ws.upgrade(options) { (socket: WebSocket) -> Void in
                    while (try? socket.send([UInt8](repeating: 7, count: 1 << 20))) != nil {}
                })
            routing.append("/rest", ws.upgrade(impatient) { socket in socket.onmessage = { _ in } })
        }
        let slow = try await ws.connect(harness.url + "/flood")
        await watch.notes.wait(for: 3)
        await slow.close()
        // A stream answers no PING.
        let silent = try await ws.connect(harness.url + "/rest")
        await watch.notes.wait(for: 6)
        await silent.close()
        #expect(
            watch.notes.all == [
                "opened /flood ", "evicted /flood more than 1048576 bytes unsent", "ended /flood 1013 slow",
                "opened /rest ", "evicted /rest no sign of life after a PING", "ended /rest 1006 silent",
            ])
    }

    @Test func reportsAClientWithoutTLS() async throws {
        let watch = Watch()
        var values = HTTPServer.Options()
        values.observer = watch
        values.headTimeout = .seconds(300)
        let identity = try TestAuthority.server.get()
        let server = try HTTPSServer(port: 0, identity: identity, handler: Routing(), options: values)
        try server.start()
        _ = try? await EchoServer.ask(server.port, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await watch.notes.wait(for: 1)
        #expect(watch.notes.all == ["tls true"])
    }
}
