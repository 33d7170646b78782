/// What fan-out must know of a connection, and nothing else: 24 bytes, side by side for all connections of a reactor.
@usableFromInline
struct OutboundSlot {
    /// The newest segment of this turn; `count` 0: none yet.
    @usableFromInline var segment: Segment
    @usableFromInline var flags: OutboundFlags
    /// The sequence number of the newest message appended, for connections that several filters match.
    @usableFromInline var mark: UInt64
}

/// Why a connection cannot take a frame by the short way.
@usableFromInline package struct OutboundFlags: OptionSet, Sendable {
    @usableFromInline package let rawValue: UInt32
    @usableFromInline package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Closed, or closing: takes nothing more.
    package static let inert = OutboundFlags(rawValue: 1)
    /// Its session wants to see each message itself (a snapshot is under way).
    package static let held = OutboundFlags(rawValue: 2)
}

/// The outbound state of every connection of one reactor, by slot number, and the list of those with something to send.
///
/// This is the hot structure of fan-out: appending a shared frame to a connection is a dozen instructions.
/// Runs on the reactor's thread.
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
        OutboundSlot(segment: Segment(chunk: 0, offset: 0, count: 0), flags: .inert, mark: 0)
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
        // A connection may open while the list that was put aside is being sent to.
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
        unsafe slots[Int(slot)].flags = []
    }

    func setFlags(_ flags: OutboundFlags, of slot: UInt32) { unsafe slots[Int(slot)].flags.formUnion(flags) }

    func clearFlags(_ flags: OutboundFlags, of slot: UInt32) { unsafe slots[Int(slot)].flags.subtract(flags) }

    /// Puts `segment` in the place of the newest one and returns that.
    func replaceNewest(of slot: UInt32, with segment: Segment) -> Segment {
        let older = unsafe slots[Int(slot)].segment
        unsafe slots[Int(slot)].segment = segment
        return older
    }

    /// Takes this turn's newest segment, and the slot off the list; `nil` where there is none.
    func takeNewest(of slot: UInt32) -> Segment? {
        let segment = unsafe slots[Int(slot)].segment
        guard segment.count > 0 else { return nil }
        unsafe slots[Int(slot)].segment.count = 0
        unlist(slot)
        return segment
    }

    /// Takes a slot whose segment is dropped before its time off the list, which has room for each slot once.
    private func unlist(_ slot: UInt32) {
        let count = unsafe dirtyCount.pointee
        for index in 0..<count where unsafe dirty[index] == slot {
            unsafe (dirty + index).update(from: dirty + index + 1, count: count - index - 1)
            unsafe dirtyCount.pointee = count - 1
            return
        }
    }

    func newestCount(of slot: UInt32) -> Int { unsafe Int(slots[Int(slot)].segment.count) }

    func hasNewest(of slot: UInt32) -> Bool { unsafe slots[Int(slot)].segment.count > 0 }

    var hasDirty: Bool { unsafe dirtyCount.pointee > 0 }

    /// Puts the list of dirty connections aside and begins a new one: sending may make connections dirty again.
    mutating func takeDirty() -> Int {
        let count = unsafe dirtyCount.pointee
        unsafe swap(&dirty, &flushing)
        unsafe dirtyCount.pointee = 0
        return count
    }

    /// The slot at `index` of the list put aside.
    func takenSlot(_ index: Int) -> UInt32 { unsafe flushing[index] }
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

    /// Appends `segment` to the connection in `slot`; `false` where it does not continue what the turn has for it.
    @inlinable @inline(__always)
    package func append(_ segment: Segment, to slot: UInt32) -> Bool {
        let place = unsafe slots + Int(slot)
        if unsafe place.pointee.segment.count == 0 {
            unsafe place.pointee.segment = segment
            unsafe dirty[dirtyCount.pointee] = slot
            unsafe dirtyCount.pointee &+= 1
            return true
        }
        let end = unsafe place.pointee.segment.offset &+ place.pointee.segment.count
        if unsafe place.pointee.segment.chunk == segment.chunk && end == segment.offset {
            unsafe place.pointee.segment.count &+= segment.count
            return true
        }
        return false
    }

    /// Whether the connection may be sent to by the short way.
    @inlinable @inline(__always)
    package func isPlain(_ slot: UInt32) -> Bool { unsafe slots[Int(slot)].flags.rawValue == 0 }

    /// Whether `mark` is new to this connection; from then on it is not.
    @inlinable @inline(__always)
    package func takeMark(_ mark: UInt64, of slot: UInt32) -> Bool {
        if unsafe slots[Int(slot)].mark == mark { return false }
        unsafe slots[Int(slot)].mark = mark
        return true
    }
}
