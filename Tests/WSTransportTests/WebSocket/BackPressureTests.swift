import Foundation
import Testing

@testable import WSTransport

@Suite("Back-pressure: a sender that is faster than its peer reads", .timeLimit(.minutes(10)))
struct BackPressureTests {
    private static let bulk = [UInt8](repeating: 7, count: 60_000)

    /// Reads frames until a PONG, and returns how many messages came before it.
    private static func messagesBeforePong(_ peer: WebSocketPeer, _ expected: [UInt8]) throws -> Int {
        var count = 0
        while let frame = try peer.readFrame() {
            if frame.opcode == .pong {
                #expect(frame.payload == expected)
                return count
            }
            #expect(frame == .init(.binary, Self.bulk))
            count += 1
        }
        throw WebSocketPeer.Malformed(bytes: [])
    }

    @Test func answersAPingBeforeWaitingMessages() throws {
        let harness = try WebSocketHarness { $0.maximumUnsent = 1 << 30 }
        let peer = try harness.open(sendBytes: 4096)
        try harness.on { socket in for _ in 0..<100 { socket.send(.binary, Self.bulk) } }
        try peer.send(.ping, [1])
        try peer.send(.ping, [2])
        // Both have been seen when the message after them has.
        try peer.send(.text, [65])
        try harness.reactor.wait { harness.reactor.counters.messagesReceived.current == 1 }
        let count = try Self.messagesBeforePong(peer, [2])
        #expect(count <= 2, "the partly sent message, and those in the socket's buffer")
        var rest = 0
        while let frame = try peer.readFrame(), frame.opcode != .text {
            #expect(frame.opcode == .binary, "the older PING is not answered any more")
            rest += 1
        }
        #expect(count + rest == 100)
    }

    @Test func answersEveryPingOfAPeerThatReads() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        for number in 0..<200 { try peer.send(.ping, [UInt8(number)]) }
        for number in 0..<200 { #expect(try peer.readFrame() == .init(.pong, [UInt8(number)])) }
    }

    @Test func sendsPingsBeforeWaitingMessages() throws {
        let harness = try WebSocketHarness { $0.maximumUnsent = 1 << 30 }
        let peer = try harness.open(sendBytes: 4096)
        try harness.on { socket in for _ in 0..<50 { socket.send(.binary, Self.bulk) } }
        try harness.on { socket in
            socket.ping([1])
            socket.ping([2])
            socket.close(reason: "last")
        }
        var opcodes: [Opcode] = []
        while let frame = try peer.readFrame(), frame.opcode != .close { opcodes.append(frame.opcode) }
        let first = try #require(opcodes.firstIndex(of: .ping))
        #expect(first <= 2 && opcodes[first + 1] == .ping)
        #expect(opcodes.count { $0 == .binary } == 50, "a CLOSE waits its turn")
    }

    /// A flood of PINGs from a peer that reads nothing costs only the bytes on their way.
    @Test(arguments: [0, 125])
    func limitsMemoryInAFloodOfPings(size: Int) throws {
        let harness = try WebSocketHarness { $0.maximumUnsent = 400_000 }
        let peer = try harness.open(sendBytes: 4096)
        let ping = WebSocketPeer.bytes(.ping, [UInt8](repeating: 1, count: size))
        let flood = (0..<200).map { _ in ping }.flatMap { $0 }
        for _ in 0..<400 { try peer.socket.send(flood) }
        try peer.send(.text, [65])
        try harness.reactor.wait { harness.reactor.counters.messagesReceived.current == 1 }
        let most = try harness.on { $0.bufferedAmount }
        // One read's answers, until the socket accepts no more, and the newest answer.
        #expect(most <= 64 * 1024 + 200)
        #expect(harness.reactor.counters.slowReaders.current == 0)
    }

    /// The echoes of one read may be far larger than its input, and are sent one by one.
    @Test func stopsReadingInTheMiddleOfABuffer() throws {
        let harness = try WebSocketHarness { $0.maximumUnsent = 200_000 }
        let peer = try harness.open(sendBytes: 4096) { session in
            session.onMessage = { session, opcode, _ in session.socket.send(opcode, Self.bulk) }
        }
        // In one piece: many small ones would not fit into the socket while the server waits for its reader.
        try peer.socket.send((0..<300).flatMap { _ in WebSocketPeer.bytes(.binary, []) })
        try harness.reactor.wait { harness.reactor.counters.messagesReceived.current > 0 }
        var most = 0
        for _ in 0..<300 {
            #expect(try peer.readFrame() == .init(.binary, Self.bulk))
            most = max(most, try harness.on { $0.bufferedAmount })
        }
        #expect(most < 200_000, "half of the limit, and one message more")
        #expect(harness.reactor.counters.slowReaders.current == 0)
        #expect(harness.reactor.counters.messagesReceived.current == 300)
    }

    /// If the socket accepts everything, no backlog ends, so nothing else resumes reading.
    @Test func resumesReadingWhenEverythingIsSentAtOnce() throws {
        let harness = try WebSocketHarness { $0.maximumUnsent = 20_000 }
        let peer = try harness.open(sendBytes: 4 << 20) { session in
            session.onMessage = { session, opcode, _ in
                session.socket.send(opcode, [UInt8](repeating: 1, count: 15_000))
            }
        }
        for _ in 0..<50 { try peer.send(.binary, []) }
        for _ in 0..<50 { #expect(try peer.readFrame()?.payload.count == 15_000) }
    }

    @Test func deliversNothingToAPausedSession() throws {
        let log = EventLog()
        let harness = try WebSocketHarness(log: log)
        let peer = try harness.open { session in
            session.onMessage = { session, _, payload in
                log.add(String(decoding: payload, as: UTF8.self))
                session.socket.stream.pauseReading()
            }
        }
        let frames = (1...3).flatMap { WebSocketPeer.bytes(.text, Array(String($0).utf8)) }
        try peer.socket.send(frames)
        for number in 1...3 {
            try log.wait(for: String(number))
            try harness.reactor.turns()
            #expect(log.all.count == number, "the others wait, though they have come")
            try harness.on { $0.stream.resumeReading() }
        }
    }

    @Test func countsTheBytesOfThisTurn() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        let counts = try harness.on { socket in
            (0..<3).map { _ in
                socket.send(.binary, [1, 2, 3])
                return socket.bufferedAmount
            }
        }
        #expect(counts == [5, 10, 15])
        for _ in 0..<3 { _ = try peer.readFrame() }
        #expect(try harness.on { $0.bufferedAmount } == 0)
    }

    /// One KiB on the wire inflates to a MiB, while other connections wait.
    @Test func limitsInflatedBytesPerTurn() throws {
        let size = DeflatePool.inflatedPerTurn / 4
        let deflated = try #require(
            [UInt8](repeating: 0, count: size).withUnsafeBytes { DeflatePool().deflate($0, windowBits: 15, level: 1) })
        var frame: [UInt8] = []
        FrameEncoder.appendFrame(.binary, deflated, isCompressed: true, maskingKey: FrameKeys.any, to: &frame)
        let pairs = (0..<10).map { _ in SocketPeer.pair() }
        // Each has two waiting messages at the reactor's first read.
        for (peer, _) in pairs { try peer.send(frame + frame) }
        let (log, others) = (EventLog(), pairs.map(\.other))
        let reactor = try ReactorThread()
        try reactor.run { reactor, stage in
            for descriptor in others {
                let stream = reactor.adopt(FileDescriptor(adopting: descriptor), peer: nil)
                let socket = WebSocketConnection(
                    stream: stream, role: .server, subprotocol: "", compression: DeflateParameters(),
                    options: WebSocketConnection.Options(WebSocketOptions()))
                let session = LoggingSession(socket, EventLog())
                session.onMessage = { _, _, payload in log.add("\(payload.count) at \(reactor.now.nanoseconds)") }
                socket.session = session
                stream.driver = socket
                stage.kept.append(session)
            }
        }
        try reactor.wait { log.all.count == 20 }
        let turns = Dictionary(grouping: log.all) { $0 }
        #expect(turns.values.map(\.count).max() == 4)
        #expect(log.all.allSatisfy { $0.hasPrefix("\(size) at ") })
        #expect(reactor.counters.inflatePauses.current > 0)
    }
}
