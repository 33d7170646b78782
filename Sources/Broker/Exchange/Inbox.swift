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
/// bounded: beyond ``maximumUndelivered``, publishers' connections are not read; beyond ``mostUndelivered``, which only
/// many new publishers can reach, publications are refused.
package final class Inbox: Sendable {
    /// In bytes of payload, with an overhead for each message.
    static let maximumUndelivered = 16 << 20
    /// In the same bytes: if publishers come and go, pausing their connections does not help.
    static let mostUndelivered = 64 << 20

    let shard: Int
    let mailbox: Mailbox<ShardEvent>
    private let undelivered = Atomic<Int>(0)

    package init(shard: Int, mailbox: Mailbox<ShardEvent>) {
        self.shard = shard
        self.mailbox = mailbox
    }

    /// Posts an event with messages.
    ///
    /// Any thread; `waking` as in ``Mailbox/post(_:waking:)``.
    ///
    /// - Parameter weight: of the messages, in bytes.
    func post(_ event: ShardEvent, weight: Int, waking: Bool) {
        undelivered.add(weight, ordering: .relaxed)
        mailbox.post(event, waking: waking)
    }

    /// Counts messages as delivered: they have been handed to their connections.
    func delivered(_ batch: Batch) {
        undelivered.subtract(batch.weight, ordering: .relaxed)
    }

    /// Whether too much waits; the limit is lower if finding subscribers is expensive.
    ///
    /// - Parameter forkedFilters: how many filters have many `+`; each beyond ``plainFilters`` counts.
    func isCongested(forkedFilters: Int) -> Bool {
        let most = Self.maximumUndelivered / max(1, forkedFilters / Self.plainFilters)
        return undelivered.load(ordering: .relaxed) > most
    }

    /// How many filters with many `+` do not lower the limit.
    private static let plainFilters = 4

    var isFull: Bool { undelivered.load(ordering: .relaxed) > Self.mostUndelivered }
}
