internal import CLinux
internal import Glibc

/// Sends to many sockets with one call to the kernel.
///
/// The corresponding C function is `send` with `MSG_DONTWAIT` and `MSG_NOSIGNAL`, once for each; the interface is
/// io_uring. Nothing is under way between two calls of ``run(_:)``: the bytes are no longer used, and a closed socket's
/// number may be reused. Only the thread that makes the ring may use it; closing it, wherever that happens, interrupts
/// what that thread waits for.
@safe package struct SendRing: ~Copyable {
    /// A send that did not take everything.
    @safe struct Incomplete {
        let tag: UInt32
        let bytes: UnsafeRawPointer
        let count: Int
        /// The number of bytes taken, or a negative error number; ``unknown``: the kernel does not say.
        let result: Int
    }

    /// The number of sends in one call.
    static let capacity: UInt32 = 256
    /// The result of a send that was begun and whose outcome cannot be learned.
    static let unknown = Int(-EIO)

    private var ring: CallRing

    /// Asks the kernel for a ring; throws if it has none or refuses.
    init() throws(Errno) {
        ring = try CallRing(of: .send, capacity: Self.capacity, flags: UInt32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }

    /// Whether the kernel supports the features with which a ring was measured to pay off (Linux 6.1); on others it
    /// must be enabled explicitly.
    var isModern: Bool { ring.isModern }
    /// Whether the kernel has refused it permanently.
    package var isBroken: Bool { ring.isBroken }
    var isFull: Bool { ring.isFull }

    /// Adds a send; there must be room for it.
    ///
    /// - Parameter tag: identifies it in ``run(_:)``; unique within one call.
    @inline(__always)
    mutating func put(_ bytes: UnsafeRawPointer, _ count: UInt32, to descriptor: Int32, tag: UInt32) {
        unsafe ring.put(bytes, count, descriptor, name: UInt64(tag) << 32 | UInt64(count))
    }

    /// Makes the sends that were added, and reports those that did not take everything.
    ///
    /// Returns when all of them have been attempted; one that could not be attempted took nothing.
    mutating func run(_ incomplete: (Incomplete) -> Void) {
        guard ring.queued > 0 else { return }
        // Incomplete sends are rare, so searching for their entries is cheap enough.
        var short: [(name: UInt64, result: Int32)] = []
        let outcome = ring.run { name, result in
            if UInt32(bitPattern: result) != UInt32(truncatingIfNeeded: name) { short.append((name, result)) }
        }
        if outcome.isLost {
            // No socket may be sent the same bytes twice.
            for place in 0..<outcome.taken { report(outcome.first &+ place, result: Self.unknown, incomplete) }
        } else if !short.isEmpty {
            let results = Dictionary(short, uniquingKeysWith: { $1 })
            for place in 0..<outcome.taken {
                if let result = results[unsafe ring.entry(outcome.first &+ place).pointee.user_data] {
                    report(outcome.first &+ place, result: Int(result), incomplete)
                }
            }
        }
        for place in 0..<outcome.left { report(outcome.first &+ outcome.taken &+ place, result: 0, incomplete) }
    }

    private func report(_ place: UInt32, result: Int, _ incomplete: (Incomplete) -> Void) {
        let entry = unsafe ring.entry(place).pointee
        guard let bytes = unsafe UnsafeRawPointer(bitPattern: UInt(entry.addr)) else { return }
        unsafe incomplete(
            Incomplete(
                tag: UInt32(truncatingIfNeeded: entry.user_data >> 32), bytes: bytes, count: Int(entry.len),
                result: result))
    }
}
