package import WSTransport

/// Puts all publications in one order.
///
/// An order decides only the place of a draft. Its condition and the rule that keeps it are evaluated when the draft is
/// applied (``Applying``), with the same result on every broker. So an order may be a lock in this process
/// (``LocalOrder``), or a log that answers some turns later. Any thread.
package protocol Order: AnyObject, Sendable {
    /// Hands over the drafts of a turn; never waits.
    ///
    /// The results arrive in the shard's mailbox as ``ShardEvent/applied(_:)``, in the order of the drafts of each partition, at
    /// once or some turns later. The order keeps neither a draft's connection nor its completion: the shard has both.
    ///
    /// - Parameters:
    ///   - shard: the index of the shard, which empties its mailbox in this turn. Called on its thread.
    ///   - time: when the turn that published them began.
    func submit(_ drafts: [Draft], from shard: Int, at time: MonotonicTime)

    /// Why no publication is accepted now; `nil` if they are accepted.
    var obstacle: Refusal? { get }

    /// Ends the order after everything that has been handed over; returns the last number.
    func close() -> UInt64
}

/// An applied message, with what only this process knows of it.
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

/// The results of drafts that one shard has handed over and that were applied together.
package struct Batch: Sendable {
    /// The accepted messages, in the order of their numbers.
    package let items: [Applied]
    /// The drafts that have become no messages; `nil` if there are none.
    let refusals: Refusals?
    /// The index of the shard.
    let shard: Int
    /// The weight of the messages, in bytes.
    let weight: Int
    /// When the turn that published them began; `nil` if not known.
    let began: MonotonicTime?
    /// The log that has given them their order; 0 unless there are several.
    let partition: UInt16

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

    init(
        items: [Applied], refusals: [(place: Int, rejection: Rejection)] = [], shard: Int, began: MonotonicTime? = nil,
        partition: Int = 0
    ) {
        self.items = items
        self.began = began
        self.partition = UInt16(truncatingIfNeeded: partition)
        self.refusals = refusals.isEmpty ? nil : Refusals(refusals)
        self.shard = shard
        weight = items.reduce(0) { $0 &+ $1.message.weight }
    }

    /// The number of drafts.
    var count: Int { items.count + (refusals?.list.count ?? 0) }

    /// The accepted messages.
    package var messages: [Message] { items.map(\.message) }
}
