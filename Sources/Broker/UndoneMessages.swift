/// What this broker had acknowledged and the log of its cluster has lost, by the store that it had then.
///
/// That store read from a replica that was cut off and not promoted: its log ended below what it had.
struct UndoneMessages {
    /// One message.
    struct Item: Sendable {
        let message: Message
        /// Whether a history rule kept it.
        let isKept: Bool
        /// The key by which it counts once, however often it is sent again.
        let key: PublishKey

        /// Whether it is a message of the history, whatever became of its topic's value.
        var isMessage: Bool { isKept && !message.isRemoval && !message.topic.isPrivate }
    }

    /// The last number that the log has of what the store had.
    let closed: UInt64
    /// In their order.
    private(set) var items: [Item] = []
    /// How many there are beside those: too many to be read.
    private(set) var left = 0

    /// How much of it is read, in bytes.
    private static let maximumWeight = 64 << 20
    /// How many keys are counted as one owner's, who may have so many only.
    private static let keysOfAnOwner = 10_000
    private static let filters = [
        TopicFilter(unchecked: "#", isLiteral: false), SharedAccess.filter,
    ]

    /// Reads it; `nil`: the log has all of it.
    ///
    /// - Parameters:
    ///   - former: the store that a copy has replaced.
    ///   - present: the store in its place.
    ///   - jumps: where the log's numbers have jumped.
    ///   - node: this broker, whose clients' messages are looked for; other brokers send theirs again themselves.
    init?(
        of former: LMDBStore, replacedBy present: LMDBStore, _ jumps: LogJumps, _ node: NodeRecord
    ) throws(StorageError) {
        guard let mark = try former.orderMark(), let fold = Fold(mark.state.span),
            let jump = jumps.jump(over: fold.position.seq)
        else { return nil }
        closed = jump.closed
        var keys: [UInt64: PublishKey] = [:]
        for key in try former.keys() where key.seq > closed {
            keys[key.seq] = PublishKey(stored: key.name, owner: key.owner)
        }
        var found = try Self.kept(former, after: closed).filter { one in
            one.origin >> 48 == UInt64(node.clientPrefix) || one.topic.isPrivate
        }.map { (message: $0, isKept: true) }
        found += try Self.values(former, after: closed).map { (message: $0, isKept: false) }
        found.sort { $0.message.seq < $1.message.seq }
        // Nobody knows when they were removed: after all else that happened to their topics.
        found += try Self.removed(from: present, absentIn: former, upTo: closed, fold.time).map { ($0, false) }
        var room = Self.maximumWeight
        for (number, one) in found.enumerated() {
            room -= one.message.weight
            guard room >= 0 else {
                left = found.count - number
                break
            }
            let name = "\0undone\0\(String(node.id, radix: 16))\0\(one.message.seq)\0\(one.message.topic.name)"
            let own = PublishKey(stored: Array(name.utf8), owner: "\0undone \(number / Self.keysOfAnOwner)")
            items.append(Item(message: one.message, isKept: one.isKept, key: keys[one.message.seq] ?? own))
        }
    }

    /// The messages of the history after a number.
    private static func kept(_ store: LMDBStore, after seq: UInt64) throws(StorageError) -> [Message] {
        try store.readHistory { (history) throws(StorageError) in
            var (found, room) = ([Message](), maximumWeight)
            _ = try history.messages(where: { _ in true }, after: seq, upTo: .max, visiting: .max, now: .min) {
                message in
                found.append(message)
                room -= message.weight
                return room > 0
            }
            return found.filter { !$0.isExpiry }
        }
    }

    /// The retained values with greater numbers that the history does not have.
    private static func values(_ store: LMDBStore, after seq: UInt64) throws(StorageError) -> [Message] {
        var (found, room) = ([Message](), maximumWeight)
        for filter in filters {
            _ = try store.scan(filter, after: nil, visiting: .max, now: .min) { message in
                guard message.seq > seq else { return true }
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

    /// Removals of the values that one store still has from before a number, and the other has not.
    ///
    /// - Parameter time: up to which values had expired, in Unix milliseconds.
    private static func removed(
        from present: LMDBStore, absentIn former: LMDBStore, upTo seq: UInt64, _ time: Int64
    ) throws(StorageError) -> [Message] {
        var (found, room) = ([Message](), maximumWeight)
        for filter in filters {
            var trouble: StorageError?
            _ = try present.scan(filter, after: nil, visiting: .max, now: .min) { message in
                guard message.seq <= seq, !message.isExpired(at: time) else { return true }
                do throws(StorageError) {
                    if try former.value(of: message.topic, now: .min) == nil {
                        let removal = Message(
                            topic: message.topic, payload: [], kind: .binary, isRetained: true, seq: message.seq,
                            time: 0)
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
