/// What a subscription receives before it is live: the retained values and the end marker, after everything that the
/// session was owed before.
///
/// A class, because copying a ``Snapshot`` counts several references, and this one is looked at often.
final class CatchUpStart {
    /// The number of the subscription.
    let number: UInt32
    let filter: TopicFilter
    /// The position of the subscription: later messages are not part of its snapshot.
    let seq: UInt64
    /// The retained values; `nil` if none are wanted, or all have been sent.
    var snapshot: Snapshot?
    /// The part of the history that follows the retained values; `nil` if none is wanted.
    let rewinding: Rewinding?

    init(number: UInt32, filter: TopicFilter, seq: UInt64, snapshot: Snapshot?, rewinding: Rewinding? = nil) {
        self.number = number
        self.filter = filter
        self.seq = seq
        self.snapshot = snapshot
        self.rewinding = rewinding
    }
}

/// The starts of a session's subscriptions, in the order in which the client subscribed.
///
/// Entries are found by subscription number, so replacing one costs the same however many wait.
struct CatchUpStarts {
    /// Replaced entries have left a gap.
    private var items: [CatchUpStart?] = []
    /// The index of the first entry, if there is one.
    private var head: UInt32 = 0
    /// How many entries are not gaps.
    private var left: UInt32 = 0
    /// The index of each entry, by subscription number.
    ///
    /// Built at the first search for an entry that is not the oldest, which most queues never see.
    private var places: [UInt32: Int] = [:]

    var isEmpty: Bool { left == 0 }

    /// The number of entries.
    var count: Int { Int(left) }

    /// The number of places, including gaps.
    var room: Int { items.count }

    /// The oldest entry; `nil` if there is none.
    var first: CatchUpStart? { isEmpty ? nil : items[Int(head)] }

    /// The number of the oldest entry, which costs less than the entry; `nil` if there is none.
    var firstNumber: UInt32? { isEmpty ? nil : items[Int(head)]?.number }

    /// Adds an entry; its subscription must not have another one here.
    mutating func append(_ start: CatchUpStart) {
        if !places.isEmpty { places[start.number] = items.count }
        items.append(start)
        left += 1
    }

    /// Removes the oldest entry; there must be one.
    mutating func removeFirst() {
        guard let number = firstNumber else { return }
        if !places.isEmpty { places[number] = nil }
        clear(Int(head))
    }

    /// Removes the entry of a subscription, if there is one, and releases what it holds of the store.
    mutating func remove(of number: UInt32) {
        guard let first = firstNumber else { return }
        if number == first { return removeFirst() }
        if places.isEmpty { note() }
        if let place = places.removeValue(forKey: number) { clear(place) }
    }

    private mutating func clear(_ place: Int) {
        items[place] = nil
        left -= 1
        if isEmpty { return self = CatchUpStarts() }
        while items[Int(head)] == nil { head += 1 }
        guard items.count >= 64, count * 2 <= items.count else { return }
        items = items.filter { $0 != nil }
        head = 0
        if !places.isEmpty { note() }
    }

    /// Records the index of each entry.
    private mutating func note() {
        for (place, start) in items.enumerated() {
            if let start { places[start.number] = place }
        }
    }
}

/// The messages that a client has when it resumes at a position in several logs.
///
/// Its subscription begins at one place in the broker's sequence, that of the earliest log; of the other logs, the
/// client has more.
final class ResumeParts {
    private let partitions: Partitions
    /// The newest number of each log that the client has.
    private let numbers: [UInt64]
    /// The places up to which the client has all messages of each log; rounded down.
    let places: [UInt64]

    /// The place at which the logs continued, if the client has received messages that are no longer in any log;
    /// otherwise 0.
    private(set) var undoneUpTo: UInt64 = 0
    /// The numbers of each log that were skipped there.
    private(set) var undone: Gap.Parts?

    init(_ partitions: Partitions, numbers: [UInt64], places: [UInt64]) {
        (self.partitions, self.numbers, self.places) = (partitions, numbers, places)
    }

    /// Records where logs continued: at the numbers `begun`, which are 0 for logs that skipped none, and at these
    /// places.
    func note(begun: [UInt64], at begins: [UInt64]) {
        undoneUpTo = max(1, begun.indices.map { begun[$0] > 0 ? begins[$0] : 0 }.max() ?? 0)
        undone = Gap.Parts(since: numbers, seq: zip(numbers, begun).map { max($0, $1) })
    }

    /// Whether the client has a message.
    func has(_ message: Message) -> Bool { message.number <= numbers[partitions.partition(of: message.topic)] }

    /// The place up to which the client has all messages of a topic.
    func place(of topic: Topic) -> UInt64 { places[partitions.partition(of: topic)] }
}
