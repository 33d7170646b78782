import Synchronization
import Testing

@testable import WSTransport

@Suite("ws: messages that are sent and read in parts", .timeLimit(.minutes(10)))
struct PartTests {
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) ^ (state << 31)
        }
    }

    /// The parameters that the two sides of a run share.
    private struct Plan {
        let seed: Int
        let room = Broadcast()
        static let count = 30

        func random(_ number: Int) -> Random { Random(state: UInt64(truncatingIfNeeded: seed * 1000 + number) &+ 7) }

        func type(_ number: Int) -> Opcode { (seed + number) % 2 == 0 ? ws.TEXT : ws.BINARY }

        /// A body that begins with its number.
        func body(_ number: Int) -> [UInt8] {
            var random = random(number)
            let size = [0, 10, 65_536, 65_537, 200_000][Int.random(in: 0..<5, using: &random)]
            var body = Array("\(number):".utf8)
            let pattern: [UInt8] =
                type(number) == .text
                ? Array("häuser 家 \(random.next()) ".utf8)
                : (0..<97).map { _ in UInt8.random(in: 0...255, using: &random) }
            while body.count < size { body += pattern }
            return body
        }

        var compression: CompressionOptions? {
            switch seed % 3 {
            case 0: nil
            case 1: CompressionOptions(minimum: 0)
            default: CompressionOptions(minimum: 0, serverNoContextTakeover: false, clientNoContextTakeover: false)
            }
        }
    }

    private static func write(_ plan: Plan, _ number: Int, to writer: MessageWriter) async throws {
        var random = plan.random(number)
        var rest = plan.body(number)[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 0...90_000, using: &random))
            rest = rest.dropFirst(piece.count)
            try await writer.write(piece)
        }
    }

    /// Sends all messages in all ways, also while others are under way, and closes.
    private static func send(_ plan: Plan, _ socket: WebSocket) async throws {
        var random = plan.random(-1)
        plan.room.add(socket)
        var number = 0
        while number < Plan.count {
            let (first, second) = (number, number + 1)
            number += 2
            try await withThrowingTaskGroup(of: Void.self) { group in
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    try await socket.sendInParts(plan.type(first)) { writer in
                        try await Self.write(plan, first, to: writer)
                        // Accepted at once, and sent after it.
                        try socket.core.post(plan.type(second), plan.body(second))
                        try socket.core.post(.ping, [])
                    }
                case 1:
                    try await socket.sendInParts(plan.type(first)) { writer in
                        #expect(try !socket.trySend("not sent"))
                        try await Self.write(plan, first, to: writer)
                        let body = plan.body(second)
                        if plan.type(second) == .text {
                            plan.room.send(String(decoding: body, as: UTF8.self))
                        } else {
                            plan.room.send(body)
                        }
                    }
                case 2:
                    for one in [first, second] {
                        group.addTask {
                            try await socket.sendInParts(plan.type(one)) { try await Self.write(plan, one, to: $0) }
                        }
                    }
                default:
                    group.addTask {
                        try await socket.sendInParts(plan.type(first)) { try await Self.write(plan, first, to: $0) }
                    }
                    group.addTask { try await socket.send(plan.type(second), plan.body(second)) }
                }
                try await group.waitForAll()
            }
        }
        try socket.close(4000)
    }

    /// Reads all messages: whole, in parts, or the first part only; returns their numbers, and the mistakes.
    private static func take(_ plan: Plan, _ socket: WebSocket) async -> (numbers: [Int], faults: [String]) {
        var random = plan.random(-2)
        var (numbers, faults): ([Int], [String]) = ([], [])
        func note(_ type: Opcode, _ bytes: [UInt8], isWhole: Bool) {
            let number = Int(String(decoding: bytes.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)) ?? -1
            numbers.append(number)
            let body = plan.body(number)
            let isRight = isWhole ? bytes == body : body.starts(with: bytes)
            if !isRight || type != plan.type(number) { faults.append("\(number): \(bytes.count) of \(body.count)") }
        }
        do {
            while true {
                let way = Int.random(in: 0..<4, using: &random)
                if way == 0 {
                    guard let message = try await socket.receive() else { break }
                    note(message.type, message.body, isWhole: true)
                    continue
                }
                guard let message = try await socket.receiveInParts() else { break }
                switch way {
                case 1: note(message.type, try await message.collect(), isWhole: true)
                case 2:
                    var whole: [UInt8] = []
                    for try await part in message { whole += part }
                    note(message.type, whole, isWhole: true)
                    #expect(try await message.next() == nil)
                default: note(message.type, try await message.next() ?? [], isWhole: false)
                }
            }
        } catch {
            if error as? WS.Error != .closed(4000, reason: "") { faults.append("\(error)") }
        }
        return (numbers, faults)
    }

    @Test(arguments: 0..<12, [UpgradeOptions.Executor.global, .reactor])
    func deliversEachMessageOnceAndWhole(seed: Int, executor: UpgradeOptions.Executor) async throws {
        let plan = Plan(seed: seed)
        let isServer = seed % 2 == 0
        let done = EchoServer.Notes()
        let taken = Mutex<(numbers: [Int], faults: [String])>(([], []))
        var options = UpgradeOptions.patient
        options.closeTimeout = .seconds(600)
        options.perMessageDeflate = plan.compression
        options.receivesParts = isServer
        options.executor = executor
        let harness = try EchoServer { [options] routing, _ in
            routing.append(
                "/parts",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    if isServer {
                        let all = await Self.take(plan, socket)
                        taken.withLock { $0 = all }
                        done.add("all")
                    } else {
                        try await Self.send(plan, socket)
                        _ = try? await socket.closed()
                    }
                })
        }
        var client = ConnectOptions.patient
        client.closeTimeout = .seconds(600)
        client.perMessageDeflate = plan.compression
        client.receivesParts = !isServer
        let socket = try await ws.open(harness.url + "/parts", options: client)
        if isServer {
            try await Self.send(plan, socket)
            _ = try await socket.closed()
            await done.wait(for: 1)
        } else {
            let all = await Self.take(plan, socket)
            taken.withLock { $0 = all }
        }
        let all = taken.withLock { $0 }
        #expect(all.faults == [], "seed \(seed), \(executor)")
        #expect(all.numbers.sorted() == Array(0..<Plan.count), "seed \(seed), \(executor)")
    }

    // MARK: Memory

    /// 64 MiB, of which neither side ever holds more than its limits, even if they arrive as a few KiB.
    @Test(arguments: [false, true])
    func neitherSideBuffersAWholeMessage(isCompressed: Bool) async throws {
        let size = 64 << 20
        var options = UpgradeOptions.patient
        options.receivesParts = true
        options.maxPayload = size
        options.perMessageDeflate = isCompressed ? CompressionOptions() : nil
        let most = Mutex((held: 0, total: 0))
        let harness = try EchoServer { [options] routing, log in
            routing.append(
                "/large",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    for try await part in try #require(try await socket.receiveInParts()) {
                        let held = socket.core.state.withLock { $0.heldBytes }
                        most.withLock { $0 = (max($0.held, held + part.count), $0.total + part.count) }
                    }
                    log.add("read")
                })
        }
        var client = ConnectOptions.patient
        client.perMessageDeflate = options.perMessageDeflate
        let socket = try await ws.open(harness.url + "/large", options: client)
        try await socket.sendInParts { writer in
            let piece = [UInt8](repeating: 0, count: 100_000)
            var (rest, unsent) = (size, 0)
            while rest > 0 {
                try await writer.write(piece.prefix(rest))
                rest -= min(rest, piece.count)
                unsent = max(unsent, socket.bufferedAmount)
            }
            #expect(unsent <= 192 * 1024)
        }
        await harness.log.wait(for: 1)
        let (held, total) = most.withLock { $0 }
        #expect(total == size)
        // The held bytes and one more part: the bytes of a read, or the inflated size of a piece of it.
        #expect(held <= 1 << 20 + 1 << 20 + 65_536)
    }

    // MARK: Ends

    private static func readingHarness(maxPayload: Int = 64 << 20) throws -> EchoServer {
        var options = UpgradeOptions.patient
        options.receivesParts = true
        options.maxPayload = maxPayload
        options.closeTimeout = .seconds(600)
        return try EchoServer { [options] routing, log in
            routing.append(
                "/read",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    do {
                        while let message = try await socket.receiveInParts() {
                            let first = try await message.next()
                            log.add("first \(first?.count ?? 0)")
                            log.add("rest \(try await message.collect().isEmpty ? "none" : "some")")
                        }
                        log.add("the end")
                    } catch {
                        log.add("\(error)")
                    }
                })
        }
    }

    @Test func rejectsPartsAboveTheMessageLimit() async throws {
        let harness = try Self.readingHarness(maxPayload: 150_000)
        let socket = try await ws.open(harness.url + "/read", options: .patient)
        try? await socket.sendInParts { writer in
            for _ in 0..<400 { try await writer.write([UInt8](repeating: 7, count: 1000)) }
        }
        let end = try await socket.closed()
        #expect(end.code == .messageTooBig && end.reason == "message above the limit")
        await harness.log.wait(for: 2)
        #expect(harness.log.all.last == "the peer broke the protocol: message above the limit (1009)")
    }

    @Test func reportsACloseInTheMiddleOfAMessage() async throws {
        let harness = try Self.readingHarness()
        let socket = try await ws.open(harness.url + "/read", options: .patient)
        await #expect {
            try await socket.sendInParts { writer in
                try await writer.write([UInt8](repeating: 7, count: 100_000))
                await harness.log.wait(for: 1)
                try socket.close(4000, reason: "enough")
                try await writer.write([UInt8](repeating: 7, count: 100_000))
            }
        } throws: { error in
            // The answer to the Close frame may have come before this writes.
            if case WS.Error.invalidState(let state) = error { state >= .closing } else { false }
        }
        #expect(try await socket.closed().code == 4000)
        await harness.log.wait(for: 2)
        #expect(harness.log.all.last == "the connection was closed with code 4000: enough")
    }

    @Test func closesWhenAMessageIsAbandoned() async throws {
        struct Failed: Error {}
        let harness = try Self.readingHarness()
        let socket = try await ws.open(harness.url + "/read", options: .patient)
        // Nothing has been sent yet: the socket continues.
        await #expect(throws: Failed.self) {
            try await socket.sendInParts { writer in
                try await writer.write("begun")
                throw Failed()
            }
        }
        await #expect(throws: WS.Error.badType("a text message must be UTF-8")) {
            try await socket.sendInParts(ws.TEXT) { try await $0.write([0xC3]) }
        }
        try await socket.sendInParts(ws.TEXT) { writer in
            try await writer.write([0xC3])
            try await writer.write([0xA4])
        }
        await harness.log.wait(for: 2)
        await #expect(throws: Failed.self) {
            try await socket.sendInParts { writer in
                try await writer.write([UInt8](repeating: 7, count: 100_000))
                throw Failed()
            }
        }
        #expect(try await socket.closed().code == .internalError)
        await harness.log.wait(for: 4)
        #expect(harness.log.all.prefix(2) == ["first 2", "rest none"])
        #expect(harness.log.all.last == "the connection was closed with code 1011")
        await #expect(throws: WS.Error.invalidState(.closed)) { try await socket.sendInParts { _ in } }
    }

    /// Cancels a writer and a reader, and checks the state that they leave.
    @Test func cancelsWritersAndReaders() async throws {
        let harness = try Self.readingHarness()
        var options = ConnectOptions.patient
        options.receivesParts = true
        let socket = try await ws.open(harness.url + "/read", options: options)
        let reading = Task.immediate { try await socket.receiveInParts() }
        await #expect(throws: WS.Error.busy) { try await socket.receiveInParts() }
        reading.cancel()
        await #expect(throws: CancellationError.self) { try await reading.value }
        let started = EchoServer.Notes()
        let first = Task {
            try await socket.sendInParts { writer in
                started.add("first")
                await EchoServer.waitForCancellation()
                try await writer.write([UInt8](repeating: 7, count: 100_000))
            }
        }
        await started.wait(for: 1)
        let second = Task.immediate { try await socket.sendInParts { _ in } }
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        try await socket.sendInParts { try await $0.write("sent") }
        await harness.log.wait(for: 2)
        #expect(harness.log.all == ["first 4", "rest none"])
    }

    /// Sockets that do not deliver messages in parts deliver them whole.
    @Test func readsWholeMessagesAsParts() async throws {
        let harness = try EchoServer()
        let socket = try await ws.open(harness.url + "/ws", options: .patient)
        for text in ["", "häuser"] {
            try await socket.send(text)
            let message = try #require(try await socket.receiveInParts())
            #expect(message.type == .text && !message.isCompressed)
            #expect(try await message.collect() == Array(text.utf8))
        }
        try await socket.send("too much")
        let message = try #require(try await socket.receiveInParts())
        await #expect(throws: WS.Error.messageTooBig) { try await message.collect(upTo: 7) }
        await #expect(throws: WS.Error.badType("expected a text or a binary message, found opcode 9")) {
            try await socket.sendInParts(ws.PING) { _ in }
        }
    }
}
