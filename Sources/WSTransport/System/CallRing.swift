internal import CLinux
internal import Glibc

/// Makes many system calls with one, through an io_uring.
///
/// All of them are attempted at once, and none is under way between two calls of ``run(_:)``. Only the thread that
/// makes the ring may use it; closing it, wherever that happens, interrupts what that thread waits for.
@safe struct CallRing: ~Copyable {
    /// The kinds of calls for which there are rings.
    struct Call {
        let rawValue: UInt8
        static let send = Call(rawValue: UInt8(IORING_OP_SEND.rawValue))
        static let receive = Call(rawValue: UInt8(IORING_OP_RECV.rawValue))
    }

    /// The outcome of one ``run(_:)``, by the indices of the entries.
    struct Outcome {
        /// The index of the first entry.
        let first: UInt32
        /// How many entries the kernel has taken; the later ones were not attempted.
        let taken: UInt32
        /// How many entries the kernel has not taken.
        let left: UInt32
        /// Whether the results of the taken entries cannot be learned.
        let isLost: Bool
    }

    /// The number of calls in one ``run(_:)``; a power of two.
    let capacity: UInt32
    private let descriptor: FileDescriptor
    private let queues: Mapping
    private let entriesMapping: Mapping
    private let entries: UnsafeMutablePointer<io_uring_sqe>
    private let submissionTail: UnsafeMutablePointer<UInt32>
    private let completionHead: UnsafeMutablePointer<UInt32>
    private let completionTail: UnsafeMutablePointer<UInt32>
    private let completions: UnsafeMutablePointer<io_uring_cqe>
    private let completionMask: UInt32
    /// Whether the kernel supports the features with which a ring was measured to pay off (Linux 6.1); on others it
    /// must be enabled explicitly.
    let isModern: Bool
    /// The tail that the kernel was told, and the place of the next entry; both wrap around.
    private var tail: UInt32
    private(set) var queued: UInt32 = 0
    /// Whether the kernel has refused it permanently.
    private(set) var isBroken = false

    /// Asks the kernel for a ring; throws if it has none or refuses.
    ///
    /// - Parameter flags: the flags of the call, `MSG_…`.
    init(of call: Call, capacity: UInt32, flags: UInt32) throws(Errno) {
        var parameters = io_uring_params()
        parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
        var raw = unsafe uring_setup(capacity, &parameters)
        if raw < 0, Errno.current == .invalidArgument {
            parameters = io_uring_params()
            raw = unsafe uring_setup(capacity, &parameters)
        }
        guard raw >= 0 else { throw .current }
        let descriptor = FileDescriptor(adopting: raw)
        let isModern = parameters.flags & IORING_SETUP_DEFER_TASKRUN != 0
        // Both queues are in one mapping (5.4), and no completion is dropped (5.5).
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
        self.capacity = parameters.sq_entries
        unsafe entries = entriesMapping.base.assumingMemoryBound(to: io_uring_sqe.self)
        unsafe submissionTail = Self.word(queues, submissions.tail)
        unsafe completionHead = Self.word(queues, answers.head)
        unsafe completionTail = Self.word(queues, answers.tail)
        unsafe completionMask = Self.word(queues, answers.ring_mask).pointee
        unsafe completions = (queues.base + Int(answers.cqes)).assumingMemoryBound(to: io_uring_cqe.self)
        unsafe tail = submissionTail.pointee
        unsafe uring_prepare(entries, parameters.sq_entries, call.rawValue, flags)
        let order = unsafe Self.word(queues, submissions.array)
        for index in 0..<parameters.sq_entries { unsafe order[Int(index)] = index }
        self.queues = queues
        self.entriesMapping = entriesMapping
        self.descriptor = descriptor
    }

    private static func word(_ queues: borrowing Mapping, _ offset: UInt32) -> UnsafeMutablePointer<UInt32> {
        unsafe (queues.base + Int(offset)).assumingMemoryBound(to: UInt32.self)
    }

    @inline(__always)
    var isFull: Bool { queued == capacity }

    /// Adds a call on `descriptor` that reads or fills `count` bytes; there must be room for it.
    ///
    /// - Parameter name: a value that is returned with the result.
    @inline(__always)
    mutating func put(_ bytes: UnsafeRawPointer, _ count: UInt32, _ descriptor: Int32, name: UInt64) {
        unsafe uring_put(entry(tail &+ queued), descriptor, bytes, count, name)
        queued &+= 1
    }

    /// The entry at an index.
    @inline(__always)
    func entry(_ place: UInt32) -> UnsafeMutablePointer<io_uring_sqe> {
        unsafe entries + Int(place & (capacity &- 1))
    }

    /// Makes the queued calls, and reports each attempted one: the `user_data` of its entry, and the result.
    @inline(__always)
    mutating func run(_ answered: (UInt64, Int32) -> Void) -> Outcome {
        let first = tail
        var (left, taken) = (queued, UInt32(0))
        tail &+= queued
        queued = 0
        unsafe uring_store(submissionTail, tail)
        while left > 0, !isBroken {
            let count = uring_enter(descriptor.rawValue, left, left &+ taken, UInt32(IORING_ENTER_GETEVENTS))
            if count > 0 {
                left &-= UInt32(count)
                taken &+= UInt32(count)
            } else if count < 0, Errno.current == .interrupted {
                continue
            } else if count < 0, Errno.current.rawValue != EAGAIN, Errno.current.rawValue != EBUSY {
                isBroken = true
            } else {
                // The kernel has no memory for more: the rest is done by ordinary calls.
                break
            }
        }
        let isLost = !collect(taken, answered)
        // The kernel reads the queue only in `io_uring_enter`, so entries that it has not taken can be withdrawn.
        if left > 0 {
            tail &-= left
            unsafe uring_store(submissionTail, tail)
        }
        return Outcome(first: first, taken: taken, left: left, isLost: isLost)
    }

    /// Waits for `count` calls to complete; `false` if their results cannot be learned.
    @inline(__always)
    private mutating func collect(_ count: UInt32, _ answered: (UInt64, Int32) -> Void) -> Bool {
        var missing = count
        while true {
            var head = unsafe completionHead.pointee
            let end = unsafe uring_load(completionTail)
            while head != end {
                let answer = unsafe completions + Int(head & completionMask)
                unsafe answered(answer.pointee.user_data, answer.pointee.res)
                head &+= 1
                missing &-= 1
            }
            unsafe uring_store(completionHead, head)
            guard missing > 0 else { return true }
            let answer = uring_enter(descriptor.rawValue, 0, missing, UInt32(IORING_ENTER_GETEVENTS))
            guard answer >= 0 || Errno.current == .interrupted else { break }
        }
        // Cannot happen: every taken entry is answered.
        isBroken = true
        return false
    }

    /// Memory shared with the kernel.
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
