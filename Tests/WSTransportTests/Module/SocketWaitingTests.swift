import Synchronization
import Testing

@testable import WSTransport

@Suite("ws.Socket: messages wait to be read, senders wait for room", .timeLimit(.minutes(10)))
struct SocketWaitingTests {
    private static let count = 201

    /// A server that answers a message with this many at once, and then a PING.
    private static func harness() throws -> EchoServer {
        try EchoServer { routing, _ in
            routing.append(
                "/burst",
                ws.upgrade(.patient) { socket in
                    socket.onmessage = { _ in
                        for number in 0..<count { try? socket.send("\(number)") }
                        try? socket.ping([])
                    }
                })
        }
    }

    /// A client that listens for everything except messages, and has received the events after them.
    private static func deaf(_ harness: EchoServer) async throws -> WebSocket {
        let (socket, log) = (try await ws.open(harness.url + "/burst", options: .patient), EchoServer.Notes())
        socket.onerror = { _ in log.add("error") }
        socket.onclose = { _ in log.add("close") }
        socket.on(.ping) { _ in log.add("ping") }
        // Only now: a PING without a listener is not kept.
        try await socket.send("go")
        await log.wait(for: 1)
        #expect(log.all == ["ping"])
        return socket
    }

    @Test func keepsMessagesForALateListener() async throws {
        let harness = try Self.harness()
        let (socket, log) = (try await Self.deaf(harness), EchoServer.Notes())
        socket.onmessage = { log.add($0.data?.text ?? "") }
        await log.wait(for: Self.count)
        #expect(log.all == (0..<Self.count).map(String.init))
    }

    @Test func keepsMessagesForALateReader() async throws {
        let harness = try Self.harness()
        let socket = try await Self.deaf(harness)
        for number in 0..<Self.count { #expect(try await socket.receive()?.data?.text == "\(number)") }
    }

    /// A server's socket with a closure that does something else before it reads.
    @Test func aServersSocketKeepsMessagesUntilRead() async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/late",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    socket.onclose = { _ in log.add("close") }
                    socket.on(.ping) { _ in log.add("ping") }
                    try await socket.send("ready")
                    await log.wait(for: 1)
                    for try await message in socket.messages { log.add(message.data?.text ?? "") }
                })
        }
        let socket = try await ws.open(harness.url + "/late", options: .patient)
        #expect(try await socket.receive()?.data?.text == "ready")
        for number in 0..<5 { try await socket.send("\(number)") }
        try socket.ping([])
        await harness.log.wait(for: 6)
        #expect(harness.log.all == ["ping", "0", "1", "2", "3", "4"])
    }

    /// After a listener for one message, the next listener or a reader gets the next message.
    @Test func keepsMessagesARemovedListenerLeft() async throws {
        let harness = try Self.harness()
        let (socket, log) = (try await ws.open(harness.url + "/burst", options: .patient), EchoServer.Notes())
        socket.once(.message) { log.add($0.message?.data?.text ?? "") }
        socket.on(.ping) { _ in log.add("ping") }
        try await socket.send("go")
        await log.wait(for: 2)
        #expect(log.all == ["0", "ping"])
        for number in 1..<Self.count { #expect(try await socket.receive()?.data?.text == "\(number)") }
    }

    /// Many tasks send to a peer that rarely reads: the socket accepts up to the mark and one message, never more.
    @Test func sendersWaitForRoom() async throws {
        let (tasks, size) = (100, 256 * 1024)
        let harness = try EchoServer { routing, log in
            routing.append(
                "/crowd",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        let amounts = EchoServer.Notes()
                        for _ in 0..<tasks {
                            group.addImmediateTask {
                                try await socket.send([UInt8](repeating: 7, count: size))
                                amounts.add("\(socket.bufferedAmount)")
                            }
                        }
                        log.add("\(socket.core.state.withLock { $0.senders.count } >= tasks / 2)")
                        try await group.waitForAll()
                        log.add("\(amounts.all.allSatisfy { Int($0) ?? .max <= 65_536 + size + 16 })")
                    }
                    try socket.close()
                })
        }
        var options = ConnectOptions.patient
        options.maximumHeld = size
        let socket = try await ws.open(harness.url + "/crowd", options: options)
        await harness.log.wait(for: 1)
        var count = 0
        for try await message in socket.messages {
            #expect(message.length == size)
            count += 1
        }
        #expect(count == tasks && harness.log.all == ["true", "true"])
    }

    /// The most bytes that a socket has held whenever somebody looked.
    private final class Most: Sendable {
        private let socket: WebSocket
        private let held = Mutex(0)

        init(_ socket: WebSocket) { self.socket = socket }

        var value: Int { held.withLock { $0 } }

        func look() {
            let now = socket.bufferedAmount
            held.withLock { $0 = max($0, now) }
        }
    }

    /// 300 tasks send to a peer that reads nothing: the socket never holds more than the mark and one message.
    ///
    /// When the peer reads, it gets the messages in the order in which the tasks began to wait.
    @Test(arguments: [false, true])
    func holdsTheMarkAndOneMessage(isClient: Bool) async throws {
        let (tasks, size) = (300, 128 * 1024)
        var (server, client) = (UpgradeOptions.patient, ConnectOptions.patient)
        (server.maximumHeld, client.maximumHeld) = (1, 1)
        let pair = try await WS.connectedPair(server, client)
        let (sender, peer) = isClient ? (pair.client, pair.server) : (pair.server, pair.client)
        let most = Most(sender)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<tasks {
                group.addImmediateTask {
                    try await sender.send(
                        [UInt8(number & 255), UInt8(number >> 8)] + [UInt8](repeating: 7, count: size - 2))
                    most.look()
                }
                most.look()
            }
            // The kernel and the peer have taken a few.
            #expect(sender.core.state.withLock { $0.senders.count } > tasks / 2)
            most.look()
            for number in 0..<tasks {
                let body = try await peer.receive()?.body
                most.look()
                #expect(body?.count == size && body?.prefix(2) == [UInt8(number & 255), UInt8(number >> 8)])
            }
            try await group.waitForAll()
        }
        // The mark, the message that was accepted below it, and the frames' headers.
        #expect(most.value <= 64 * 1024 + size + 16)
        #expect(sender.core.state.withLock { $0.senders.count } == 0)
    }

    /// A server that reads nothing before its first note, and then notes short messages.
    private static func restingHarness() throws -> EchoServer {
        var options = UpgradeOptions.patient
        options.maximumHeld = 1000
        return try EchoServer { [options] routing, log in
            routing.append(
                "/rest",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    await log.wait(for: 1)
                    for try await message in socket.messages where message.length < 10 {
                        log.add(message.data?.text ?? "")
                    }
                })
        }
    }

    /// A client with more unsent bytes than any kernel accepts.
    private static func stuck(_ harness: EchoServer) async throws -> WebSocket {
        var options = ConnectOptions.patient
        options.maximumUnsent = 64 << 20
        let socket = try await ws.open(harness.url + "/rest", options: options)
        for _ in 0..<32 { try socket.core.post(.binary, [UInt8](repeating: 7, count: 1 << 20)) }
        return socket
    }

    @Test func sendersWaitInOrder() async throws {
        let harness = try Self.restingHarness()
        let stuck = try await Self.stuck(harness)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addImmediateTask { try await stuck.send("\(number)") }
                #expect(stuck.core.state.withLock { $0.senders.count } == number + 1)
            }
            harness.log.add("read")
            try await group.waitForAll()
        }
        await harness.log.wait(for: 21)
        #expect(harness.log.all.dropFirst() == (0..<20).map(String.init)[...])
    }

    @Test func endsWaitingTasksWhenClosed() async throws {
        let harness = try Self.restingHarness()
        let stuck = try await Self.stuck(harness)
        let sender = Task.immediate { try await stuck.send("waits") }
        #expect(stuck.core.state.withLock { $0.senders.count } == 1)
        stuck.terminate()
        await #expect(throws: WS.Error.self) { try await sender.value }
    }

    /// Back-pressure does not count as death: a client stays with a server that pauses for many times the time-out.
    @Test func keepsAServerThatPausesReading() async throws {
        var held = UpgradeOptions.patient
        held.maximumHeld = 1000
        // Swift's threads may be busy with other tests for longer than the time-out.
        held.executor = .reactor
        let pings = EchoServer.Notes()
        let harness = try EchoServer { [held] routing, log in
            routing.append(
                "/rests",
                ws.upgrade(held) { (socket: WebSocket) async throws in
                    await pings.wait(for: 40)
                    for try await message in socket.messages where message.length == 1 { log.add("last") }
                })
            routing.append("/clock", ws.upgrade(.patient) { socket in socket.on(.ping) { _ in pings.add("ping") } })
        }
        var options = ConnectOptions.patient
        // More than a busy machine lets a thread wait.
        options.keepAlive = KeepAlive(interval: .milliseconds(200), timeout: .seconds(2))
        let socket = try await ws.open(harness.url + "/rests", options: options)
        let sender = Task {
            do {
                for _ in 0..<100 { try await socket.send([UInt8](repeating: 7, count: 100_000)) }
                try await socket.send("x")
            } catch {
                harness.log.add("\(error), \(socket.endReason as Any)")
            }
        }
        // Forty PINGs of another connection, each after 200 ms.
        options.keepAlive = KeepAlive(interval: .milliseconds(200), timeout: .seconds(60))
        let clock = try await ws.open(harness.url + "/clock", options: options)
        await harness.log.wait(for: 1)
        await sender.value
        #expect(harness.log.all == ["last"])
        #expect(socket.readyState == .open && clock.readyState == .open)
    }
}
