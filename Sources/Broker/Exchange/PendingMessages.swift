internal import WSTransport

/// Messages on their way to the disk, in the order of their numbers.
///
/// In blocks, so that the cost of removing settled messages does not depend on how many are left.
struct PendingMessages {
    static let block = 512

    /// No block is empty, unless it is the only one.
    private var blocks: [ContiguousArray<Message>] = [[]]
    /// How many messages of the first block have been removed.
    private var taken = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// The oldest message.
    var first: Message? { isEmpty ? nil : blocks[0][taken] }

    mutating func append(_ message: Message) {
        let last = blocks.count - 1
        if blocks[last].count < Self.block { blocks[last].append(message) } else { blocks.append([message]) }
        count += 1
    }

    /// The first `maximum` messages after `seq`, and whether these are all of them.
    func messages(after seq: UInt64, atMost maximum: Int) -> (messages: [Message], isWhole: Bool) {
        guard !isEmpty, maximum > 0 else { return ([], isEmpty) }
        var block = blocks.partitionPoint { $0[$0.count - 1].seq > seq }
        var found: [Message] = []
        guard block < blocks.count else { return ([], true) }
        var place = max(block == 0 ? taken : 0, blocks[block].partitionPoint { $0.seq > seq })
        while block < blocks.count {
            let end = min(blocks[block].count, place + maximum - found.count)
            found.append(contentsOf: blocks[block][place..<end])
            guard end == blocks[block].count else { return (found, false) }
            block += 1
            place = 0
            if found.count == maximum { return (found, block == blocks.count) }
        }
        return (found, true)
    }

    /// Whether it contains the message with that number.
    func contains(_ seq: UInt64) -> Bool { messages(after: seq - 1, atMost: 1).messages.first?.seq == seq }

    /// Removes the messages up to `seq`, at most those left in one block.
    mutating func take(upTo seq: UInt64) -> ArraySlice<Message> {
        guard !isEmpty else { return [] }
        let end = max(taken, blocks[0].partitionPoint { $0.seq > seq })
        let found = Array(blocks[0][taken..<end])[...]
        count -= found.count
        taken = end
        if taken == blocks[0].count {
            taken = 0
            if blocks.count > 1 { blocks.removeFirst() } else { blocks[0].removeAll(keepingCapacity: true) }
        }
        return found
    }
}

/// The newest message of each topic that is on its way to the disk.
///
/// Many small tables, because a table that grows moves its content, and this happens under the sequencer's lock.
struct OverlayTable {
    private var tables = [[Topic: Message]](repeating: [:], count: 256)
    private(set) var count = 0

    private static func table(of topic: Topic) -> Int { topic.hashValue & 255 }

    subscript(topic: Topic) -> Message? { count == 0 ? nil : tables[Self.table(of: topic)][topic] }

    mutating func set(_ message: Message) {
        if tables[Self.table(of: message.topic)].updateValue(message, forKey: message.topic) == nil { count += 1 }
    }

    /// Removes a message, unless a newer one has replaced it.
    mutating func remove(_ message: Message) {
        let table = Self.table(of: message.topic)
        guard let place = tables[table].index(forKey: message.topic), tables[table].values[place].seq == message.seq
        else { return }
        tables[table].remove(at: place)
        count -= 1
    }
}
