/// The messages that this broker had acknowledged and the log of its cluster has lost, from the store that it had then.
///
/// That store was filled from a replica that was cut off and not promoted, so it has messages beyond the end of the
/// log.
struct UndoneMessages {
    /// The place in each log at which its common part with a store ends.
    struct End: Sendable {
        private let partitions: Partitions
        /// The last common number of each log; `nil` if the log has all messages of the store.
        private let closed: [UInt64?]
        /// The time of each log up to which values of the store have expired, in Unix milliseconds.
        private let times: [Int64]

        init(of folds: [Fold], _ jumps: [LogJumps]) {
            let partitions = Partitions(folds.count)
            self.partitions = partitions
            closed = folds.indices.map { partition in
                jumps[partition].jump(over: folds[partition].position.seq).map {
                    partitions.number($0.closed, of: partition)
                }
            }
            times = folds.map(\.time)
        }

        /// Whether a log ends before the store.
        var isShort: Bool { closed.contains { $0 != nil } }

        /// A place in the store's sequence before which the logs have everything.
        var begin: UInt64 { partitions.count == 1 ? (closed[0] ?? 0) : 0 }

        /// The last common number of a topic's log; `nil` if the log has all messages of the store.
        func closed(of topic: Topic) -> UInt64? { closed[partitions.partition(of: topic)] }

        /// Whether the message comes after the end of its log.
        func isBefore(_ message: Message) -> Bool { closed(of: message.topic).map { message.number > $0 } ?? false }

        /// Whether the message is in its log, which has lost later ones, and has not expired.
        fileprivate func isAfter(_ message: Message) -> Bool {
            let partition = partitions.partition(of: message.topic)
            guard let closed = closed[partition], message.number <= closed else { return false }
            return !message.isExpired(at: times[partition])
        }
    }

    /// A message that the log has lost.
    struct Item: Sendable {
        let message: Message
        /// Whether a history rule kept it.
        let isKept: Bool
        /// The key because of which it counts once, however often it is published again.
        let key: PublishKey

        /// Whether it belongs into the history, whatever has happened to its topic's value.
        var isMessage: Bool { isKept && !message.isRemoval && !message.topic.isPrivate }
    }

    /// The place at which the common part of the logs and the store ends.
    let end: End
    /// The lost messages, in order.
    private(set) var items: [Item] = []
    /// How many more there are, which are too many to be read.
    private(set) var left = 0

    /// The maximum size of the messages that are read, in bytes.
    private static let maximumWeight = 64 << 20
    /// How many keys belong to one owner; an owner may have only so many.
    private static let keysOfAnOwner = 10_000
    private static let filters = [
        TopicFilter(unchecked: "#", isLiteral: false), SharedAccess.filter,
    ]

    /// Finds the lost messages; `nil` if the log has lost none.
    ///
    /// - Parameters:
    ///   - former: the store that a copy has replaced.
    ///   - present: the current store.
    ///   - jumps: where the numbers of each log have jumped.
    ///   - node: this broker; only messages of its own clients are needed, because the other brokers publish theirs
    ///     again.
    init?(
        of former: LMDBStore, replacedBy present: LMDBStore, _ jumps: [LogJumps], _ node: NodeRecord
    ) throws(StorageError) {
        guard let mark = try former.orderMark(), let folds = LogGroup.folds(in: mark, of: Partitions(jumps.count))
        else { return nil }
        let end = End(of: folds, jumps)
        guard end.isShort else { return nil }
        self.end = end
        var keys: [UInt64: PublishKey] = [:]
        for key in try former.keys() {
            keys[key.number] = PublishKey(stored: key.name, owner: key.owner)
        }
        var found = try Self.kept(former, after: end).filter { one in
            one.origin >> 48 == UInt64(node.clientPrefix) || one.topic.isPrivate
        }.map { (message: $0, isKept: true) }
        found += try Self.values(former, after: end).map { (message: $0, isKept: false) }
        found.sort { $0.message.seq < $1.message.seq }
        // The time of their removal is unknown, so they come after everything else that happened to their topics.
        found += try Self.removed(from: present, absentIn: former, upTo: end).map { ($0, false) }
        var room = Self.maximumWeight
        for (number, one) in found.enumerated() {
            room -= one.message.weight
            guard room >= 0 else {
                left = found.count - number
                break
            }
            let name = "\0undone\0\(String(node.id, radix: 16))\0\(one.message.number)\0\(one.message.topic.name)"
            let own = PublishKey(stored: Array(name.utf8), owner: "\0undone \(number / Self.keysOfAnOwner)")
            items.append(Item(message: one.message, isKept: one.isKept, key: keys[one.message.number] ?? own))
        }
    }

    /// The messages of the history that the logs do not have.
    private static func kept(_ store: LMDBStore, after end: End) throws(StorageError) -> [Message] {
        try store.readHistory { (history) throws(StorageError) in
            var (found, room) = ([Message](), maximumWeight)
            _ = try history.messages(where: { _ in true }, after: end.begin, upTo: .max, visiting: .max, now: .min) {
                message in
                guard end.isBefore(message) else { return true }
                found.append(message)
                room -= message.weight
                return room > 0
            }
            return found.filter { !$0.isExpiry }
        }
    }

    /// The retained values that neither the logs nor the history have.
    private static func values(_ store: LMDBStore, after end: End) throws(StorageError) -> [Message] {
        var (found, room) = ([Message](), maximumWeight)
        for filter in filters {
            _ = try store.scan(filter, after: nil, visiting: .max, now: .min) { message in
                guard end.isBefore(message) else { return true }
                found.append(message)
                room -= message.weight
                return room > 0
            }
        }
        return try store.readHistory { (history) throws(StorageError) in
            var values: [Message] = []
            for message in found where try !history.holds(message.seq) { values.append(message) }
            return values
        }
    }

    /// Removals of values that the current store still has from before the end, and the former one has not.
    private static func removed(
        from present: LMDBStore, absentIn former: LMDBStore, upTo end: End
    ) throws(StorageError) -> [Message] {
        var (found, room) = ([Message](), maximumWeight)
        for filter in filters {
            var trouble: StorageError?
            _ = try present.scan(filter, after: nil, visiting: .max, now: .min) { message in
                guard end.isAfter(message) else { return true }
                do throws(StorageError) {
                    if try former.value(of: message.topic, now: .min) == nil {
                        let removal = Message(
                            topic: message.topic, payload: [], kind: .binary, isRetained: true, seq: message.seq,
                            number: message.number, time: 0)
                        found.append(removal)
                        room -= removal.weight
                    }
                } catch {
                    trouble = error
                }
                return room > 0 && trouble == nil
            }
            if let trouble { throw trouble }
        }
        return found
    }
}
