import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 6455 §5, §6: messages on a connection")
struct EchoTests {
    private static let sizes = [0, 1, 125, 126, 65_535, 65_536, 1 << 20]

    @Test func echoesEverySize() throws {
        let harness = try WebSocketHarness { $0.maximumUnsent = 4 << 20 }
        let peer = try harness.open()
        var random = SplitMix(schedule: 1)
        for size in Self.sizes {
            let payload = random.bytes(size)
            try peer.send(.binary, payload)
            #expect(try peer.readFrame() == .init(.binary, payload), "\(size) bytes")
            let text = [UInt8](repeating: 0x61, count: size)
            try peer.send(.text, text)
            #expect(try peer.readFrame() == .init(.text, text), "\(size) bytes")
        }
        #expect(harness.reactor.counters.messagesReceived.current == 14)
    }

    @Test func echoesMessagesThatArriveInPieces() throws {
        let harness = try WebSocketHarness { $0.maximumUnsent = 4 << 20 }
        let peer = try harness.open()
        var random = SplitMix(schedule: 2)
        for size in Self.sizes {
            let payload = random.bytes(size)
            var bytes = WebSocketPeer.bytes(.binary, payload)[...]
            // The head and the first bytes one by one, the rest in pieces.
            while !bytes.isEmpty {
                let count = bytes.startIndex < 20 ? 1 : Int.random(in: 1...max(1, size / 8), using: &random)
                try peer.socket.send(Array(bytes.prefix(count)))
                try harness.reactor.turns(1)
                bytes = bytes.dropFirst(count)
            }
            #expect(try peer.readFrame() == .init(.binary, payload), "\(size) bytes")
        }
    }

    @Test func answersAPingBetweenFragments() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        var bytes: [UInt8] = []
        FrameEncoder.appendFrame(.text, Array("Hel".utf8), isFinal: false, maskingKey: FrameKeys.any, to: &bytes)
        FrameEncoder.appendFrame(.ping, Array("there?".utf8), maskingKey: FrameKeys.any, to: &bytes)
        FrameEncoder.appendFrame(.continuation, Array("lo".utf8), maskingKey: FrameKeys.any, to: &bytes)
        for cut in 0...bytes.count {
            try peer.socket.send(Array(bytes[..<cut]))
            try harness.reactor.turns(1)
            try peer.socket.send(Array(bytes[cut...]))
            #expect(try peer.readFrame() == .init(.pong, Array("there?".utf8)), "cut at \(cut)")
            #expect(try peer.readFrame() == .init(.text, Array("Hello".utf8)))
        }
    }

    @Test func sendsTheMessagesOfATurnAtOnce() throws {
        let harness = try WebSocketHarness()
        let peer = try harness.open()
        // The bytes of the opening are counted a moment after they were sent.
        try harness.reactor.turns(1)
        let before = harness.reactor.counters.sends.current
        try harness.on { socket in for number in 0..<100 { socket.send(.text, Array("\(number)".utf8)) } }
        for number in 0..<100 { #expect(try peer.readFrame() == .init(.text, Array("\(number)".utf8))) }
        try harness.reactor.turns()
        #expect(harness.reactor.counters.sends.current - before == 1)
    }

    @Test func enforcesTheMessageLimit() throws {
        let harness = try WebSocketHarness { $0.maximumMessage = 1000 }
        let peer = try harness.open()
        try peer.send(.text, [UInt8](repeating: 65, count: 1000))
        #expect(try peer.readFrame()?.payload.count == 1000)
        try peer.send(.text, [UInt8](repeating: 65, count: 1001))
        #expect(try peer.readFrame()?.payload.prefix(2) == [0x03, 0xF1])
        #expect(try peer.readFrame() == nil)
        try harness.log.wait(for: "closed 1009 message above the limit unclean")
        #expect(harness.reactor.counters.protocolErrors.current == 1)
    }

    /// A flood of messages whose echoes are not read must not fill the memory: reading pauses, and resumes afterwards.
    @Test func pausesWhileThePeerDoesNotReadItsEchoes() throws {
        let harness = try WebSocketHarness { options in
            options.maximumUnsent = 1 << 20
            options.maximumUnsentAge = nil
        }
        let peer = try harness.open(sendBytes: 4096)
        let payload = [UInt8](repeating: 7, count: 125)
        let count = 20_000
        let flood = Array(repeatElement(WebSocketPeer.bytes(.binary, payload), count: count).joined())
        let (socket, reactor) = (peer.socket, harness.reactor)
        let sender = try startThread(named: "flood") { try? socket.send(flood) }
        try reactor.wait { try harness.on { $0.stream.isReadingPaused } }
        let unsent = try harness.on { $0.bufferedAmount }
        #expect(unsent > 1 << 19 && unsent < 1 << 20)
        try reactor.turns()
        #expect(try harness.on { $0.bufferedAmount } == unsent)
        for _ in 0..<count { try #require(try peer.readFrame() == .init(.binary, payload)) }
        sender.join()
        try peer.send(.text, [65])
        #expect(try peer.readFrame() == .init(.text, [65]))
        #expect(harness.log.all.allSatisfy { $0 == "drained" })
    }
}
