/// The ciphertext that one turn sends over TLS, for many connections and one call to the kernel.
///
/// A connection's bytes of the turn are encrypted into this memory, and the ring sends from it. Nothing outlives the
/// call: bytes that a socket does not take go to the connection's ``TLSFilter``. The socket of such a connection is only
/// in its ``TLSRecordState``, never where fan-out could send to it in plain text. Runs on the reactor's thread.
@safe struct SealedSends: ~Copyable {
    /// Large enough for several full records, small enough for the processor's cache; in bytes.
    static let capacity = 128 * 1024

    /// `nil` until the first connection with TLS: most reactors need none.
    private var bytes: UnsafeMutableRawPointer?
    private var used = 0

    deinit { unsafe bytes?.deallocate() }

    /// Whether there is room for the ciphertext of a turn's bytes, in one record.
    func hasRoom(for count: UInt32) -> Bool {
        Self.capacity - used >= min(Int(count), TLSFilter.record) + TLSFilter.maximumSealed - TLSFilter.record
    }

    /// Adds ciphertext; returns it here, `nil` if there is no room.
    mutating func add(_ ciphertext: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard let source = ciphertext.baseAddress, Self.capacity - used >= ciphertext.count else { return nil }
        let start = unsafe room + used
        unsafe start.copyMemory(from: source, byteCount: ciphertext.count)
        used += ciphertext.count
        return unsafe UnsafeRawBufferPointer(start: start, count: ciphertext.count)
    }

    /// Encrypts plaintext, of one record at most.
    ///
    /// - Returns: the record here; `nil` if there is no room, or OpenSSL failed.
    @inline(__always)
    mutating func seal(
        _ plaintext: UnsafeRawBufferPointer, by state: UnsafeMutablePointer<TLSRecordState>,
        _ cipher: UnsafePointer<TLSCipher>
    ) -> UnsafeRawBufferPointer? {
        let count = TLSRecordWriter.length(ofRecordWith: plaintext.count)
        guard Self.capacity - used >= count else { return nil }
        let record = unsafe (room + used).assumingMemoryBound(to: UInt8.self)
        guard unsafe state.pointee.seal(plaintext, .applicationData, into: record, cipher) else { return nil }
        used += count
        return unsafe UnsafeRawBufferPointer(start: record, count: count)
    }

    /// The memory, allocated if it is not yet.
    private var room: UnsafeMutableRawPointer {
        mutating get {
            let base = unsafe bytes ?? .allocate(byteCount: Self.capacity, alignment: 64)
            unsafe bytes = base
            return unsafe base
        }
    }

    /// Makes room after everything has been sent or taken back.
    mutating func removeAll() { used = 0 }
}

extension Reactor {
    /// How many connections before its turn a state is fetched from memory.
    private static let lookAhead = 8

    /// Sends by `ring` to the first `count` connections put aside, if TLS can encrypt their bytes at once.
    ///
    /// - Returns: how many are left; they are at the beginning of the list.
    func sendSealed(_ count: Int, by ring: inout SendRing) -> Int {
        var (left, index) = (0, 0)
        while true {
            index = sealDirectly(from: index, to: count, by: &ring)
            guard index < count else { break }
            let slot = takenSlot(index)
            index &+= 1
            guard let segment = turnSegment(of: slot) else { continue }
            if unsafe ring.isFull || !sealed.hasRoom(for: segment.count) { runSealed(&ring) }
            let plaintext = unsafe chunk(of: segment).bytes(from: Int(segment.offset), count: Int(segment.count))
            guard let connection = connection(in: slot),
                let bytes = unsafe connection.seal(plaintext, into: &sealed, now: now)
            else {
                keepTaken(slot, at: left)
                left &+= 1
                continue
            }
            dropTurnSegment(of: slot)
            // Otherwise there was no room, and it waits in the filter.
            guard let start = bytes.baseAddress else { continue }
            unsafe ring.put(start, UInt32(truncatingIfNeeded: bytes.count), to: connection.rawDescriptor, tag: slot)
        }
        runSealed(&ring)
        return left
    }

    /// Encrypts for the connections put aside from `first` on, up to one that must be asked.
    ///
    /// It does not look at them: what it needs is in the table and in their ``TLSRecordState``.
    ///
    /// - Returns: the place of the connection that must be asked; `count` if there is none.
    private func sealDirectly(from first: Int, to count: Int, by ring: inout SendRing) -> Int {
        guard first < count, recordPlace(of: takenSlot(first)) != nil else { return first }
        let pipe = tlsPipe
        let states = pipe.records
        var known = UInt32.max
        var base: UnsafeRawPointer?
        for index in first..<count {
            let ahead = index &+ Self.lookAhead
            if ahead < count, let next = recordPlace(of: takenSlot(ahead)) { states.prefetch(next) }
            let slot = takenSlot(index)
            guard let place = recordPlace(of: slot), let segment = turnSegment(of: slot),
                segment.count <= UInt32(TLSFilter.record)
            else { return index }
            let state = unsafe states[place]
            let descriptor = unsafe state.pointee.socket(of: slot)
            guard descriptor >= 0, let cipher = unsafe pipe.cipher(of: state.pointee.suite) else { return index }
            assert(connection(in: slot)?.maySeal ?? false)
            if unsafe ring.isFull || !sealed.hasRoom(for: segment.count) { runSealed(&ring) }
            if known != segment.chunk {
                known = segment.chunk
                unsafe base = UnsafeRawPointer(chunk(of: segment).base)
            }
            dropTurnSegment(of: slot)
            let plaintext = unsafe UnsafeRawBufferPointer(
                start: base.map { unsafe $0 + Int(segment.offset) }, count: Int(segment.count))
            if let record = unsafe sealed.seal(plaintext, by: state, cipher), let start = record.baseAddress {
                unsafe ring.put(start, UInt32(truncatingIfNeeded: record.count), to: descriptor, tag: slot)
            } else {
                // The peer would miss this record.
                connection(in: slot)?.reset()
            }
        }
        return count
    }

    private func runSealed(_ ring: inout SendRing) {
        var incomplete: [SendRing.Incomplete] = []
        ring.run { incomplete.append($0) }
        for part in incomplete {
            setDescriptor(-1, of: part.tag)
            // No peer may be sent the same bytes twice; an error occurs again when the connection sends.
            if part.result == SendRing.unknown {
                connection(in: part.tag)?.reset()
            } else {
                let sent = max(0, part.result)
                unsafe connection(in: part.tag)?.takeBackSealed(
                    UnsafeRawBufferPointer(start: part.bytes + sent, count: part.count - sent))
            }
        }
        unsafe sealed.removeAll()
    }
}
