internal import Synchronization
package import WSTransport

/// An event in a shard's mailbox.
package enum ShardEvent: Sendable {
    /// Applied messages in the order of their numbers, and the refused drafts of the shard that handed them over.
    case applied(Batch)
    /// The broker's own figures, which have no numbers of their own: each comes after the message whose number it has.
    case figures(Batch)
    /// The result of a commit.
    case settled(StoreThread.Settlement)
    /// Expired retained values, whose removal the shard must publish.
    case expired([ExpiredValue])
    /// A probe by which the shard checks that its mailbox works, with the probe's number.
    case probe(UInt64)
}

/// A shard's mailbox, and the size of the messages in it that have not been delivered yet.
///
/// A reactor that fans out to many connections can be slower than one that only publishes. The messages that wait
/// between them are bounded: beyond ``maximumUndelivered``, the connections of publishers are not read on the reactors
/// that have published more than their share; beyond ``mostUndelivered``, which only many new publishers can reach,
/// publications are refused.
///
/// Reactors have shares because all of them wait for the slowest one. An idle reactor checks again sooner than a busy
/// one, and would take all the room that becomes free.
package final class Inbox: Sendable {
    /// In bytes: payload, and an overhead for each message.
    static let maximumUndelivered = 16 << 20
    /// In the same bytes; needed because pausing connections does not help if publishers come and go.
    static let mostUndelivered = 64 << 20
    /// How much of what none of a reactor's clients wants may wait until the reactor runs anyway, in the same bytes.
    static let mostUnwanted = 64 << 10

    let shard: Int
    let mailbox: Mailbox<ShardEvent>
    private let undelivered = Atomic<Int>(0)
    /// How much of it each shard has published; shards whose indices are equal modulo the count share an entry.
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
    ///   - weight: the weight of the messages, in bytes.
    ///   - publisher: the index of the shard that published them.
    func post(_ event: ShardEvent, weight: Int, of publisher: Int, waking: Bool) {
        let waiting = undelivered.add(weight, ordering: .relaxed).newValue
        shares[Self.place(of: publisher)].add(weight, ordering: .relaxed)
        mailbox.post(event, waking: waking, isUrgent: publisher == shard || waiting > Self.mostUnwanted)
    }

    /// Counts messages as delivered: they have been handed to their connections.
    func delivered(_ batch: Batch) {
        undelivered.subtract(batch.weight, ordering: .relaxed)
        shares[Self.place(of: batch.shard)].subtract(batch.weight, ordering: .relaxed)
    }

    /// Whether too much waits, and too much of it is from one shard; the limits are lower if publications
    /// are dear.
    ///
    /// - Parameters:
    ///   - publisher: the index of the shard.
    ///   - shards: the number of shards.
    ///   - dearness: ``Sequencer/dearness``.
    func isCongested(by publisher: Int, of shards: Int, dearness: Int) -> Bool {
        let most = Self.limit(dearness: dearness)
        return undelivered.load(ordering: .relaxed) > most
            && shares[Self.place(of: publisher)].load(ordering: .relaxed) > most / max(1, shards)
    }

    /// How much may wait before its publishers are not read, in bytes.
    ///
    /// - Parameter dearness: ``Sequencer/dearness``.
    static func limit(dearness: Int) -> Int { min(maximumUndelivered, 4 * maximumUndelivered / max(1, dearness)) }

    /// The size of what waits, in bytes.
    var undeliveredBytes: Int { undelivered.load(ordering: .relaxed) }

    private static func place(of shard: Int) -> Int { shard & 63 }

    var isFull: Bool { undelivered.load(ordering: .relaxed) > Self.mostUndelivered }
}

extension Sequencer {
    /// Whether some shard has too much to deliver, and more than its share of that is from `shard`.
    package func isCongested(by shard: Int) -> Bool {
        let dearness = dearness.load(ordering: .relaxed)
        // Nearly every turn is answered here, without the lock.
        guard mostUndelivered.load(ordering: .relaxed) > Inbox.limit(dearness: dearness) else { return false }
        return state.withLock { state in
            let count = state.inboxes.count
            return state.inboxes.contains { $0.isCongested(by: shard, of: count, dearness: dearness) }
        }
    }
}
