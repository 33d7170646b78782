/// The state of a connection that fan-out and the turn's sends need: 24 bytes, contiguous for all connections of a
/// reactor.
@usableFromInline
struct OutboundSlot {
    /// The end of the newest bytes of this turn; without its flags, 0 if there are none.
    ///
    /// The flags are in the two highest bits, then the number of the chunk plus one, then the offset in the lower half.
    @usableFromInline var tail: UInt64
    /// The beginning of the bytes of this turn, in the same chunk.
    @usableFromInline var start: UInt32
    /// The socket that the bytes may be sent to without asking the connection; -1: the connection must be asked; below
    /// -1: they must be encrypted with the state at ``recordPlace``.
    @usableFromInline var descriptor: Int32
    /// The mark of the newest message that was considered for it, in case several filters match.
    @usableFromInline var mark: UInt64

    /// The place of the state with which TLS encrypts the bytes without asking the connection; `nil` if there is none.
    var recordPlace: UInt32? { descriptor < -1 ? UInt32(bitPattern: -2 &- descriptor) : nil }

    /// A ``descriptor`` for bytes that are encrypted with the state at `place`.
    static func descriptor(sealedAt place: UInt32) -> Int32 { -2 &- Int32(bitPattern: place) }

    /// The part of ``tail`` that is a position.
    @usableFromInline static var position: UInt64 { ~0 >> 2 }

    @inlinable var segment: Segment? {
        let end = UInt32(truncatingIfNeeded: tail)
        guard end != 0 else { return nil }
        let chunk = UInt32(truncatingIfNeeded: (tail & Self.position) >> 32) &- 1
        return Segment(chunk: chunk, offset: start, count: end &- start)
    }
}

extension Segment {
    /// Its beginning in the form of ``OutboundSlot/tail``, without flags.
    @inlinable package var head: UInt64 { UInt64(chunk &+ 1) &<< 32 | UInt64(offset) }
    /// Its end in the form of ``OutboundSlot/tail``, without flags.
    @inlinable package var tail: UInt64 { head &+ UInt64(count) }
}

/// Why a connection cannot take a frame on the fast path.
@usableFromInline package struct OutboundFlags: OptionSet, Sendable {
    @usableFromInline package let rawValue: UInt32
    @usableFromInline package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Closed or closing: accepts nothing more.
    package static let inert = OutboundFlags(rawValue: 1)
    /// Its session must check each message itself, as during a snapshot.
    package static let held = OutboundFlags(rawValue: 2)

    /// The flags' place in ``OutboundSlot/tail``.
    @usableFromInline var bits: UInt64 { UInt64(rawValue) << 62 }
}

/// The outbound state of all connections of one reactor, by slot number, and the list of those with something to send.
///
/// The most performance-critical structure of fan-out: appending a shared frame to a connection takes about a dozen
/// instructions. Runs on the reactor's thread.
@safe struct OutboundTable: ~Copyable {
    private var slots: UnsafeMutablePointer<OutboundSlot>
    private var dirty: UnsafeMutablePointer<UInt32>
    private var flushing: UnsafeMutablePointer<UInt32>
    private let dirtyCount: UnsafeMutablePointer<Int>
    private var capacity: Int

    init() {
        capacity = 64
        unsafe slots = .allocate(capacity: capacity)
        unsafe dirty = .allocate(capacity: capacity)
        unsafe flushing = .allocate(capacity: capacity)
        unsafe dirtyCount = .allocate(capacity: 1)
        unsafe dirtyCount.initialize(to: 0)
        unsafe slots.initialize(repeating: Self.empty, count: capacity)
    }

    deinit {
        unsafe slots.deallocate()
        unsafe dirty.deallocate()
        unsafe flushing.deallocate()
        unsafe dirtyCount.deallocate()
    }

    private static var empty: OutboundSlot {
        OutboundSlot(tail: OutboundFlags.inert.bits, start: 0, descriptor: -1, mark: 0)
    }

    /// A view for the loops that append; valid until a connection is opened.
    var cursor: OutboundCursor { unsafe OutboundCursor(slots: slots, dirty: dirty, dirtyCount: dirtyCount) }

    mutating func grow(toHold count: Int) {
        guard count > capacity else { return }
        let larger = max(count, capacity * 2)
        let newSlots = UnsafeMutablePointer<OutboundSlot>.allocate(capacity: larger)
        unsafe newSlots.initialize(repeating: Self.empty, count: larger)
        unsafe newSlots.update(from: slots, count: capacity)
        let newDirty = UnsafeMutablePointer<UInt32>.allocate(capacity: larger)
        unsafe newDirty.update(from: dirty, count: dirtyCount.pointee)
        // A connection may open while the list that was put aside is being processed.
        let newFlushing = UnsafeMutablePointer<UInt32>.allocate(capacity: larger)
        unsafe newFlushing.update(from: flushing, count: capacity)
        unsafe slots.deallocate()
        unsafe dirty.deallocate()
        unsafe flushing.deallocate()
        unsafe slots = newSlots
        unsafe dirty = newDirty
        unsafe flushing = newFlushing
        capacity = larger
    }

    mutating func open(_ slot: UInt32) {
        unsafe slots[Int(slot)] = Self.empty
        unsafe slots[Int(slot)].tail = 0
    }

    func setFlags(_ flags: OutboundFlags, of slot: UInt32) {
        unsafe slots[Int(slot)].tail |= flags.bits
        if flags.contains(.inert) { setDescriptor(-1, of: slot) }
    }

    func clearFlags(_ flags: OutboundFlags, of slot: UInt32) { unsafe slots[Int(slot)].tail &= ~flags.bits }

    /// Sets the socket that a turn's bytes may be sent to without asking the connection; -1: the connection must be
    /// asked.
    func setDescriptor(_ descriptor: Int32, of slot: UInt32) { unsafe slots[Int(slot)].descriptor = descriptor }

    /// Replaces the newest segment by `segment`, and returns the old one; the connection itself must keep and send
    /// that.
    func replaceNewest(of slot: UInt32, with segment: Segment) -> Segment? {
        let place = unsafe slots + Int(slot)
        let older = unsafe place.pointee.segment
        unsafe place.pointee.tail = place.pointee.tail & ~OutboundSlot.position | segment.tail
        unsafe place.pointee.start = segment.offset
        unsafe place.pointee.descriptor = -1
        return older
    }

    /// Removes this turn's newest segment, and the slot from the list; `nil` if there is none.
    func takeNewest(of slot: UInt32) -> Segment? {
        guard let segment = unsafe slots[Int(slot)].segment else { return nil }
        unsafe slots[Int(slot)].tail &= ~OutboundSlot.position
        unlist(slot)
        return segment
    }

    /// Removes a slot from the list, because its segment is dropped early; the list has room for each slot only once.
    private func unlist(_ slot: UInt32) {
        let count = unsafe dirtyCount.pointee
        for index in 0..<count where unsafe dirty[index] == slot {
            unsafe (dirty + index).update(from: dirty + index + 1, count: count - index - 1)
            unsafe dirtyCount.pointee = count - 1
            return
        }
    }

    func newest(of slot: UInt32) -> Segment? { unsafe slots[Int(slot)].segment }

    /// Discards this turn's newest segment of a slot that is no longer in the list.
    func dropNewest(of slot: UInt32) { unsafe slots[Int(slot)].tail &= ~OutboundSlot.position }

    func newestCount(of slot: UInt32) -> Int { unsafe Int(slots[Int(slot)].segment?.count ?? 0) }

    func hasNewest(of slot: UInt32) -> Bool { unsafe slots[Int(slot)].segment != nil }

    var hasDirty: Bool { unsafe dirtyCount.pointee > 0 }

    /// Puts the list of dirty connections aside and begins a new one: sending may make connections dirty again.
    mutating func takeDirty() -> Int {
        let count = unsafe dirtyCount.pointee
        unsafe swap(&dirty, &flushing)
        unsafe dirtyCount.pointee = 0
        return count
    }

    /// The place of the state that encrypts the bytes of a slot; see ``OutboundSlot/recordPlace``.
    func recordPlace(of slot: UInt32) -> UInt32? { unsafe slots[Int(slot)].recordPlace }

    /// The slot at `index` of the list put aside.
    func takenSlot(_ index: Int) -> UInt32 { unsafe flushing[index] }

    /// Changes the list put aside at `index`.
    func keepTaken(_ slot: UInt32, at index: Int) { unsafe flushing[index] = slot }

    /// Bytes that a connection must handle itself.
    struct Remainder {
        let slot: UInt32
        let segment: Segment
        /// How many of its bytes the socket has taken; negative: unknown, so nothing more can be sent.
        let sent: Int
    }

    /// Sends by `ring` to the connections put aside, except those that must be asked.
    ///
    /// - Parameters:
    ///   - rest: gets the segments that sockets did not take completely.
    ///   - chunks: the chunks that the segments name.
    /// - Returns: how many must be asked; they stay at the beginning of the list, for
    ///   ``sendDirectly(from:to:chunks:)``.
    func send(
        _ count: Int, by ring: inout SendRing, chunks: borrowing ContiguousArray<FrameChunk>, rest: inout [Remainder]
    ) -> Int {
        var known: UInt64 = 0
        var base = unsafe UnsafeRawPointer(slots)
        var asked = 0
        for index in 0..<count {
            let slot = unsafe flushing[index]
            let place = unsafe slots + Int(slot)
            let tail = unsafe place.pointee.tail
            let end = UInt32(truncatingIfNeeded: tail)
            guard end != 0 else { continue }
            let descriptor = unsafe place.pointee.descriptor
            guard descriptor >= 0 else {
                unsafe flushing[asked] = slot
                asked &+= 1
                continue
            }
            unsafe place.pointee.tail = tail & ~OutboundSlot.position
            let chunk = (tail & OutboundSlot.position) >> 32
            if chunk != known {
                known = chunk
                unsafe base = UnsafeRawPointer(chunks[Int(truncatingIfNeeded: chunk) &- 1].base)
            }
            let start = unsafe place.pointee.start
            unsafe ring.put(base + Int(start), end &- start, to: descriptor, tag: slot)
            if ring.isFull { run(&ring, chunks, &rest) }
        }
        run(&ring, chunks, &rest)
        return asked
    }

    private func run(
        _ ring: inout SendRing, _ chunks: borrowing ContiguousArray<FrameChunk>, _ rest: inout [Remainder]
    ) {
        ring.run { incomplete in
            unsafe slots[Int(incomplete.tag)].descriptor = -1
            for index in chunks.indices {
                let offset = unsafe incomplete.bytes - UnsafeRawPointer(chunks[index].base)
                guard offset >= 0, offset < chunks[index].capacity else { continue }
                let segment = Segment(
                    chunk: UInt32(truncatingIfNeeded: index), offset: UInt32(truncatingIfNeeded: offset),
                    count: UInt32(truncatingIfNeeded: incomplete.count))
                // As below: an error occurs again when the connection sends.
                let sent = incomplete.result == SendRing.unknown ? -1 : max(0, incomplete.result)
                return rest.append(Remainder(slot: incomplete.tag, segment: segment, sent: sent))
            }
        }
    }

    /// Sends to the connections put aside from `index` on, up to the first that must be asked or takes only a part.
    ///
    /// - Parameters:
    ///   - index: is moved after the connections that are done, including the returned one.
    ///   - chunks: the chunks that the segments name.
    func sendDirectly(
        from index: inout Int, to count: Int, chunks: borrowing ContiguousArray<FrameChunk>
    ) -> Remainder? {
        var known: UInt64 = 0
        var base = unsafe UnsafeRawPointer(slots)
        while index < count {
            let slot = unsafe flushing[index]
            index &+= 1
            let place = unsafe slots + Int(slot)
            let tail = unsafe place.pointee.tail
            let end = Int(tail & 0xFFFF_FFFF)
            guard end != 0 else { continue }
            unsafe place.pointee.tail = tail & ~OutboundSlot.position
            let start = Int(unsafe place.pointee.start)
            let descriptor = unsafe place.pointee.descriptor
            let chunk = (tail & OutboundSlot.position) >> 32
            var sent = 0
            if descriptor >= 0 {
                if chunk != known {
                    known = chunk
                    unsafe base = UnsafeRawPointer(chunks[Int(truncatingIfNeeded: chunk) &- 1].base)
                }
                sent = unsafe Socket.send(base + start, end &- start, to: descriptor)
                if sent == end &- start { continue }
            }
            // Until it has sent everything.
            unsafe place.pointee.descriptor = -1
            let segment = Segment(
                chunk: UInt32(truncatingIfNeeded: chunk) &- 1, offset: UInt32(truncatingIfNeeded: start),
                count: UInt32(truncatingIfNeeded: end &- start))
            // An error occurs again, and is handled, when the connection sends.
            return Remainder(slot: slot, segment: segment, sent: max(0, sent))
        }
        return nil
    }
}

/// Pointers into the table, for loops that append one segment to many connections.
@usableFromInline @safe package struct OutboundCursor {
    @usableFromInline let slots: UnsafeMutablePointer<OutboundSlot>
    @usableFromInline let dirty: UnsafeMutablePointer<UInt32>
    @usableFromInline let dirtyCount: UnsafeMutablePointer<Int>

    @usableFromInline
    init(
        slots: UnsafeMutablePointer<OutboundSlot>, dirty: UnsafeMutablePointer<UInt32>,
        dirtyCount: UnsafeMutablePointer<Int>
    ) {
        unsafe self.slots = slots
        unsafe self.dirty = dirty
        unsafe self.dirtyCount = dirtyCount
    }

    /// Appends `segment` to the connection in `slot`; `false` if it does not follow the bytes that the turn has for it.
    @inlinable @inline(__always)
    package func append(_ segment: Segment, to slot: UInt32) -> Bool {
        let place = unsafe slots + Int(slot)
        let tail = unsafe place.pointee.tail
        let position = tail & OutboundSlot.position
        if position == 0 {
            unsafe place.pointee.start = segment.offset
            unsafe dirty[dirtyCount.pointee] = slot
            unsafe dirtyCount.pointee &+= 1
        } else if position != segment.head {
            return false
        }
        unsafe place.pointee.tail = tail &+ (segment.tail &- position)
        return true
    }

    /// Whether the bytes of the connection in `slot` in this turn end at `tail`, and no flag is set.
    @inlinable @inline(__always)
    package func ends(with tail: UInt64, _ slot: UInt32) -> Bool { unsafe slots[Int(slot)].tail == tail }

    /// The result of ``offer(_:to:)``.
    package enum Offer {
        /// The connection has got the segment.
        case taken
        /// The connection had the segment already.
        case known
        /// The segment does not follow the bytes that the turn has for the connection.
        case apart
        /// The connection must be asked, or accepts nothing.
        case refused
    }

    /// Appends a segment, given by its two ends, if nothing prevents that: the inner loop of fan-out.
    @inlinable @inline(__always)
    package func extend(_ slot: UInt32, from head: UInt64, to tail: UInt64) -> Bool {
        let place = unsafe slots + Int(slot)
        let current = unsafe place.pointee.tail
        if current != head {
            guard current == 0 else { return false }
            unsafe place.pointee.start = UInt32(truncatingIfNeeded: head)
            unsafe dirty[dirtyCount.pointee] = slot
            unsafe dirtyCount.pointee &+= 1
        }
        unsafe place.pointee.tail = tail
        return true
    }

    /// Appends `segment`, which no other message shares, to the connection in `slot`, unless it has it already or a
    /// flag is set.
    package func offer(_ segment: Segment, to slot: UInt32) -> Offer {
        if extend(slot, from: segment.head, to: segment.tail) { return .taken }
        let tail = unsafe slots[Int(slot)].tail
        if tail > OutboundSlot.position { return .refused }
        return tail == segment.tail ? .known : .apart
    }

    /// Whether `segment` is the newest that the connection has in this turn.
    package func hasNewest(_ segment: Segment, of slot: UInt32) -> Bool {
        unsafe slots[Int(slot)].tail & OutboundSlot.position == segment.tail
    }

    /// Whether the connection may be sent to on the fast path.
    @inlinable @inline(__always)
    package func isPlain(_ slot: UInt32) -> Bool { unsafe slots[Int(slot)].tail <= OutboundSlot.position }

    /// Whether this connection has got `mark`, or a higher one.
    @inlinable @inline(__always)
    package func hasMark(_ mark: UInt64, of slot: UInt32) -> Bool { unsafe slots[Int(slot)].mark >= mark }

    /// Whether `mark` is higher than the connection's; sets it if so.
    @inlinable @inline(__always)
    package func takeMark(_ mark: UInt64, of slot: UInt32) -> Bool {
        if hasMark(mark, of: slot) { return false }
        unsafe slots[Int(slot)].mark = mark
        return true
    }
}
