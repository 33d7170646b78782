/// What a session is to be shown before its subscriptions are live, in the order in which it asked.
///
/// One is found by its subscription's number, so that replacing a subscription costs the same however many wait.
struct BeginningQueue {
    /// Those that were replaced have left a gap.
    private var items: [Beginning?] = []
    /// Where the first one is, if there is any.
    private var head: UInt32 = 0
    /// How many are no gaps.
    private var left: UInt32 = 0
    /// Where each is, by the number of its subscription; empty until one is looked for that is not the oldest, as most
    /// queues end before that.
    private var places: [UInt32: Int] = [:]

    var isEmpty: Bool { left == 0 }

    /// How many there are.
    var count: Int { Int(left) }

    /// How many places they take, gaps among them.
    var room: Int { items.count }

    /// The oldest; `nil` where there is none.
    var first: Beginning? { isEmpty ? nil : items[Int(head)] }

    /// The number of the oldest, which costs less than all of it; `nil` where there is none.
    var firstNumber: UInt32? { isEmpty ? nil : items[Int(head)]?.number }

    /// Adds one, whose subscription must not have another here.
    mutating func append(_ beginning: Beginning) {
        if !places.isEmpty { places[beginning.number] = items.count }
        items.append(beginning)
        left += 1
    }

    /// Keeps what has become of the first.
    mutating func replaceFirst(with beginning: Beginning) { items[Int(head)] = beginning }

    /// Removes the oldest, of which there has to be one.
    mutating func removeFirst() {
        guard let number = firstNumber else { return }
        if !places.isEmpty { places[number] = nil }
        clear(Int(head))
    }

    /// Removes that of a subscription, if it has one; what it holds of the store is given back now.
    mutating func remove(of number: UInt32) {
        guard let first = firstNumber else { return }
        if number == first { return removeFirst() }
        if places.isEmpty { note() }
        if let place = places.removeValue(forKey: number) { clear(place) }
    }

    private mutating func clear(_ place: Int) {
        items[place] = nil
        left -= 1
        if isEmpty { return self = BeginningQueue() }
        while items[Int(head)] == nil { head += 1 }
        guard items.count >= 64, count * 2 <= items.count else { return }
        items = items.filter { $0 != nil }
        head = 0
        if !places.isEmpty { note() }
    }

    /// Takes note of where each is.
    private mutating func note() {
        for (place, beginning) in items.enumerated() {
            if let beginning { places[beginning.number] = place }
        }
    }
}
