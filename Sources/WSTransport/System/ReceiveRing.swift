internal import CLinux
internal import Glibc

/// Reads from many sockets with one call to the kernel.
///
/// The corresponding C function is `recv` with `MSG_DONTWAIT`, once for each; the interface is io_uring. Nothing is
/// under way between two calls of ``run()``, so a closed socket's number may be reused. Only the thread that makes the
/// ring may use it; closing it, wherever that happens, interrupts what that thread waits for.
@safe struct ReceiveRing: ~Copyable {
    /// The number of sockets that one call reads from.
    ///
    /// Measured: 64, 128 and 256 cost the same, and each socket needs a buffer.
    static let capacity: UInt32 = 64
    /// The number of bytes read from each of them.
    static let room = 4096
    /// One cache line more than a page: buffers at the same offset in each page would evict each other from the cache.
    private static let stride = room + 64

    private var ring: CallRing
    private let buffers: UnsafeMutableRawPointer
    private var tags: [UInt32]
    private var results: [Int32]

    /// Asks the kernel for a ring; throws if it has none or refuses.
    init() throws(Errno) {
        ring = try CallRing(of: .receive, capacity: Self.capacity, flags: UInt32(MSG_DONTWAIT))
        unsafe buffers = .allocate(byteCount: Int(Self.capacity) * Self.stride, alignment: 64)
        tags = Array(repeating: 0, count: Int(Self.capacity))
        results = Array(repeating: 0, count: Int(Self.capacity))
    }

    deinit { unsafe buffers.deallocate() }

    /// Whether the kernel has refused it permanently.
    var isBroken: Bool { ring.isBroken }
    var isFull: Bool { ring.isFull }

    /// Adds a socket to read from; there must be room for it.
    ///
    /// - Parameter tag: returned by ``tag(at:)``.
    mutating func put(_ descriptor: Int32, tag: UInt32) {
        let place = Int(ring.queued)
        tags[place] = tag
        unsafe ring.put(buffers + place * Self.stride, UInt32(Self.room), descriptor, name: UInt64(place))
    }

    /// Reads from the sockets that were added, and returns their number.
    ///
    /// Their indices start at 0, in the order in which they were added. The bytes read stay valid until the next socket
    /// is added.
    mutating func run() -> Int {
        let count = Int(ring.queued)
        guard count > 0 else { return 0 }
        // If the results cannot be learned, bytes may be lost.
        for place in 0..<count { results[place] = -EIO }
        let outcome = ring.run { name, result in results[Int(name)] = result }
        // A socket that the kernel did not reach has lost nothing.
        for place in Int(outcome.taken)..<count { results[place] = -EAGAIN }
        return count
    }

    /// The tag of the socket at an index.
    func tag(at place: Int) -> UInt32 { tags[place] }

    /// The bytes read from that socket, empty at the end of the stream; throws the error of `recv`.
    func bytes(at place: Int) throws(Errno) -> UnsafeMutableRawBufferPointer {
        let result = results[place]
        guard result >= 0 else { throw Errno(rawValue: -result) }
        return unsafe UnsafeMutableRawBufferPointer(start: buffers + place * Self.stride, count: Int(result))
    }
}
