/// The values that live as long as their publishers' connections, by topic.
///
/// Many small tables: a reader keeps what it was given for some turns, and meanwhile a change copies one of them and not all.
struct EphemeralTable: Sendable {
    private var tables = [[Topic: Message]](repeating: [:], count: 256)
    private(set) var count = 0
    /// Their weight, in bytes.
    private(set) var bytes = 0

    var isEmpty: Bool { count == 0 }

    private static func table(of topic: Topic) -> Int { topic.hashValue & 255 }

    subscript(topic: Topic) -> Message? { isEmpty ? nil : tables[Self.table(of: topic)][topic] }

    mutating func set(_ message: Message) {
        let old = tables[Self.table(of: message.topic)].updateValue(message, forKey: message.topic)
        if old == nil { count += 1 }
        bytes += message.weight - (old?.weight ?? 0)
    }

    mutating func remove(_ topic: Topic) {
        guard !isEmpty, let old = tables[Self.table(of: topic)].removeValue(forKey: topic) else { return }
        count -= 1
        bytes -= old.weight
    }

    /// How far a reader has got.
    struct Place {
        fileprivate var table = 0
        fileprivate var index: Dictionary<Topic, Message>.Index?
    }

    /// Passes `body` the values that match, from a place on, until it returns `false`; returns whether these were all.
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

/// The last changes of ephemeral values on topics that a rule of the history keeps.
///
/// They never go to disk, so a client that comes back gets them from here, and is told of a gap if it was away for longer.
struct RecentEphemerals {
    /// How many there may be, and their weight in bytes.
    static let maximumCount = 4096
    static let maximumBytes = 1 << 20

    private var messages = PendingMessages()
    private var bytes = 0
    /// The number of the newest one that is no longer here; 0: all are.
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

    /// Those after `seq`, in order.
    func messages(after seq: UInt64) -> [Message] {
        messages.messages(after: seq, atMost: Self.maximumCount).messages
    }
}
