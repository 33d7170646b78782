internal import WSTransport

/// Messages that wait for a connection which is behind, oldest first, and that no store brings.
struct HeldMessages {
    struct Item {
        let message: Message
        /// When it came.
        let since: MonotonicTime
    }

    private var items: ContiguousArray<Item?> = []
    /// Those before this place are gone.
    private var head = 0
    /// Where the newest message of a topic is, for topics of which only that is wanted.
    private var places: [Topic: Int] = [:]
    /// What they take, in bytes.
    private(set) var bytes = 0

    var isEmpty: Bool { head == items.count }

    var oldest: Item? { head < items.count ? items[head] : nil }

    static func size(_ message: Message) -> Int { message.payload.count + message.topic.name.utf8.count + 64 }

    mutating func append(_ message: Message, now: MonotonicTime) {
        items.append(Item(message: message, since: now))
        bytes += Self.size(message)
    }

    /// Appends a message of a topic of which only the newest is wanted, and returns the one it replaces.
    mutating func replace(_ message: Message, now: MonotonicTime) -> Message? {
        let place = places[message.topic]
        places[message.topic] = items.count
        append(message, now: now)
        guard let place, place >= head, let older = items[place]?.message else { return nil }
        items[place] = nil
        bytes -= Self.size(older)
        skipGone()
        return older
    }

    mutating func removeOldest() -> Message? {
        guard let item = oldest else { return nil }
        items[head] = nil
        bytes -= Self.size(item.message)
        skipGone()
        return item.message
    }

    /// Takes the messages up to `seq`.
    mutating func take(upTo seq: UInt64) -> [Message] {
        var taken: [Message] = []
        while let item = oldest, item.message.seq <= seq {
            taken.append(item.message)
            items[head] = nil
            bytes -= Self.size(item.message)
            skipGone()
        }
        return taken
    }

    /// Removes those that `isWanted` says no to.
    mutating func keep(where isWanted: (Message) -> Bool) {
        for index in head..<items.count {
            guard let message = items[index]?.message, !isWanted(message) else { continue }
            items[index] = nil
            bytes -= Self.size(message)
        }
        skipGone()
    }

    mutating func removeAll() { self = HeldMessages() }

    private mutating func skipGone() {
        while head < items.count, items[head] == nil { head += 1 }
        if head == items.count {
            self = HeldMessages()
        } else if head > 64, head * 2 > items.count {
            items.removeFirst(head)
            places = places.compactMapValues { $0 >= head ? $0 - head : nil }
            head = 0
        }
    }
}
