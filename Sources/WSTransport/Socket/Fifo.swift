/// A queue: first in, first out.
struct Fifo<Element> {
    private var elements: [Element?] = []
    /// The items before it have been removed.
    private var first = 0

    var isEmpty: Bool { first == elements.count }

    var count: Int { elements.count - first }

    mutating func append(_ element: Element) { elements.append(element) }

    /// Inserts `others`, in order, before all.
    mutating func prepend(_ others: Fifo) {
        elements.replaceSubrange(..<first, with: others.elements[others.first...])
        first = 0
    }

    mutating func popFirst() -> Element? {
        guard first < elements.count else { return nil }
        let element = elements[first]
        elements[first] = nil
        first += 1
        if first == elements.count || first >= 1024 {
            elements.removeFirst(first)
            first = 0
        }
        return element
    }
}
