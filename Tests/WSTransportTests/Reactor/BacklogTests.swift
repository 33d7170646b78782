import Testing

@testable import WSTransport

@Suite("The unsent bytes of a socket")
struct BacklogTests {
    /// A chunk of the arena with these bytes, as a turn makes it.
    private static func chunk(_ bytes: [UInt8]) -> FrameChunk {
        var arena = FrameArena()
        let segment = arena.encode(lane: 0, count: bytes.count) { $0.copyBytes(from: bytes) }
        return arena.chunks[Int(segment.chunk)]
    }

    private static func time(_ number: Int) -> MonotonicTime { MonotonicTime(nanoseconds: Int64(number)) }

    @Test(arguments: 0..<60)
    func sendsEverythingInOrder(seed: Int) throws {
        var random = SplitMix(schedule: seed)
        let (peer, raw) = SocketPeer.pair(sendBytes: 4096)
        let socket = FileDescriptor(adopting: raw)
        var backlog = Backlog()
        var expected: [UInt8] = []
        var received: [UInt8] = []
        for step in 0..<150 {
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1:
                let bytes = random.bytes(.random(in: 1...20_000, using: &random))
                // The smaller it is compared with its chunk, the sooner it is copied.
                let offset = Int.random(in: 0..<bytes.count, using: &random)
                let count = Int.random(in: 1...bytes.count - offset, using: &random)
                var sent = 0
                if backlog.isEmpty {
                    sent = Int.random(in: 0...count, using: &random)
                    try socket.sendAll(bytes[offset..<offset + sent], reading: peer, into: &received)
                }
                backlog.append(Self.chunk(bytes), offset: offset, count: count, sent: sent, now: Self.time(step))
                expected += bytes[offset..<offset + count]
            case 2:
                let bytes = random.bytes(.random(in: 0...300, using: &random))
                backlog.append(bytes, now: Self.time(step))
                expected += bytes
            case 3:
                try backlog.flush(to: socket)
            default:
                if backlog.byteCount + received.count < expected.count {
                    received += try peer.readSome(atMost: .random(in: 1...9000, using: &random))
                }
            }
            #expect(backlog.isEmpty == (backlog.byteCount == 0) && (backlog.oldest == nil) == backlog.isEmpty)
        }
        while received.count < expected.count {
            try backlog.flush(to: socket)
            received += try peer.readSome()
        }
        #expect(received == expected)
        #expect(backlog.isEmpty == true)
    }

    @Test func reportsItsSizeAndOldestByte() throws {
        let (peer, raw) = SocketPeer.pair()
        let socket = FileDescriptor(adopting: raw)
        var backlog = Backlog()
        #expect(backlog.oldest == nil && backlog.byteCount == 0)
        let chunk = Self.chunk(Array(0..<100))
        backlog.append(chunk, offset: 0, count: 100, sent: 100, now: Self.time(1))
        #expect(backlog.isEmpty == true, "all of it is sent")
        backlog.append(chunk, offset: 0, count: 100, sent: 60, now: Self.time(2))
        backlog.append([7, 7], now: Self.time(3))
        #expect(backlog.oldest == Self.time(2) && backlog.byteCount == 42)
        try backlog.flush(to: socket)
        #expect(backlog.oldest == nil && backlog.byteCount == 0)
        #expect(try peer.read(42) == Array(60..<100) + [7, 7])
    }

    @Test func copiesSmallPartsOfAChunkAndRetainsLargeOnes() {
        var backlog = Backlog()
        var small: FrameChunk? = Self.chunk([UInt8](repeating: 1, count: 1000))
        var large: FrameChunk? = Self.chunk([UInt8](repeating: 2, count: 1000))
        weak let weakSmall = small
        weak let weakLarge = large
        if let small, let large {
            backlog.append(small, offset: 0, count: 249, now: Self.time(0))
            backlog.append(large, offset: 0, count: 250, now: Self.time(0))
        }
        (small, large) = (nil, nil)
        #expect(weakSmall == nil && weakLarge != nil)
        #expect(backlog.byteCount == 499)
    }

    @Test func failsIfThePeerIsGone() {
        let (peer, raw) = SocketPeer.pair()
        let socket = FileDescriptor(adopting: raw)
        var backlog = Backlog()
        backlog.append([1], now: Self.time(0))
        peer.close()
        var failure: Errno?
        do throws(Errno) { try backlog.flush(to: socket) } catch { failure = error }
        #expect(failure?.description == "Broken pipe")
    }

    // MARK: Making room for a last word

    private static func frameCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard case .whole(let header, let count) = FrameHeader.read(bytes, isMasked: false) else { return 1 }
        return count + header.payloadLength
    }

    /// Frames of these payload sizes, then `sent` bytes of them on their way, as a shared and as a copied piece.
    @Test(arguments: [0, 1, 2, 3, 4, 129, 130, 131, 132, 133, 134, 135, 436, 437], [true, false])
    func truncationKeepsTheRestOfAPartlySentFrame(sent: Int, isShared: Bool) throws {
        let frames = [2, 127, 300].map { FrameEncoder.frame(.binary, [UInt8](repeating: 0x81, count: $0)) }
        let bytes = Array(frames.joined())
        try #require(bytes.count == 4 + 131 + 304 && sent < bytes.count)
        let whole = isShared ? bytes : bytes + [UInt8](repeating: 0, count: 9000)
        var backlog = Backlog()
        backlog.append(Self.chunk(whole), offset: 0, count: bytes.count, sent: sent, now: Self.time(1))
        backlog.append(Self.chunk(bytes), offset: 0, count: bytes.count, now: Self.time(2))
        let before = backlog.byteCount
        let dropped = backlog.truncate(frameCount: Self.frameCount)
        let ends = [0, 4, 135, 439]
        let end = ends.first { $0 >= sent } ?? 0
        #expect(backlog.byteCount == end - sent)
        #expect(dropped == before - backlog.byteCount)
        #expect(backlog.oldest == (end == sent ? nil : Self.time(1)))
        backlog.append([0xFF], now: Self.time(3))
        let (peer, raw) = SocketPeer.pair()
        try backlog.flush(to: FileDescriptor(adopting: raw))
        #expect(try peer.readToEnd() == bytes[sent..<end] + [0xFF])
    }

    /// The kept bytes begin in the middle of a frame, and a second cut must not mistake them for a head.
    @Test func truncatingAgainChangesNothing() {
        let frame = FrameEncoder.frame(.binary, [UInt8](repeating: 0x81, count: 50))
        var backlog = Backlog()
        backlog.append(Self.chunk(frame), offset: 0, count: frame.count, sent: 10, now: Self.time(1))
        #expect(backlog.truncate(frameCount: Self.frameCount) == 0)
        #expect(backlog.truncate(frameCount: Self.frameCount) == 0)
        #expect(backlog.byteCount == frame.count - 10)
    }

    @Test func truncatingAnEmptyBacklogChangesNothing() {
        var backlog = Backlog()
        #expect(backlog.truncate(frameCount: Self.frameCount) == 0)
    }
}

extension FileDescriptor {
    fileprivate borrowing func sendSome(of bytes: ArraySlice<UInt8>) throws(Errno) -> Int {
        var result = Result<Int, Errno>.success(0)
        bytes.withUnsafeBytes { bytes in
            do throws(Errno) { result = .success(try send(bytes)) } catch { result = .failure(error) }
        }
        return try result.get()
    }

    /// Sends `bytes` although the socket accepts few at a time: a reader empties it.
    fileprivate borrowing func sendAll(
        _ bytes: ArraySlice<UInt8>, reading peer: SocketPeer, into received: inout [UInt8]
    ) throws {
        var rest = bytes
        while !rest.isEmpty {
            var isFull = false
            do throws(Errno) {
                rest = rest.dropFirst(try sendSome(of: rest))
            } catch {
                guard error == .wouldBlock else { throw error }
                isFull = true
            }
            if isFull { received += try peer.readSome() }
        }
    }
}
