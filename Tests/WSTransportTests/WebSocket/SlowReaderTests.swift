import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 6455 §7.4.1: peers that do not read")
struct SlowReaderTests {
    /// Each is different, so that a cut or missing one is found.
    private static func message(_ number: Int, _ count: Int) -> [UInt8] {
        Array("\(number):".utf8) + [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: count)
    }

    private static func close(
        _ harness: WebSocketHarness, _ peer: WebSocketPeer, size: Int, reason: String
    ) throws -> Int {
        var frames = try peer.readUntilClose()
        #expect(frames.popLast() == .close(.tryAgainLater, reason))
        let broken = frames.indices.filter { frames[$0] != .init(.binary, message($0, size)) }
        #expect(broken.isEmpty, "numbers of frames that differ from the sent ones")
        try peer.sendClose(.tryAgainLater)
        #expect(try peer.readFrame() == nil)
        try harness.reactor.wait { harness.reactor.counters.connections.current <= 0 }
        #expect(harness.log.all.filter { $0 != "drained" }.count == 1, "the end is reported once")
        #expect(harness.log.all.contains { $0.hasPrefix("closed 1013 ") })
        #expect(harness.reactor.counters.slowReaders.current == 1 && harness.reactor.counters.webSockets.current == 0)
        return frames.count
    }

    @Test(arguments: [10, 120, 1000, 30_000, 70_000], [true, false])
    func closesAfterThePartlySentFrame(size: Int, isInOneTurn: Bool) throws {
        let harness = try WebSocketHarness { options in
            options.maximumUnsent = 200_000
            options.closeTimeout = 60_000_000_000
        }
        let peer = try harness.open(sendBytes: 4096)
        let count = 400_000 / size + 2
        if isInOneTurn {
            try harness.on { socket in
                for number in 0..<count { socket.send(.binary, Self.message(number, size)) }
            }
            // A peer that has kept up is not closed because of one turn's output, but because of later output.
            try harness.on { $0.send(.binary, Self.message(count, size)) }
        } else {
            var number = 0
            let batch = max(1, 20_000 / size)
            while number < count {
                let range = number..<min(count, number + batch)
                try harness.on { socket in for number in range { socket.send(.binary, Self.message(number, size)) } }
                number = range.upperBound
            }
        }
        try harness.reactor.turns()
        let whole = try Self.close(harness, peer, size: size, reason: "more than 200000 bytes unsent")
        #expect(whole <= count, "the rest is dropped")
    }

    @Test func closesAPeerThatReadsNothingForTooLong() throws {
        let harness = try WebSocketHarness { options in
            options.maximumUnsentAge = 300_000_000
            options.closeTimeout = 60_000_000_000
        }
        let peer = try harness.open(sendBytes: 4096)
        try harness.on { socket in for number in 0..<100 { socket.send(.binary, Self.message(number, 1000)) } }
        try harness.reactor.wait { harness.reactor.counters.slowReaders.current != 0 }
        _ = try Self.close(harness, peer, size: 1000, reason: "unsent for 0 s")
    }

    @Test func keepsAPeerThatCatchesUpInTime() throws {
        let harness = try WebSocketHarness { $0.maximumUnsentAge = 60_000_000_000 }
        let peer = try harness.open(sendBytes: 4096)
        for round in 0..<3 {
            try harness.on { socket in for number in 0..<100 { socket.send(.binary, Self.message(number, 1000)) } }
            // A peer that reads while they are sent would keep up.
            try harness.reactor.turns()
            for number in 0..<100 {
                #expect(try peer.readFrame() == .init(.binary, Self.message(number, 1000)))
            }
            try harness.log.wait(for: "drained", times: round + 1)
        }
        #expect(harness.reactor.counters.slowReaders.current == 0)
    }

    @Test func resetsAPeerThatDoesNotReadTheClose() throws {
        let harness = try WebSocketHarness { options in
            options.maximumUnsent = 50_000
            options.closeTimeout = 200_000_000
        }
        let peer = try harness.open(sendBytes: 4096)
        for number in 0..<100 { try harness.on { $0.send(.binary, Self.message(number, 1000)) } }
        try harness.reactor.wait { harness.reactor.counters.connections.current <= 0 }
        #expect(harness.reactor.counters.connections.current == 0)
        #expect(harness.log.all.count { $0.hasPrefix("closed ") } == 1)
        withExtendedLifetime(peer) {}
    }

    /// Many sockets answer in the turn in which their peers are closed; each of them gets whole frames.
    @Test func closesManyInOneTurn() async {
        await #expect(processExitsWith: .success) {
            let harness = try WebSocketHarness()
            let peers = try (0..<64).map { _ in try harness.open() }
            try harness.reactor.run { _, stage in
                for case let session as LoggingSession in stage.kept { session.socket.send(.text, [65]) }
                for case let session as LoggingSession in stage.kept { session.socket.closeSlowReader("now") }
            }
            for peer in peers { #expect(try peer.readUntilClose().last == .close(.tryAgainLater, "now")) }
        }
    }
}

extension WebSocketPeer {
    fileprivate func readUntilClose() throws -> [Frame] {
        var frames: [Frame] = []
        while let frame = try readFrame() {
            frames.append(frame)
            if frame.opcode == .close { break }
        }
        return frames
    }
}
