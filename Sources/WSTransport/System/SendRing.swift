internal import CLinux
internal import Glibc

/// Sends to many sockets with one call to the kernel.
///
/// The corresponding C function is `send` with `MSG_DONTWAIT` and `MSG_NOSIGNAL`, once for each; the interface is io_uring.
/// Nothing is under way between two calls of ``run(_:)``: no bytes outlive it, and a closed socket's number may be given anew.
/// The thread that makes it is the only one that may use it: its end, wherever that comes, interrupts what that thread waits for.
@safe package struct SendRing: ~Copyable {
    /// A send that did not take everything.
    @safe struct Incomplete {
        let tag: UInt32
        let bytes: UnsafeRawPointer
        let count: Int
        /// The bytes taken, or an error's number below 0; ``unknown``: the kernel does not say.
        let result: Int
    }

    /// How many sends one call carries.
    static let capacity: UInt32 = 256
    /// The result of a send that was begun, and of whose end nothing can be learned.
    static let unknown = Int(-EIO)

    private var ring: CallRing

    /// Asks the kernel for a ring; throws where it has or gives none.
    init() throws(Errno) {
        ring = try CallRing(of: .send, capacity: Self.capacity, flags: UInt32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }

    /// Whether the kernel has the ways that were measured to be worth it (Linux 6.1); others are for who asks for them.
    var isModern: Bool { ring.isModern }
    /// Whether the kernel has refused it for good.
    package var isBroken: Bool { ring.isBroken }
    var isFull: Bool { ring.isFull }

    /// Adds a send; there has to be room for it.
    ///
    /// - Parameter tag: names it to ``run(_:)``; no other of this call's has it.
    @inline(__always)
    mutating func put(_ bytes: UnsafeRawPointer, _ count: UInt32, to descriptor: Int32, tag: UInt32) {
        unsafe ring.put(bytes, count, descriptor, name: UInt64(tag) << 32 | UInt64(count))
    }

    /// Sends what was put, and tells of those that did not take everything.
    ///
    /// Returns when all of them have been tried; what could not be tried at all took nothing.
    mutating func run(_ incomplete: (Incomplete) -> Void) {
        guard ring.queued > 0 else { return }
        // Rare, so that their entries may be looked for.
        var short: [(name: UInt64, result: Int32)] = []
        let outcome = ring.run { name, result in
            if UInt32(bitPattern: result) != UInt32(truncatingIfNeeded: name) { short.append((name, result)) }
        }
        if outcome.isLost {
            // Nobody may be sent the same twice.
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
