internal import WSTransport

/// The messages held in memory for a session that is behind, because the store does not deliver them; oldest first.
struct HeldMessages {
    struct Item {
        let message: Message
        /// When it arrived.
        let since: MonotonicTime
    }

    private var items: ContiguousArray<Item?> = []
    /// Messages before this index have been removed.
    private var head = 0
    /// An upper bound of the number of removed messages after ``head``.
    private var gone = 0
    /// The index of each topic's newest message, for topics of which only the newest is wanted.
    private var places: [Topic: Int] = [:]
    /// The size of the messages, in bytes.
    private(set) var bytes = 0

    var isEmpty: Bool { head == items.count }

    var oldest: Item? { head < items.count ? items[head] : nil }

    mutating func append(_ message: Message, now: MonotonicTime) {
        items.append(Item(message: message, since: now))
        bytes += message.weight
    }

    /// Appends a message of a topic of which only the newest one is wanted.
    ///
    /// - Returns: the message that it replaces, and the number of the held message before that one, or 0; `nil` if it
    ///   replaces none.
    mutating func replace(_ message: Message, now: MonotonicTime) -> (older: Message, floor: UInt64)? {
        let place = places[message.topic]
        places[message.topic] = items.count
        append(message, now: now)
        guard let place, place >= head, let older = items[place]?.message else { return nil }
        items[place] = nil
        bytes -= older.weight
        gone += 1
        var before = place - 1
        while before >= head, items[before] == nil { before -= 1 }
        let floor = before >= head ? items[before]?.message.seq ?? 0 : 0
        skipGone()
        if gone > 64, gone * 2 > items.count - head { pack() }
        return (older, floor)
    }

    /// Inserts messages in their places; those that are held already are left out.
    mutating func insert(_ messages: [Message], now: MonotonicTime) {
        guard !messages.isEmpty else { return }
        let known = seqs
        let new = messages.filter { !known.contains($0.seq) }
        let newest = Set(places.values.filter { $0 >= head }.compactMap { items[$0]?.message.seq })
        let all = items[head...].compactMap(\.self) + new.map { Item(message: $0, since: now) }
        items = ContiguousArray(all.sorted { $0.message.seq < $1.message.seq }.map(Optional.some))
        (places, head, gone) = ([:], 0, 0)
        for (place, item) in items.enumerated() {
            guard let message = item?.message, newest.contains(message.seq) else { continue }
            places[message.topic] = place
        }
        bytes += new.reduce(0) { $0 + $1.weight }
    }

    /// The numbers of all held messages.
    var seqs: Set<UInt64> { Set(items[head...].lazy.compactMap { $0?.message.seq }) }

    mutating func removeOldest() -> Message? {
        guard let item = oldest else { return nil }
        items[head] = nil
        bytes -= item.message.weight
        skipGone()
        return item.message
    }

    /// Takes the messages up to `seq`.
    mutating func take(upTo seq: UInt64) -> [Message] {
        var taken: [Message] = []
        while let item = oldest, item.message.seq <= seq {
            taken.append(item.message)
            items[head] = nil
            bytes -= item.message.weight
            skipGone()
        }
        return taken
    }

    /// Removes the messages that do not satisfy `isWanted`.
    mutating func keep(where isWanted: (Message) -> Bool) {
        for index in head..<items.count {
            guard let message = items[index]?.message, !isWanted(message) else { continue }
            items[index] = nil
            bytes -= message.weight
            gone += 1
        }
        skipGone()
    }

    mutating func removeAll() { self = HeldMessages() }

    private mutating func skipGone() {
        while head < items.count, items[head] == nil { head += 1 }
        if head == items.count {
            self = HeldMessages()
        } else if head > 64, head * 2 > items.count {
            pack()
        }
    }

    /// Frees the places of removed messages.
    private mutating func pack() {
        var packed: ContiguousArray<Item?> = []
        var moved: [Topic: Int] = [:]
        for place in head..<items.count {
            guard let item = items[place] else { continue }
            if places[item.message.topic] == place { moved[item.message.topic] = packed.count }
            packed.append(item)
        }
        (items, places, head, gone) = (packed, moved, 0, 0)
    }
}
