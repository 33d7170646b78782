/// What a session is to be shown before its subscriptions are live, in the order in which it asked.
struct BeginningQueue {
    private var items: [Beginning] = []
    /// Where the first one is; those before it are done.
    private var head = 0

    var isEmpty: Bool { head == items.count }

    /// The oldest; `nil` where there is none.
    var first: Beginning? { isEmpty ? nil : items[head] }

    mutating func append(_ beginning: Beginning) { items.append(beginning) }

    /// Keeps what has become of the first.
    mutating func replaceFirst(with beginning: Beginning) { items[head] = beginning }

    /// Removes the oldest, of which there has to be one.
    mutating func removeFirst() {
        head += 1
        if head == items.count {
            items = []
            head = 0
        } else if head >= 32, head * 2 >= items.count {
            items.removeFirst(head)
            head = 0
        } else {
            // What it holds of the store is given back now.
            items[head - 1].snapshot = nil
        }
    }

    /// Removes those of a subscription.
    mutating func removeAll(of filter: TopicFilter) {
        guard !isEmpty else { return }
        items.removeFirst(head)
        head = 0
        items.removeAll { $0.filter == filter }
    }
}
