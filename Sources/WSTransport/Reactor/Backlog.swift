internal import CLinux

/// What a socket did not take yet, oldest first.
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

    private struct Piece {
        var bytes: Bytes
        /// When it came, for the limit of age.
        let since: MonotonicTime
    }

    private var pieces: [Piece] = []
    private var first = 0
    /// How much of the first piece is sent, in bytes.
    private var sentOfFirst = 0
    /// How much of the first piece is the rest of a frame that ``truncate(frameCount:)`` left, in bytes.
    private var restOfFirst = 0
    /// Everything not yet sent, in bytes.
    private(set) var byteCount = 0

    var isEmpty: Bool { byteCount == 0 }

    /// When the oldest unsent piece came; `nil` when there is none.
    var oldest: MonotonicTime? { isEmpty ? nil : pieces[first].since }

    /// Appends a segment; `sent` bytes of it are on their way already, which only the first of all may say.
    mutating func append(_ chunk: FrameChunk, offset: Int, count: Int, sent: Int = 0, now: MonotonicTime) {
        guard count > sent else { return }
        if isEmpty { sentOfFirst = sent }
        if count >= chunk.used / 4 {
            pieces.append(Piece(bytes: .shared(chunk, offset: offset, count: count), since: now))
        } else {
            pieces.append(Piece(bytes: .copied(unsafe Array(chunk.bytes(from: offset, count: count))), since: now))
        }
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

    /// Removes the oldest bytes, at most `count`, for who sends them in another form.
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
                // The array is held by `pieces` and `keep` and is not changed, so its storage stays where it is.
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

    /// Drops everything but the frame that is partly sent, so that another frame may follow it.
    ///
    /// - Parameter frameCount: the byte count of the frame that a piece of whole frames begins with.
    /// - Returns: how many bytes were dropped.
    mutating func truncate(frameCount: (UnsafeRawBufferPointer) -> Int) -> Int {
        guard !isEmpty else { return 0 }
        let before = byteCount
        var keep: [UInt8] = []
        // A piece begins with a frame's head: what was sent of it is counted by `sentOfFirst`, not cut off.
        unsafe withBytes(of: pieces[first].bytes) { bytes in
            var end = restOfFirst
            while end < sentOfFirst, end < bytes.count {
                end += unsafe max(1, frameCount(UnsafeRawBufferPointer(rebasing: bytes[end...])))
            }
            keep = unsafe Array(bytes[sentOfFirst..<max(sentOfFirst, min(end, bytes.count))])
        }
        let since = pieces[first].since
        pieces = keep.isEmpty ? [] : [Piece(bytes: .copied(keep), since: since)]
        first = 0
        sentOfFirst = 0
        restOfFirst = keep.count
        byteCount = keep.count
        return before - byteCount
    }

    private func withBytes(of bytes: Bytes, _ body: (UnsafeRawBufferPointer) -> Void) {
        switch bytes {
        case .shared(let chunk, let offset, let count): unsafe body(chunk.bytes(from: offset, count: count))
        case .copied(let bytes): unsafe bytes.withUnsafeBytes { unsafe body($0) }
        }
    }
}
