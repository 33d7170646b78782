/// Encoded bytes, shared by all connections that send them.
///
/// Runs on the reactor's thread. Bytes below ``used`` never change while anything but the arena holds the chunk, and
/// they never move, so the kernel may be given pointers into it.
@safe package final class FrameChunk {
    let base: UnsafeMutableRawPointer
    let capacity: Int
    /// How many bytes have been written.
    fileprivate(set) var used = 0
    /// Counts its memory while a connection holds it that has not sent its bytes.
    private var counters: ReactorCounters?

    init(capacity: Int) {
        self.capacity = capacity
        unsafe base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    }

    /// A separate chunk with a copy of bytes from another one.
    convenience init(copying bytes: UnsafeRawBufferPointer) {
        self.init(capacity: bytes.count)
        unsafe UnsafeMutableRawBufferPointer(start: base, count: capacity).copyMemory(from: bytes)
        used = capacity
    }

    deinit {
        forget()
        unsafe base.deallocate()
    }

    /// Counts its memory as held, once for all holders, until the chunk is reused or released.
    func count(in counters: ReactorCounters) {
        guard self.counters == nil else { return }
        self.counters = counters
        counters.heldBytes.add(capacity)
    }

    fileprivate func forget() {
        guard let counters else { return }
        counters.heldBytes.add(-capacity)
        self.counters = nil
    }

    /// Makes all of it free again.
    fileprivate func empty() {
        used = 0
        forget()
    }

    /// The bytes in `range`, valid while this object lives.
    func bytes(from offset: Int, count: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base + offset, count: count)
    }
}

/// The place of some frames in this turn's chunks.
@usableFromInline package struct Segment: Sendable {
    @usableFromInline var chunk: UInt32
    @usableFromInline var offset: UInt32
    /// In bytes; never 0.
    @usableFromInline package var count: UInt32

    @usableFromInline
    init(chunk: UInt32, offset: UInt32, count: UInt32) {
        self.chunk = chunk
        self.offset = offset
        self.count = count
    }
}

/// The bytes that one turn encodes, in lanes.
///
/// Frames of one lane are contiguous, so a connection that gets several frames of a lane in a row needs one `send` of
/// one piece for all of them. The owner makes a lane for each wire form; lane 0 is for bytes that only one connection
/// gets. At the end of the turn the chunks are reused, except those that a slow connection still holds.
struct FrameArena: ~Copyable {
    private static let chunkCapacity = 64 * 1024

    /// This turn's chunks; a ``Segment`` names them by index.
    private(set) var chunks: ContiguousArray<FrameChunk> = []
    /// The current chunk of a lane, valid in one turn only, so that the end of a turn need not visit all lanes.
    private struct Current {
        var turn: UInt64 = 0
        var chunk: UInt32 = 0
    }

    /// By lane.
    private var current = [Current()]
    private var turn: UInt64 = 1
    private var spare: [FrameChunk] = []

    /// Returns a new lane.
    mutating func makeLane() -> Int {
        current.append(Current())
        return current.count - 1
    }

    /// Makes room for `count` bytes in `lane`, lets `body` fill them, and returns their place.
    mutating func encode(lane: Int, count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) -> Segment {
        let current = current[lane]
        if current.turn == turn {
            let chunk = chunks[Int(current.chunk)]
            if chunk.capacity &- chunk.used >= count {
                return unsafe Self.encode(in: chunk, current.chunk, count, body)
            }
        }
        let index = addChunk(lane: lane, room: count)
        return unsafe Self.encode(in: chunks[Int(index)], index, count, body)
    }

    @inline(__always)
    private static func encode(
        in chunk: FrameChunk, _ index: UInt32, _ count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) -> Segment {
        let offset = chunk.used
        unsafe body(UnsafeMutableRawBufferPointer(start: chunk.base + offset, count: count))
        chunk.used = offset &+ count
        return Segment(
            chunk: index, offset: UInt32(truncatingIfNeeded: offset), count: UInt32(truncatingIfNeeded: count))
    }

    /// Adds a chunk for a lane without that much room.
    private mutating func addChunk(lane: Int, room: Int) -> UInt32 {
        let chunk: FrameChunk
        if room <= Self.chunkCapacity, let last = spare.popLast() {
            chunk = last
        } else {
            chunk = FrameChunk(capacity: max(room, Self.chunkCapacity))
        }
        let index = UInt32(truncatingIfNeeded: chunks.count)
        chunks.append(chunk)
        current[lane] = Current(turn: turn, chunk: index)
        return index
    }

    /// Discards the turn's segments and keeps a few chunks for the next turn.
    mutating func endTurn() {
        guard !chunks.isEmpty else { return }
        if chunks.count == 1 && keepsFirst() { return }
        turn &+= 1
        while var chunk = chunks.popLast() {
            guard spare.count < 16, chunk.capacity == Self.chunkCapacity, isKnownUniquelyReferenced(&chunk) else {
                continue
            }
            chunk.empty()
            spare.append(chunk)
        }
    }

    /// Leaves the only chunk to its lane for the next turn, too, which mostly encodes for the same one; `false` if a
    /// connection holds it.
    ///
    /// The number of the turn stays the same, so that the chunk is still the current one of its lane, and of no other.
    private mutating func keepsFirst() -> Bool {
        if chunks[0].used == 0 { return true }
        guard chunks[0].capacity == Self.chunkCapacity, isKnownUniquelyReferenced(&chunks[0]) else { return false }
        chunks[0].empty()
        return true
    }
}
