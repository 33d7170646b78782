/// What a session is to be shown before its subscriptions are live, in the order in which it asked.
///
/// One is found by its subscription's number, so that replacing a subscription costs the same however many wait.
struct BeginningQueue {
    /// Those that were replaced have left a gap.
    private var items: [Beginning?] = []
    /// Where the first one is, if there is any.
    private var head = 0
    /// Where each is, by the number of its subscription.
    private var places: [UInt32: Int] = [:]

    var isEmpty: Bool { places.isEmpty }

    /// How many there are.
    var count: Int { places.count }

    /// How many places they take, gaps among them.
    var room: Int { items.count }

    /// The oldest; `nil` where there is none.
    var first: Beginning? { isEmpty ? nil : items[head] }

    /// Adds one, whose subscription must not have another here.
    mutating func append(_ beginning: Beginning) {
        places[beginning.number] = items.count
        items.append(beginning)
    }

    /// Keeps what has become of the first.
    mutating func replaceFirst(with beginning: Beginning) { items[head] = beginning }

    /// Removes the oldest, of which there has to be one.
    mutating func removeFirst() {
        if let number = first?.number { remove(of: number) }
    }

    /// Removes that of a subscription, if it has one; what it holds of the store is given back now.
    mutating func remove(of number: UInt32) {
        guard let place = places.removeValue(forKey: number) else { return }
        items[place] = nil
        if isEmpty { return self = BeginningQueue() }
        while items[head] == nil { head += 1 }
        guard items.count >= 64, places.count * 2 <= items.count else { return }
        items = items.filter { $0 != nil }
        head = 0
        for (place, beginning) in items.enumerated() {
            if let beginning { places[beginning.number] = place }
        }
    }
}
