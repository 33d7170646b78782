package import WSTransport

/// Puts all publications in one order.
///
/// An order decides only the place of a draft. Its condition and the rule that keeps it are evaluated when the draft is
/// applied (``Applying``), with the same result on every broker. So an order may be a lock in this process
/// (``LocalOrder``), or a log that answers some turns later. Any thread.
package protocol Order: AnyObject, Sendable {
    /// Submits the drafts of a turn; never waits.
    ///
    /// The results arrive in the shard's mailbox as ``ShardEvent/applied(_:)``, in the order of the drafts of each
    /// partition, at once or some turns later. The order keeps neither a draft's connection nor its completion: the
    /// shard has both.
    ///
    /// - Parameters:
    ///   - shard: the index of the shard, which empties its mailbox in this turn. Called on its thread.
    ///   - time: when the turn that published them began.
    func submit(_ drafts: [Draft], from shard: Int, at time: MonotonicTime)

    /// Why no publication is accepted now; `nil` if they are accepted.
    var obstacle: Refusal? { get }

    /// Ends the order after everything that has been submitted; returns the last number.
    func close() -> UInt64
}

/// An applied message, with the facts that only this process knows.
package struct Applied: Sendable {
    package let message: Message
    /// The slot of its publisher's connection, on the reactor of ``Batch/shard``; `.max` if there is none.
    let originSlot: UInt32
    /// Whether a rule keeps it, so that the store delivers it to sessions that are behind.
    package let isKept: Bool

    init(_ message: Message, originSlot: UInt32 = .max, isKept: Bool) {
        self.message = message
        self.originSlot = originSlot
        self.isKept = isKept
    }

    /// Whether it was given to the store.
    var isQueued: Bool { message.isRetained && !message.isEphemeral || isKept }
}

/// The results of drafts that one shard has submitted and that were applied together.
///
/// One piece of memory: what is common to all, and then the accepted messages. So a copy counts one reference. Once it
/// has been posted it never changes.
@safe package struct Batch: Sendable {
    fileprivate struct Head {
        /// How many messages it has, and how many it has room for.
        var count = 0
        let room: Int
        var weight = 0
        /// The place of the last message in the order; 0 if there is none.
        var newest: UInt64 = 0
        var refusals: Refusals?
        /// How many these are.
        var refused = 0
        let shard: Int
        let began: MonotonicTime?
        let partition: Int
    }

    fileprivate final class Memory: ManagedBuffer<Head, Applied> {
        deinit {
            unsafe withUnsafeMutablePointers { (head, items) in
                // One by one: for all together, the runtime would be called for each.
                for place in unsafe 0..<head.pointee.count { unsafe (items + place).deinitialize(count: 1) }
            }
        }
    }

    // Set before it is posted, and never afterwards.
    nonisolated(unsafe) private let memory: Memory

    /// Why a draft has become no message.
    enum Rejection: Sendable {
        case refused(Refusal)
        /// It repeats the message with that number, for which its publisher may have to wait.
        case repeats(UInt64, number: UInt64, isQueued: Bool, isOnDisk: Bool)
    }

    /// Drafts that have become no messages; a class, because most batches have none.
    final class Refusals: Sendable {
        /// By their indices among all drafts of the batch, rising.
        let list: [(place: Int, rejection: Rejection)]

        init(_ list: [(place: Int, rejection: Rejection)]) { self.list = list }
    }

    /// A batch without messages, with room for some.
    init(room: Int, shard: Int, began: MonotonicTime? = nil, partition: Int = 0) {
        let made = Memory.create(minimumCapacity: room) { _ in
            Head(room: room, shard: shard, began: began, partition: partition)
        }
        unsafe memory = unsafeDowncast(made, to: Memory.self)
    }

    init(
        items: [Applied], refusals: [(place: Int, rejection: Rejection)] = [], shard: Int, began: MonotonicTime? = nil,
        partition: Int = 0
    ) {
        self.init(room: items.count, shard: shard, began: began, partition: partition)
        for item in items { append(item) }
        refuse(refusals)
    }

    /// Adds a message, before it is posted.
    @inline(__always)
    mutating func append(_ item: Applied) {
        let weight = item.message.weight
        unsafe memory.withUnsafeMutablePointers { (head, items) in
            let count = unsafe head.pointee.count
            unsafe precondition(count < head.pointee.room, "the batch is full")
            unsafe (items + count).initialize(to: item)
            unsafe head.pointee.count = count &+ 1
            unsafe head.pointee.weight &+= weight
            unsafe head.pointee.newest = item.message.seq
        }
    }

    /// Sets the drafts that have become no messages, before it is posted.
    mutating func refuse(_ list: [(place: Int, rejection: Rejection)]) {
        guard !list.isEmpty else { return }
        unsafe memory.withUnsafeMutablePointerToHeader { head in
            unsafe head.pointee.refusals = Refusals(list)
            unsafe head.pointee.refused = list.count
        }
    }

    /// The accepted messages, in the order of their numbers.
    package var items: Items { unsafe Items(memory) }
    /// How many drafts were accepted.
    var accepted: Int { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.count } }
    /// The place of the last message in the order; 0 if there is none.
    var newest: UInt64 { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.newest } }
    /// The drafts that have become no messages; `nil` if there are none.
    var refusals: Refusals? { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.refusals } }
    /// The index of the shard.
    var shard: Int { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.shard } }
    /// The weight of the messages, in bytes.
    var weight: Int { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.weight } }
    /// When the turn that published them began; `nil` if not known.
    var began: MonotonicTime? { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.began } }

    /// The log that has given them their order; 0 unless there are several.
    var partition: Int { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.partition } }

    /// The number of drafts.
    var count: Int {
        unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.count &+ $0.pointee.refused }
    }

    /// The accepted messages.
    package var messages: [Message] { items.map(\.message) }

    /// The same as ``items``, as long as it exists; costs no reference.
    var span: Span<Applied> {
        @_lifetime(borrow self)
        get {
            let items = unsafe memory.withUnsafeMutablePointers { (head, items) in
                unsafe UnsafeBufferPointer(start: items, count: head.pointee.count)
            }
            return unsafe _overrideLifetime(Span(_unsafeElements: items), borrowing: self)
        }
    }
}

extension Batch {
    /// The accepted messages, in the batch's memory.
    @safe package struct Items: RandomAccessCollection, Sendable {
        nonisolated(unsafe) private let memory: Memory

        @inline(__always)
        fileprivate init(_ memory: Memory) { unsafe self.memory = memory }

        package var startIndex: Int { 0 }
        package var endIndex: Int { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.count } }

        package subscript(index: Int) -> Applied {
            precondition(UInt(bitPattern: index) < UInt(bitPattern: endIndex), "there is no such message")
            return unsafe memory.withUnsafeMutablePointerToElements { unsafe $0[index] }
        }
    }
}
