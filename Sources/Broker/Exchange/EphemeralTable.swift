/// The ephemeral retained values, which live as long as their publishers' connections, by topic.
///
/// Many small tables: a reader keeps its copy for some turns, and a change meanwhile copies one table, not all.
struct EphemeralTable: Sendable {
    private var tables = [[Topic: Message]](repeating: [:], count: 256)
    /// What happens to values of a log when their publishers end, by topic; only those that are not simply removed.
    private var leases: [Topic: Lease] = [:]
    private(set) var count = 0
    /// The weight of the values, in bytes.
    private(set) var bytes = 0

    var isEmpty: Bool { count == 0 }

    private static func table(of topic: Topic) -> Int { topic.hashValue & 255 }

    subscript(topic: Topic) -> Message? { isEmpty ? nil : tables[Self.table(of: topic)][topic] }

    /// Sets a value, or removes it.
    mutating func apply(_ message: Message, _ lease: Lease?) {
        if message.isRemoval { remove(message.topic) } else { set(message, lease) }
    }

    /// - Parameter lease: given if another broker may have to end the value.
    mutating func set(_ message: Message, _ lease: Lease? = nil) {
        setLease(lease, of: message.topic)
        let old = tables[Self.table(of: message.topic)].updateValue(message, forKey: message.topic)
        if old == nil { count += 1 }
        bytes += message.weight - (old?.weight ?? 0)
    }

    mutating func remove(_ topic: Topic) {
        guard !isEmpty, let old = tables[Self.table(of: topic)].removeValue(forKey: topic) else { return }
        count -= 1
        bytes -= old.weight
        setLease(nil, of: topic)
    }

    private mutating func setLease(_ lease: Lease?, of topic: Topic) {
        let new = lease.flatMap { $0.isUsual ? nil : $0 }
        guard new != nil || !leases.isEmpty else { return }
        bytes -= leases.removeValue(forKey: topic)?.weight ?? 0
        guard let new else { return }
        leases[topic] = new
        bytes += new.weight
    }

    /// What happens to a value when its publisher ends; `nil` if it is simply removed at once.
    func lease(of topic: Topic) -> Lease? { leases[topic] }

    /// A reader's position.
    struct Place {
        fileprivate var table = 0
        fileprivate var index: Dictionary<Topic, Message>.Index?
    }

    /// Passes `body` the matching values from a position on, until it returns `false`; returns whether it reached the
    /// end.
    ///
    /// - Parameter maximum: the maximum number of values to look at, at least one.
    func read(
        _ filter: TopicFilter, from place: inout Place, visiting maximum: Int, _ body: (Message) -> Bool
    ) -> Bool {
        var left = max(1, maximum)
        while place.table < tables.count {
            let table = tables[place.table]
            var index = place.index ?? table.startIndex
            while index < table.endIndex {
                guard left > 0 else {
                    place.index = index
                    return false
                }
                left -= 1
                let message = table[index].value
                table.formIndex(after: &index)
                guard !filter.matches(message.topic) || body(message) else {
                    place.index = index
                    return false
                }
            }
            place.table += 1
            place.index = nil
        }
        return true
    }
}

/// The latest changes of ephemeral values on topics that a history rule keeps.
///
/// They are never on disk, so a client that resumes gets them from here. If it was away for too long, it gets a gap.
struct RecentEphemerals {
    /// The maximum number of changes, and their maximum weight in bytes.
    static let maximumCount = 4096
    static let maximumBytes = 1 << 20

    private var messages = PendingMessages()
    private var bytes = 0
    /// The number of the newest change that is no longer here; 0 if all are.
    private(set) var forgottenUpTo: UInt64 = 0

    mutating func append(_ message: Message) {
        messages.append(message)
        bytes += message.weight
        while messages.count > Self.maximumCount || bytes > Self.maximumBytes, let first = messages.first {
            _ = messages.take(upTo: first.seq)
            bytes -= first.weight
            forgottenUpTo = first.seq
        }
    }

    /// The changes after `seq`, in order.
    func messages(after seq: UInt64) -> [Message] {
        messages.messages(after: seq, atMost: Self.maximumCount).messages
    }
}
