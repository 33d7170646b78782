internal import Synchronization
package import WSTransport

/// What a shard finds in its mailbox.
package enum ShardEvent: Sendable {
    /// Messages in the order of their numbers, and the refused drafts of the shard that handed them over.
    case applied(Batch)
    /// The broker's own figures, which take no numbers: they come after the message whose number they have.
    case figures(Batch)
    /// What the store did.
    case settled(StoreThread.Settlement)
    /// The shard's own question whether events arrive, by its number.
    case probe(UInt64)
}

/// A shard's mailbox, with the size of what is not delivered yet.
///
/// A reactor that fans out to many connections can be slower than one that only publishes. What waits between them is
/// bounded: beyond ``maximumUndelivered`` the publishers' connections are not read, and beyond
/// ``mostUndelivered``, which only many new publishers can reach, publications are refused.
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

    /// Notes that messages have been handed to their connections.
    func delivered(_ batch: Batch) {
        undelivered.subtract(batch.weight, ordering: .relaxed)
    }

    /// Whether more waits than should; where messages may cost much to find subscribers for, it is less.
    ///
    /// - Parameter forkedFilters: how many filters have many `+`; each beyond ``plainFilters`` counts.
    func isCongested(forkedFilters: Int) -> Bool {
        let most = Self.maximumUndelivered / max(1, forkedFilters / Self.plainFilters)
        return undelivered.load(ordering: .relaxed) > most
    }

    /// So many filters with many `+` change nothing.
    private static let plainFilters = 4

    var isFull: Bool { undelivered.load(ordering: .relaxed) > Self.mostUndelivered }
}
