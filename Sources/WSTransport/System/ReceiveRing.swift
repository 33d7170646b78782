internal import CLinux
internal import Glibc

/// Reads from many sockets with one call to the kernel.
///
/// The corresponding C function is `recv` with `MSG_DONTWAIT`, once for each; the interface is io_uring.
/// Nothing is under way between two calls of ``run()``: a closed socket's number may be given anew.
/// The thread that makes it is the only one that may use it: its end, wherever that comes, interrupts what that thread waits for.
@safe struct ReceiveRing: ~Copyable {
    /// How many sockets one call reads from.
    ///
    /// Measured: 64, 128 and 256 cost the same, and each has its buffer.
    static let capacity: UInt32 = 64
    /// How much is read from one of them, in bytes.
    static let room = 4096
    /// One cache line more: what lies at the same place in each page would displace each other.
    private static let stride = room + 64

    private var ring: CallRing
    private let buffers: UnsafeMutableRawPointer
    private var tags: [UInt32]
    private var results: [Int32]

    /// Asks the kernel for a ring; throws where it has or gives none.
    init() throws(Errno) {
        ring = try CallRing(of: .receive, capacity: Self.capacity, flags: UInt32(MSG_DONTWAIT))
        unsafe buffers = .allocate(byteCount: Int(Self.capacity) * Self.stride, alignment: 64)
        tags = Array(repeating: 0, count: Int(Self.capacity))
        results = Array(repeating: 0, count: Int(Self.capacity))
    }

    deinit { unsafe buffers.deallocate() }

    /// Whether the kernel has refused it for good.
    var isBroken: Bool { ring.isBroken }
    var isFull: Bool { ring.isFull }

    /// Adds a socket to read from; there has to be room for it.
    ///
    /// - Parameter tag: what ``tag(at:)`` returns for it.
    mutating func put(_ descriptor: Int32, tag: UInt32) {
        let place = Int(ring.queued)
        tags[place] = tag
        unsafe ring.put(buffers + place * Self.stride, UInt32(Self.room), descriptor, name: UInt64(place))
    }

    /// Reads from those that were put, and returns how many these are.
    ///
    /// Their places are 0 and up, in the order in which they were put; what was read stays until the next one is put.
    mutating func run() -> Int {
        let count = Int(ring.queued)
        guard count > 0 else { return 0 }
        // Of whom nothing can be learned, bytes may be lost.
        for place in 0..<count { results[place] = -EIO }
        let outcome = ring.run { name, result in results[Int(name)] = result }
        // Whom the kernel did not get to has lost nothing.
        for place in Int(outcome.taken)..<count { results[place] = -EAGAIN }
        return count
    }

    /// Whom a place belongs to.
    func tag(at place: Int) -> UInt32 { tags[place] }

    /// What was read there, nothing at the end of the stream; throws what `recv` would have failed with.
    func bytes(at place: Int) throws(Errno) -> UnsafeMutableRawBufferPointer {
        let result = results[place]
        guard result >= 0 else { throw Errno(rawValue: -result) }
        return unsafe UnsafeMutableRawBufferPointer(start: buffers + place * Self.stride, count: Int(result))
    }
}
