/// The tasks of a reactor that run at a later time; adding and finding one takes logarithmic time.
///
/// Clients cause some of them, such as the end of the time that a request waits for its reply, so there may be a
/// million. A cancelled task leaves only its time and number, at most as many as there are tasks.
package struct TimedTasks {
    /// A task, for cancelling it.
    package struct ID: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    /// When a task runs; tasks of the same time run in the order in which they were added.
    struct Place: Comparable {
        let time: MonotonicTime
        let number: UInt64

        static func < (left: Self, right: Self) -> Bool { (left.time, left.number) < (right.time, right.number) }
    }

    /// A binary heap: no place is before that at half its index.
    private(set) var places: [Place] = []
    private var bodies: [UInt64: () -> Void] = [:]
    private var lastNumber: UInt64 = 0
    /// How many places may be those of cancelled tasks, however few tasks there are.
    private static let spared = 64

    /// How many tasks wait.
    var count: Int { bodies.count }

    /// When the next task is due, or one that was cancelled; `nil` if there is none.
    var next: MonotonicTime? { places.first?.time }

    /// Adds a task.
    mutating func add(at time: MonotonicTime, _ body: @escaping () -> Void) -> ID {
        lastNumber += 1
        bodies[lastNumber] = body
        places.append(Place(time: time, number: lastNumber))
        rise(from: places.count - 1)
        return ID(number: lastNumber)
    }

    /// Removes a task, and returns its body; `nil` if it has run or was cancelled.
    mutating func remove(_ task: ID) -> (() -> Void)? {
        guard let body = bodies.removeValue(forKey: task.number) else { return nil }
        if places.count > 2 * bodies.count + Self.spared {
            places.removeAll { bodies[$0.number] == nil }
            // A sorted list is a heap.
            places.sort()
        }
        return body
    }

    /// Removes the places of the tasks that are due, and returns these tasks in their order.
    mutating func takeDue(at now: MonotonicTime) -> [ID] {
        var due: [ID] = []
        while let first = places.first, first.time <= now {
            if bodies[first.number] != nil { due.append(ID(number: first.number)) }
            removeFirst()
        }
        return due
    }

    // MARK: The heap

    private mutating func removeFirst() {
        let last = places.removeLast()
        guard !places.isEmpty else { return }
        places[0] = last
        sink(from: 0)
    }

    private mutating func rise(from start: Int) {
        var index = start
        while index > 0, places[index] < places[(index - 1) / 2] {
            places.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func sink(from start: Int) {
        var index = start
        while true {
            var first = index
            for child in [2 * index + 1, 2 * index + 2] where child < places.count && places[child] < places[first] {
                first = child
            }
            guard first != index else { return }
            places.swapAt(index, first)
            index = first
        }
    }
}
