internal import CLinux

/// Bytes that a socket has not taken yet, oldest first.
///
/// Large pieces are shared with the other connections that wait for them; small ones are copied, so that a slow
/// connection does not keep a whole chunk alive for a few bytes of it. Empty for a connection that keeps up.
struct Backlog: ~Copyable {
    private enum Bytes {
        case shared(FrameChunk, offset: Int, count: Int)
        case copied([UInt8])

        var count: Int {
            switch self {
            case .shared(_, _, let count): count
            case .copied(let bytes): bytes.count
            }
        }
    }

    /// Whether a piece goes before others.
    private enum Urgency { case none, urgent, replaceable }

    private struct Piece {
        var bytes: Bytes
        /// When it was added, for the limit of age.
        let since: MonotonicTime
        /// Other than `none`, it is a single frame.
        var urgency = Urgency.none
    }

    private var pieces: [Piece] = []
    private var first = 0
    /// How much of the first piece has been sent, in bytes.
    private var sentOfFirst = 0
    /// How much of the first piece is the rest of a frame that ``truncate(frameCount:)`` has kept, in bytes.
    private var restOfFirst = 0
    /// All unsent bytes.
    private(set) var byteCount = 0

    var isEmpty: Bool { byteCount == 0 }

    /// When the oldest unsent piece was added; `nil` if there is none.
    var oldest: MonotonicTime? { isEmpty ? nil : pieces[first].since }

    /// Appends a segment, of which `sent` bytes have been sent already; more than 0 is allowed only if the backlog is
    /// empty.
    ///
    /// - Parameter counters: count the memory that the backlog holds.
    mutating func append(
        _ chunk: FrameChunk, offset: Int, count: Int, sent: Int = 0, now: MonotonicTime,
        counters: ReactorCounters? = nil
    ) {
        guard count > sent else { return }
        if isEmpty { sentOfFirst = sent }
        var (chunk, offset) = (chunk, offset)
        if count < chunk.used / 4 {
            chunk = unsafe FrameChunk(copying: chunk.bytes(from: offset, count: count))
            offset = 0
        }
        if let counters { chunk.count(in: counters) }
        pieces.append(Piece(bytes: .shared(chunk, offset: offset, count: count), since: now))
        byteCount += count - sent
    }

    mutating func append(_ bytes: [UInt8], now: MonotonicTime) {
        guard !bytes.isEmpty else { return }
        pieces.append(Piece(bytes: .copied(bytes), since: now))
        byteCount += bytes.count
    }

    /// Sends as much as `socket` takes now; always `true`.
    @discardableResult
    mutating func flush(to socket: borrowing FileDescriptor) throws(Errno) -> Bool {
        while byteCount > 0 {
            var sent = 0
            var failure: Errno?
            unsafe withVectors { vectors in
                do throws(Errno) { sent = try unsafe socket.send(vectors) } catch { failure = error }
            }
            retire(sent)
            if let failure {
                if failure == .wouldBlock { return true }
                throw failure
            }
        }
        return true
    }

    /// Removes the oldest bytes, at most `count`, for a caller that sends them in another form.
    mutating func take(_ count: Int) -> [UInt8] {
        var taken: [UInt8] = []
        taken.reserveCapacity(min(count, byteCount))
        var skip = sentOfFirst
        for piece in pieces[first...] {
            unsafe withBytes(of: piece.bytes) { bytes in
                let part = min(bytes.count - skip, count - taken.count)
                unsafe taken.append(contentsOf: bytes[skip..<skip + part])
            }
            skip = 0
            if taken.count == count { break }
        }
        retire(taken.count)
        return taken
    }

    private func withVectors(_ body: (UnsafeMutableBufferPointer<iovec>) -> Void) {
        var vectors: [iovec] = unsafe []
        var keep: [[UInt8]] = []
        for (index, piece) in pieces[first...].prefix(64).enumerated() {
            let skip = index == 0 ? sentOfFirst : 0
            switch piece.bytes {
            case .shared(let chunk, let offset, let count):
                let address = unsafe chunk.base + offset + skip
                unsafe vectors.append(iovec(iov_base: address, iov_len: count - skip))
            case .copied(let bytes):
                keep.append(bytes)
                // `pieces` and `keep` hold the array, and nothing changes it, so its storage does not move.
                unsafe bytes.withUnsafeBytes { bytes in
                    let address = unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress)
                    unsafe vectors.append(
                        iovec(iov_base: address.map { unsafe $0 + skip }, iov_len: bytes.count - skip))
                }
            }
        }
        unsafe vectors.withUnsafeMutableBufferPointer { unsafe body($0) }
        withExtendedLifetime(keep) {}
    }

    private mutating func retire(_ sent: Int) {
        byteCount -= sent
        var left = sent + sentOfFirst
        while first < pieces.count, left >= pieces[first].bytes.count {
            left -= pieces[first].bytes.count
            pieces[first].bytes = .copied([])
            first += 1
            restOfFirst = 0
        }
        sentOfFirst = left
        if first == pieces.count {
            pieces = []
            first = 0
        } else if first > 64, first * 2 > pieces.count {
            pieces.removeFirst(first)
            first = 0
        }
    }

    /// Drops everything except the frame that is partly sent, so that another frame may follow it.
    ///
    /// - Parameter frameCount: the length of the first frame in a piece of whole frames, in bytes.
    /// - Returns: how many bytes were dropped.
    mutating func truncate(frameCount: (UnsafeRawBufferPointer) -> Int) -> Int {
        guard !isEmpty else { return 0 }
        let before = byteCount
        var keep: [UInt8] = []
        let end = unsafe endOfBegun(frameCount)
        unsafe withBytes(of: pieces[first].bytes) { keep = unsafe Array($0[sentOfFirst..<max(sentOfFirst, end)]) }
        let since = pieces[first].since
        pieces = keep.isEmpty ? [] : [Piece(bytes: .copied(keep), since: since)]
        first = 0
        sentOfFirst = 0
        restOfFirst = keep.count
        byteCount = keep.count
        return before - byteCount
    }

    /// Inserts a frame before all frames that have not begun, so that it does not wait for them.
    ///
    /// - Parameters:
    ///   - isReplaceable: whether it replaces the last replaceable frame that has not begun.
    ///   - frameCount: as for ``truncate(frameCount:)``.
    mutating func insertAhead(
        _ frame: [UInt8], isReplaceable: Bool, now: MonotonicTime, frameCount: (UnsafeRawBufferPointer) -> Int
    ) {
        var place = first
        let end = unsafe isEmpty ? 0 : endOfBegun(frameCount)
        if end > 0 {
            splitFirst(at: end)
            place += 1
        }
        while place < pieces.count, pieces[place].urgency != .none {
            if isReplaceable, pieces[place].urgency == .replaceable {
                byteCount += frame.count - pieces[place].bytes.count
                pieces[place].bytes = .copied(frame)
                return
            }
            place += 1
        }
        // It gets the time of the oldest piece, because the others have still waited as long.
        let piece = Piece(
            bytes: .copied(frame), since: oldest ?? now, urgency: isReplaceable ? .replaceable : .urgent)
        pieces.insert(piece, at: place)
        byteCount += frame.count
    }

    /// The offset in the first piece at which the partly sent frame ends; 0 if no frame is partly sent.
    ///
    /// A piece begins with a frame's header: `sentOfFirst` counts the sent bytes, which are not removed.
    private func endOfBegun(_ frameCount: (UnsafeRawBufferPointer) -> Int) -> Int {
        var end = restOfFirst
        unsafe withBytes(of: pieces[first].bytes) { bytes in
            while end < sentOfFirst, end < bytes.count {
                end += unsafe max(1, frameCount(UnsafeRawBufferPointer(rebasing: bytes[end...])))
            }
            end = min(end, bytes.count)
        }
        return end
    }

    /// Splits the first piece after the frame that has begun.
    private mutating func splitFirst(at end: Int) {
        restOfFirst = end
        let piece = pieces[first]
        guard end < piece.bytes.count else { return }
        switch piece.bytes {
        case .shared(let chunk, let offset, let count):
            pieces[first].bytes = .shared(chunk, offset: offset, count: end)
            let rest = Bytes.shared(chunk, offset: offset + end, count: count - end)
            pieces.insert(Piece(bytes: rest, since: piece.since), at: first + 1)
        case .copied(let bytes):
            pieces[first].bytes = .copied(Array(bytes[..<end]))
            pieces.insert(Piece(bytes: .copied(Array(bytes[end...])), since: piece.since), at: first + 1)
        }
    }

    private func withBytes(of bytes: Bytes, _ body: (UnsafeRawBufferPointer) -> Void) {
        switch bytes {
        case .shared(let chunk, let offset, let count): unsafe body(chunk.bytes(from: offset, count: count))
        case .copied(let bytes): unsafe bytes.withUnsafeBytes { unsafe body($0) }
        }
    }
}

extension Reactor {
    /// Records that a connection has not taken everything that it was sent.
    func isLagging(_ slot: UInt32) { lagging.insert(slot) }

    /// The bytes that connections have been sent and have not taken: of all together, and of the one with the most.
    package func pendingBytes() -> (all: Int, largest: Int) {
        var (all, largest) = (0, 0)
        lagging = lagging.filter { slot in
            let bytes = connection(in: slot)?.unsentBytes ?? 0
            all += bytes
            largest = max(largest, bytes)
            return bytes > 0
        }
        return (all, largest)
    }

    /// Adds the time from `began` until this turn's bytes are sent, in microseconds, to a histogram; once a turn.
    package func measure(since began: MonotonicTime, in histogram: Histogram) {
        unsafe measuring = histogram
        measuringSince = began
    }

    func concludeMeasurement(in histogram: Histogram, at end: MonotonicTime) {
        unsafe measuring = nil
        histogram.add(Int(end.nanoseconds(since: measuringSince) / 1000))
    }
}
