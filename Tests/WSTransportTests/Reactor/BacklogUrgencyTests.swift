import Testing

@testable import WSTransport

@Suite("RFC 6455 §5.5: control frames that do not wait behind messages")
struct BacklogUrgencyTests {
    private static func frameCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard case .whole(let header, let count) = FrameHeader.read(bytes, isMasked: false) else { return 1 }
        return count + header.payloadLength
    }

    private static func append(_ frames: [[UInt8]], to backlog: inout Backlog, sent: Int = 0) {
        let bytes = frames.flatMap { $0 }
        var arena = FrameArena()
        let segment = arena.encode(lane: 0, count: bytes.count) { $0.copyBytes(from: bytes) }
        backlog.append(
            arena.chunks[Int(segment.chunk)], offset: Int(segment.offset), count: bytes.count, sent: sent,
            now: MonotonicTime(nanoseconds: 5))
    }

    private static func insert(_ frame: [UInt8], _ backlog: inout Backlog, isReplaceable: Bool = false) {
        backlog.insertAhead(
            frame, isReplaceable: isReplaceable, now: MonotonicTime(nanoseconds: 9), frameCount: Self.frameCount)
    }

    private static let one = FrameEncoder.frame(.text, Array("one".utf8))
    private static let two = FrameEncoder.frame(.text, Array("two".utf8))
    private static let ping = FrameEncoder.frame(.ping, [1])

    /// Wherever the socket has stopped, inside a frame or between two.
    @Test(arguments: 0..<10)
    func isSentAfterThePartlySentFrame(sent: Int) {
        var backlog = Backlog()
        Self.append([Self.one, Self.two], to: &backlog, sent: sent)
        Self.append([Self.one], to: &backlog)
        Self.insert(Self.ping, &backlog)
        let begun = sent == 0 ? [] : sent <= 5 ? Self.one[...] : (Self.one + Self.two)[...]
        let rest = (Self.one + Self.two).dropFirst(begun.count)
        let expected = Array((begun + Self.ping + rest + Self.one).dropFirst(sent))
        #expect(backlog.byteCount == expected.count)
        #expect(backlog.oldest == MonotonicTime(nanoseconds: 5), "the others have waited for as long")
        #expect(backlog.take(1000) == expected)
    }

    @Test func keepsTheOrderOfSeveralControlFrames() {
        var backlog = Backlog()
        Self.append([Self.one, Self.two], to: &backlog, sent: 2)
        for number in 0..<5 { Self.insert(FrameEncoder.frame(.ping, [UInt8(number)]), &backlog) }
        let pings = (0..<5).flatMap { FrameEncoder.frame(.ping, [UInt8($0)]) }
        #expect(backlog.take(1000) == Array(Self.one.dropFirst(2)) + pings + Self.two)
    }

    @Test func replacesAnUnsentPong() {
        var backlog = Backlog()
        Self.append([Self.one, Self.two], to: &backlog, sent: 2)
        Self.insert(Self.ping, &backlog)
        for number in 0..<1000 {
            Self.insert(
                FrameEncoder.frame(.pong, [UInt8](repeating: 7, count: number % 126)), &backlog, isReplaceable: true)
        }
        let last = FrameEncoder.frame(.pong, [UInt8](repeating: 7, count: 999 % 126))
        #expect(backlog.byteCount == 3 + Self.ping.count + last.count + Self.two.count)
        // Three bytes of what has begun, the PING, and one byte of the PONG: that one stays, and another follows it.
        var taken = backlog.take(3 + Self.ping.count + 1)
        for number in 0..<3 {
            Self.insert(FrameEncoder.frame(.pong, [UInt8(number)]), &backlog, isReplaceable: true)
        }
        taken += backlog.take(1000)
        #expect(taken == Array(Self.one.dropFirst(2)) + Self.ping + last + FrameEncoder.frame(.pong, [2]) + Self.two)
        #expect(backlog.isEmpty == true)
    }

    @Test func isSentIfNothingWaits() {
        var backlog = Backlog()
        Self.insert(Self.ping, &backlog)
        #expect(backlog.oldest == MonotonicTime(nanoseconds: 9))
        #expect(backlog.take(10) == Self.ping)
    }

    /// Frames of many sizes, cut anywhere, with control frames and a last word between: whole frames come out, in order.
    @Test(arguments: 0..<80)
    func neverSplitsAFrame(seed: Int) throws {
        var random = SplitMix(schedule: seed)
        var backlog = Backlog()
        var output: [UInt8] = []
        var number: UInt8 = 0
        for _ in 0..<120 {
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                let frames = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                    number &+= 1
                    let size = [0, 1, 125, 126, 3000][Int.random(in: 0..<5, using: &random)]
                    return FrameEncoder.frame(.binary, [number] + [UInt8](repeating: number, count: size))
                }
                Self.append(frames, to: &backlog)
            case 1: Self.insert(Self.ping, &backlog, isReplaceable: .random(using: &random))
            default: output += backlog.take(.random(in: 1...2000, using: &random))
            }
        }
        _ = backlog.truncate(frameCount: Self.frameCount)
        backlog.append(FrameEncoder.closeFrame(.tryAgainLater), now: MonotonicTime(nanoseconds: 1))
        output += backlog.take(1 << 30)
        var messages: [UInt8] = []
        var offset = 0
        var last = Opcode.continuation
        while offset < output.count {
            let reading = output[offset...].withUnsafeBytes { FrameHeader.read($0, isMasked: false) }
            guard case .whole(let header, let count) = reading, offset + count + header.payloadLength <= output.count
            else {
                Issue.record("no whole frame at \(offset)")
                return
            }
            let payload = output[offset + count..<offset + count + header.payloadLength]
            last = header.opcode
            if last == .binary {
                #expect(payload.allSatisfy { $0 == payload.first })
                messages += payload.prefix(1)
            } else if last == .ping {
                #expect(Array(payload) == [1])
            }
            offset += count + header.payloadLength
        }
        #expect(last == .close)
        #expect(zip(messages, messages.dropFirst()).allSatisfy { $1 == $0 &+ 1 }, "in order, and none missing")
    }
}
