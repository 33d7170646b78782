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

    private let descriptor: FileDescriptor
    private let queues: Mapping
    private let entriesMapping: Mapping
    private let entries: UnsafeMutablePointer<io_uring_sqe>
    private let submissionHead: UnsafeMutablePointer<UInt32>
    private let submissionTail: UnsafeMutablePointer<UInt32>
    private let completionHead: UnsafeMutablePointer<UInt32>
    private let completionTail: UnsafeMutablePointer<UInt32>
    private let completions: UnsafeMutablePointer<io_uring_cqe>
    private let completionMask: UInt32
    /// Whether the kernel has the ways that were measured to be worth it (Linux 6.1); others are for who asks for them.
    let isModern: Bool
    /// What the kernel was told of, and where the next entry goes; both wrap around.
    private var tail: UInt32
    private(set) var queued: UInt32 = 0
    /// Whether the kernel has refused it for good.
    package private(set) var isBroken = false

    /// Asks the kernel for a ring; throws where it has or gives none.
    init() throws(Errno) {
        var parameters = io_uring_params()
        parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
        var raw = unsafe uring_setup(Self.capacity, &parameters)
        if raw < 0, Errno.current == .invalidArgument {
            parameters = io_uring_params()
            raw = unsafe uring_setup(Self.capacity, &parameters)
        }
        guard raw >= 0 else { throw .current }
        let descriptor = FileDescriptor(adopting: raw)
        let isModern = parameters.flags & IORING_SETUP_DEFER_TASKRUN != 0
        // Both queues in one piece (5.4), and none of what was completed is dropped (5.5).
        let features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP
        guard parameters.features & features == features else { throw Errno(rawValue: ENOSYS) }

        let (submissions, answers) = (parameters.sq_off, parameters.cq_off)
        let size = max(
            Int(submissions.array) + Int(parameters.sq_entries) * MemoryLayout<UInt32>.stride,
            Int(answers.cqes) + Int(parameters.cq_entries) * MemoryLayout<io_uring_cqe>.stride)
        let queues = try Mapping(of: raw, at: IORING_OFF_SQ_RING, size: size)
        let entriesMapping = try Mapping(
            of: raw, at: IORING_OFF_SQES, size: Int(parameters.sq_entries) * MemoryLayout<io_uring_sqe>.stride)
        self.isModern = isModern
        unsafe entries = entriesMapping.base.assumingMemoryBound(to: io_uring_sqe.self)
        unsafe submissionHead = Self.word(queues, submissions.head)
        unsafe submissionTail = Self.word(queues, submissions.tail)
        unsafe completionHead = Self.word(queues, answers.head)
        unsafe completionTail = Self.word(queues, answers.tail)
        unsafe completionMask = Self.word(queues, answers.ring_mask).pointee
        unsafe completions = (queues.base + Int(answers.cqes)).assumingMemoryBound(to: io_uring_cqe.self)
        unsafe tail = submissionTail.pointee
        unsafe uring_make_sends(entries, parameters.sq_entries)
        let order = unsafe Self.word(queues, submissions.array)
        for index in 0..<parameters.sq_entries { unsafe order[Int(index)] = index }
        self.queues = queues
        self.entriesMapping = entriesMapping
        self.descriptor = descriptor
    }

    private static func word(_ queues: borrowing Mapping, _ offset: UInt32) -> UnsafeMutablePointer<UInt32> {
        unsafe (queues.base + Int(offset)).assumingMemoryBound(to: UInt32.self)
    }

    var isFull: Bool { queued == Self.capacity }

    /// Adds a send; there has to be room for it.
    ///
    /// - Parameter tag: names it to ``run(_:)``; no other of this call's has it.
    @inline(__always)
    mutating func put(_ bytes: UnsafeRawPointer, _ count: UInt32, to descriptor: Int32, tag: UInt32) {
        let index = Int((tail &+ queued) & (Self.capacity &- 1))
        unsafe uring_put_send(entries + index, descriptor, bytes, count, tag)
        queued &+= 1
    }

    /// Sends what was put, and tells of those that did not take everything.
    ///
    /// Returns when all of them have been tried; what could not be tried at all took nothing.
    mutating func run(_ incomplete: (Incomplete) -> Void) {
        guard queued > 0 else { return }
        let first = tail
        tail &+= queued
        queued = 0
        unsafe uring_store(submissionTail, tail)
        var left = tail &- first
        var underWay: UInt32 = 0
        while left > 0, !isBroken {
            let taken = uring_enter(descriptor.rawValue, left, left &+ underWay, UInt32(IORING_ENTER_GETEVENTS))
            if taken > 0 {
                left &-= UInt32(taken)
                underWay &+= UInt32(taken)
            } else if taken < 0, Errno.current == .interrupted {
                continue
            } else if taken < 0, Errno.current.rawValue != EAGAIN, Errno.current.rawValue != EBUSY {
                isBroken = true
            } else {
                // It has no memory for more: these go the other way.
                break
            }
        }
        collect(underWay, from: first, incomplete)
        guard left > 0 else { return }
        // The kernel looks at the queue in `io_uring_enter` only, so what it has not taken can be taken back.
        for position in 0..<left { report(first &+ underWay &+ position, result: 0, incomplete) }
        tail &-= left
        unsafe uring_store(submissionTail, tail)
    }

    /// Waits for the ends of `count` sends, whose entries begin at `first`.
    private mutating func collect(_ count: UInt32, from first: UInt32, _ incomplete: (Incomplete) -> Void) {
        var missing = count
        while true {
            var head = unsafe completionHead.pointee
            let end = unsafe uring_load(completionTail)
            while head != end {
                let answer = unsafe completions + Int(head & completionMask)
                let (result, name) = unsafe (answer.pointee.res, answer.pointee.user_data)
                if UInt32(bitPattern: result) != UInt32(truncatingIfNeeded: name) {
                    // Rare, so the entry is looked for; what has a tag has one entry.
                    for position in 0..<count where self.name(first &+ position) == name {
                        report(first &+ position, result: Int(result), incomplete)
                    }
                }
                head &+= 1
                missing &-= 1
            }
            unsafe uring_store(completionHead, head)
            guard missing > 0 else { return }
            let answer = uring_enter(descriptor.rawValue, 0, missing, UInt32(IORING_ENTER_GETEVENTS))
            guard answer >= 0 || Errno.current == .interrupted else { break }
        }
        // Cannot be: what was taken is answered. Nobody may be sent the same twice, all the same.
        isBroken = true
        for position in 0..<count { report(first &+ position, result: Self.unknown, incomplete) }
    }

    private func name(_ position: UInt32) -> UInt64 {
        unsafe entries[Int(position & (Self.capacity &- 1))].user_data
    }

    private func report(_ position: UInt32, result: Int, _ incomplete: (Incomplete) -> Void) {
        let entry = unsafe entries[Int(position & (Self.capacity &- 1))]
        guard let bytes = unsafe UnsafeRawPointer(bitPattern: UInt(entry.addr)) else { return }
        unsafe incomplete(
            Incomplete(
                tag: UInt32(truncatingIfNeeded: entry.user_data >> 32), bytes: bytes, count: Int(entry.len),
                result: result))
    }

    /// Memory that is shared with the kernel.
    @safe private struct Mapping: ~Copyable {
        let base: UnsafeMutableRawPointer
        private let size: Int

        init(of descriptor: Int32, at offset: UInt64, size: Int) throws(Errno) {
            let address = unsafe mmap(
                nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, Int(offset))
            guard let address = unsafe address, unsafe address != MAP_FAILED else { throw .current }
            unsafe base = address
            self.size = size
        }

        deinit { unsafe _ = munmap(base, size) }
    }
}
