/// What one turn sends over TLS: the ciphertext of many connections, for one call to the kernel.
///
/// A session encrypts what its connection has of the turn into this room, and the ring sends from it. Nothing here outlives
/// the call: what a socket does not take goes to the connection's ``TLSFilter``. A socket's number is never kept where
/// fan-out could send to it, which would be in the clear.
/// Runs on the reactor's thread.
@safe struct SealedSends: ~Copyable {
    /// A connection's part of the room.
    struct Part {
        let slot: UInt32
        let offset: Int
        let count: Int
    }

    /// Large enough for several full records, small enough for the processor's cache, in bytes.
    static let capacity = 128 * 1024

    /// `nil` until the first connection with TLS: most reactors need none.
    private var bytes: UnsafeMutableRawPointer?
    private var used = 0
    private(set) var parts: [Part] = []

    deinit { unsafe bytes?.deallocate() }

    /// Whether a record of full size has room.
    var hasRoom: Bool { Self.capacity - used >= TLSFilter.maximumSealed }

    /// Adds the ciphertext that a connection sends; `false`: it has no room.
    mutating func add(_ ciphertext: UnsafeRawBufferPointer, of slot: UInt32) -> Bool {
        guard let source = ciphertext.baseAddress, Self.capacity - used >= ciphertext.count else { return false }
        let base = unsafe bytes ?? .allocate(byteCount: Self.capacity, alignment: 64)
        unsafe bytes = base
        unsafe (base + used).copyMemory(from: source, byteCount: ciphertext.count)
        parts.append(Part(slot: slot, offset: used, count: ciphertext.count))
        used += ciphertext.count
        return true
    }

    /// The ciphertext of a part from its byte `start` on, until ``removeAll()``.
    func bytes(of part: Part, from start: Int = 0) -> UnsafeRawBufferPointer {
        guard let bytes = unsafe bytes, start < part.count else {
            return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return unsafe UnsafeRawBufferPointer(start: bytes + part.offset + start, count: part.count - start)
    }

    /// Makes room after everything was sent or taken back.
    mutating func removeAll() {
        used = 0
        parts.removeAll(keepingCapacity: true)
    }
}

extension Reactor {
    /// Sends by `ring` to the first `count` connections put aside, where TLS can encrypt what they have at once.
    ///
    /// - Returns: how many are left; they are at the list's beginning.
    func sendSealed(_ count: Int, by ring: inout SendRing) -> Int {
        var left = 0
        for index in 0..<count {
            if unsafe ring.isFull || !sealed.hasRoom { runSealed(&ring) }
            let slot = takenSlot(index)
            guard let connection = connection(in: slot), let segment = turnSegment(of: slot),
                unsafe connection.seal(segment, into: &sealed)
            else {
                keepTaken(slot, at: left)
                left += 1
                continue
            }
            dropTurnSegment(of: slot)
            // Otherwise it has no room here, and waits in the filter.
            guard let part = unsafe sealed.parts.last, part.slot == slot else { continue }
            let bytes = unsafe sealed.bytes(of: part)
            guard let start = bytes.baseAddress else { continue }
            unsafe ring.put(start, UInt32(truncatingIfNeeded: bytes.count), to: connection.rawDescriptor, tag: slot)
        }
        runSealed(&ring)
        return left
    }

    private func runSealed(_ ring: inout SendRing) {
        var incomplete: [(slot: UInt32, result: Int)] = []
        ring.run { incomplete.append(($0.tag, $0.result)) }
        for (slot, result) in incomplete {
            guard let connection = connection(in: slot),
                let part = unsafe sealed.parts.first(where: { $0.slot == slot })
            else {
                continue
            }
            // Nobody may be sent the same bytes twice; an error occurs again when the connection sends.
            if result == SendRing.unknown {
                connection.reset()
            } else {
                unsafe connection.takeBackSealed(sealed.bytes(of: part, from: max(0, result)))
            }
        }
        unsafe sealed.removeAll()
    }
}
