internal import WSTransport

/// The messages held in memory for a session that is behind, because the store does not deliver them; oldest first.
///
/// A publication is held by every such session that it concerns, so holding one takes constant time.
struct HeldMessages {
    struct Item {
        let message: Message
        /// When it arrived.
        let since: MonotonicTime
        /// Whether only the newest message of its topic is wanted.
        fileprivate let isReplaced: Bool
    }

    /// A place of an item; the places form a list in the order of the messages.
    private struct Place {
        /// `nil`: the place is free.
        var item: Item?
        /// The places before and after this one in the list, or ``none``; that after a free one is free, too.
        var before: Int32
        var after: Int32
    }

    private static let none: Int32 = -1

    private var places: ContiguousArray<Place> = []
    private var first = Self.none
    private var last = Self.none
    /// The first free place.
    private var free = Self.none
    private var count: Int32 = 0
    /// The place of each topic's newest message, for topics of which only the newest is wanted.
    private var newest: [Topic: Int32] = [:]
    /// The size of the messages, in bytes.
    private(set) var bytes = 0

    var isEmpty: Bool { count == 0 }

    var oldest: Item? { isEmpty ? nil : places[Int(first)].item }

    mutating func append(_ message: Message, now: MonotonicTime) {
        _ = add(Item(message: message, since: now, isReplaced: false))
    }

    /// Appends a message of a topic of which only the newest one is wanted.
    ///
    /// - Returns: the message that it replaces, and the number of the held message before that one, or 0; `nil` if it
    ///   replaces none.
    mutating func replace(_ message: Message, now: MonotonicTime) -> (older: Message, floor: UInt64)? {
        let place = add(Item(message: message, since: now, isReplaced: true))
        guard let old = newest.updateValue(place, forKey: message.topic), let older = places[Int(old)].item else {
            return nil
        }
        let before = places[Int(old)].before
        let floor = before == Self.none ? 0 : places[Int(before)].item?.message.seq ?? 0
        clear(old)
        return (older.message, floor)
    }

    /// Inserts messages in their places; those that are held already are left out.
    mutating func insert(_ messages: [Message], now: MonotonicTime) {
        guard !messages.isEmpty else { return }
        let known = seqs
        let new = messages.filter { !known.contains($0.seq) }
        let all = items + new.map { Item(message: $0, since: now, isReplaced: false) }
        self = HeldMessages()
        for item in all.sorted(by: { $0.message.seq < $1.message.seq }) {
            let place = add(item)
            if item.isReplaced { newest[item.message.topic] = place }
        }
    }

    private var items: [Item] {
        var (items, place) = ([Item](), first)
        while place != Self.none {
            if let item = places[Int(place)].item { items.append(item) }
            place = places[Int(place)].after
        }
        return items
    }

    /// The numbers of all held messages.
    var seqs: Set<UInt64> { Set(items.lazy.map(\.message.seq)) }

    mutating func removeOldest() -> Message? {
        guard let item = oldest else { return nil }
        remove(first, item)
        return item.message
    }

    /// Takes the messages up to `seq`.
    mutating func take(upTo seq: UInt64) -> [Message] {
        var taken: [Message] = []
        while let item = oldest, item.message.seq <= seq {
            taken.append(item.message)
            remove(first, item)
        }
        return taken
    }

    /// Removes the messages that do not satisfy `isWanted`.
    mutating func keep(where isWanted: (Message) -> Bool) {
        var place = first
        while place != Self.none {
            let after = places[Int(place)].after
            if let item = places[Int(place)].item, !isWanted(item.message) { remove(place, item) }
            place = after
        }
    }

    mutating func removeAll() { self = HeldMessages() }

    // MARK: The list

    /// Appends an item; returns its place.
    private mutating func add(_ item: Item) -> Int32 {
        let place: Int32
        if free == Self.none {
            place = Int32(truncatingIfNeeded: places.count)
            places.append(Place(item: item, before: last, after: Self.none))
        } else {
            place = free
            free = places[Int(place)].after
            places[Int(place)] = Place(item: item, before: last, after: Self.none)
        }
        if last == Self.none { first = place } else { places[Int(last)].after = place }
        last = place
        count += 1
        bytes += item.message.weight
        return place
    }

    private mutating func remove(_ place: Int32, _ item: Item) {
        if item.isReplaced, newest[item.message.topic] == place { newest[item.message.topic] = nil }
        clear(place)
    }

    /// Frees a place, whose item must not be the newest of its topic.
    private mutating func clear(_ place: Int32) {
        let (before, after) = (places[Int(place)].before, places[Int(place)].after)
        if before == Self.none { first = after } else { places[Int(before)].after = after }
        if after == Self.none { last = before } else { places[Int(after)].before = before }
        bytes -= places[Int(place)].item?.message.weight ?? 0
        places[Int(place)] = Place(item: nil, before: Self.none, after: free)
        free = place
        count -= 1
        // Gives back the memory that many messages have taken.
        if isEmpty { self = HeldMessages() }
    }
}
