internal import Synchronization
package import WSTransport

/// An event in a shard's mailbox.
package enum ShardEvent: Sendable {
    /// Messages in the order of their numbers, and the refused drafts of the shard that handed them over.
    case applied(Batch)
    /// The broker's own figures, which take no numbers: they come after the message whose number they have.
    case figures(Batch)
    /// What the store has done.
    case settled(StoreThread.Settlement)
    /// Retained values that have expired, for the shard to publish their removal.
    case expired([ExpiredValue])
    /// A probe by which the shard checks that events arrive, with its number.
    case probe(UInt64)
}

/// A shard's mailbox, and the size of what has not been delivered yet.
///
/// A reactor that fans out to many connections can be slower than one that only publishes. What waits between them is
/// bounded: beyond ``maximumUndelivered``, publishers' connections are not read on the reactors that have published more
/// than their share of it; beyond ``mostUndelivered``, which only many new publishers can reach, publications are refused.
///
/// Reactors have shares because all of them wait for the slowest: a reactor that is idle looks again sooner than a busy
/// one, and would take all the room that comes free.
package final class Inbox: Sendable {
    /// In bytes of payload, with an overhead for each message.
    static let maximumUndelivered = 16 << 20
    /// In the same bytes: if publishers come and go, pausing their connections does not help.
    static let mostUndelivered = 64 << 20

    let shard: Int
    let mailbox: Mailbox<ShardEvent>
    private let undelivered = Atomic<Int>(0)
    /// How much of it each shard has published; those whose indices are equal modulo the count share one.
    private let shares = InlineArray<64, Atomic<Int>> { _ in Atomic(0) }

    package init(shard: Int, mailbox: Mailbox<ShardEvent>) {
        self.shard = shard
        self.mailbox = mailbox
    }

    /// Posts an event with messages.
    ///
    /// Any thread; `waking` as in ``Mailbox/post(_:waking:)``.
    ///
    /// - Parameters:
    ///   - weight: of the messages, in bytes.
    ///   - publisher: the shard that has published them.
    func post(_ event: ShardEvent, weight: Int, of publisher: Int, waking: Bool) {
        undelivered.add(weight, ordering: .relaxed)
        shares[Self.place(of: publisher)].add(weight, ordering: .relaxed)
        mailbox.post(event, waking: waking)
    }

    /// Counts messages as delivered: they have been handed to their connections.
    func delivered(_ batch: Batch) {
        undelivered.subtract(batch.weight, ordering: .relaxed)
        shares[Self.place(of: batch.shard)].subtract(batch.weight, ordering: .relaxed)
    }

    /// Whether too much waits, and too much of that is one shard's; the limits are lower if finding subscribers is expensive.
    ///
    /// - Parameters:
    ///   - publisher: the shard.
    ///   - shards: how many share the room.
    ///   - forkedFilters: how many filters have many `+`: the limit is for one message and one such filter.
    func isCongested(by publisher: Int, of shards: Int, forkedFilters: Int) -> Bool {
        let most = Self.maximumUndelivered / max(1, forkedFilters)
        return undelivered.load(ordering: .relaxed) > most
            && shares[Self.place(of: publisher)].load(ordering: .relaxed) > most / max(1, shards)
    }

    private static func place(of shard: Int) -> Int { shard & 63 }

    var isFull: Bool { undelivered.load(ordering: .relaxed) > Self.mostUndelivered }
}
