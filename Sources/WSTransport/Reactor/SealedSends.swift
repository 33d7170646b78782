/// The ciphertext that one turn sends over TLS, for many connections and one call to the kernel.
///
/// A session encrypts its connection's bytes of the turn into this memory, and the ring sends from it. Nothing here
/// outlives the call: bytes that a socket does not take go to the connection's ``TLSFilter``. The socket of such a
/// connection is never stored where fan-out could send to it, which would be in plain text. Runs on the reactor's
/// thread.
@safe struct SealedSends: ~Copyable {
    /// A connection's part of the memory.
    struct Part {
        let slot: UInt32
        let offset: Int
        let count: Int
    }

    /// Large enough for several full records, small enough for the processor's cache; in bytes.
    static let capacity = 128 * 1024

    /// `nil` until the first connection with TLS: most reactors need none.
    private var bytes: UnsafeMutableRawPointer?
    private var used = 0
    private(set) var parts: [Part] = []

    deinit { unsafe bytes?.deallocate() }

    /// Whether there is room for a record of full size.
    var hasRoom: Bool { Self.capacity - used >= TLSFilter.maximumSealed }

    /// Adds ciphertext for a connection; `false` if there is no room.
    mutating func add(_ ciphertext: UnsafeRawBufferPointer, of slot: UInt32) -> Bool {
        guard let source = ciphertext.baseAddress, Self.capacity - used >= ciphertext.count else { return false }
        unsafe (room + used).copyMemory(from: source, byteCount: ciphertext.count)
        keep(ciphertext.count, of: slot)
        return true
    }

    /// Encrypts a connection's plaintext, of one record at most, into this memory; `false` if there is no room, or
    /// OpenSSL failed, and nothing was taken.
    mutating func seal(
        _ plaintext: UnsafeRawBufferPointer, of slot: UInt32, by writer: TLSRecordWriter, _ context: OpaquePointer
    ) -> Bool {
        let count = TLSRecordWriter.length(ofRecordWith: plaintext.count)
        guard Self.capacity - used >= count else { return false }
        let record = unsafe (room + used).assumingMemoryBound(to: UInt8.self)
        guard unsafe writer.seal(plaintext, .applicationData, into: record, context) else { return false }
        keep(count, of: slot)
        return true
    }

    /// The memory, allocated if it is not yet.
    private var room: UnsafeMutableRawPointer {
        mutating get {
            let base = unsafe bytes ?? .allocate(byteCount: Self.capacity, alignment: 64)
            unsafe bytes = base
            return unsafe base
        }
    }

    private mutating func keep(_ count: Int, of slot: UInt32) {
        parts.append(Part(slot: slot, offset: used, count: count))
        used += count
    }

    /// The ciphertext of a part from its byte `start` on, valid until ``removeAll()``.
    func bytes(of part: Part, from start: Int = 0) -> UnsafeRawBufferPointer {
        guard let bytes = unsafe bytes, start < part.count else {
            return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return unsafe UnsafeRawBufferPointer(start: bytes + part.offset + start, count: part.count - start)
    }

    /// Makes room after everything has been sent or taken back.
    mutating func removeAll() {
        used = 0
        parts.removeAll(keepingCapacity: true)
    }
}

extension Reactor {
    /// Sends by `ring` to the first `count` connections put aside, if TLS can encrypt their bytes at once.
    ///
    /// - Returns: how many are left; they are at the beginning of the list.
    func sendSealed(_ count: Int, by ring: inout SendRing) -> Int {
        var left = 0
        for index in 0..<count {
            if unsafe ring.isFull || !sealed.hasRoom { runSealed(&ring) }
            let slot = takenSlot(index)
            guard let connection = connection(in: slot), let segment = turnSegment(of: slot),
                unsafe connection.seal(bytes(of: segment), into: &sealed, now: now)
            else {
                keepTaken(slot, at: left)
                left += 1
                continue
            }
            dropTurnSegment(of: slot)
            // Otherwise there was no room, and it waits in the filter.
            guard let part = unsafe sealed.parts.last, part.slot == slot else { continue }
            let bytes = unsafe sealed.bytes(of: part)
            guard let start = bytes.baseAddress else { continue }
            unsafe ring.put(start, UInt32(truncatingIfNeeded: bytes.count), to: connection.rawDescriptor, tag: slot)
        }
        runSealed(&ring)
        return left
    }

    private func bytes(of segment: Segment) -> UnsafeRawBufferPointer {
        unsafe chunk(of: segment).bytes(from: Int(segment.offset), count: Int(segment.count))
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
            // No peer may be sent the same bytes twice; an error occurs again when the connection sends.
            if result == SendRing.unknown {
                connection.reset()
            } else {
                unsafe connection.takeBackSealed(sealed.bytes(of: part, from: max(0, result)))
            }
        }
        unsafe sealed.removeAll()
    }
}
