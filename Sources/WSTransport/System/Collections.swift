/// A queue: first in, first out.
///
/// Inlinable, so that it is specialised for each kind of element: otherwise each call looks up the metadata of the
/// element's optional.
@usableFromInline package struct Fifo<Element> {
    @usableFromInline var elements: [Element?] = []
    /// The elements before this index have been removed.
    @usableFromInline var front = 0

    /// Makes an empty queue.
    @inlinable package init() {}

    @inlinable package var isEmpty: Bool { front == elements.count }

    @inlinable package var count: Int { elements.count - front }

    /// The oldest element; `nil` if there is none.
    @inlinable package var first: Element? { front < elements.count ? elements[front] : nil }

    /// The element with this many before it; `nil` if there are not so many.
    @inlinable package subscript(place: Int) -> Element? {
        place >= 0 && place < count ? elements[front + place] : nil
    }

    /// Changes the newest element, if there is one.
    @inlinable package mutating func changeLast(_ body: (inout Element) -> Void) {
        guard var element = elements.last.flatMap({ $0 }), !isEmpty else { return }
        elements[elements.count - 1] = nil
        body(&element)
        elements[elements.count - 1] = element
    }

    @inlinable package mutating func append(_ element: Element) { elements.append(element) }

    /// Inserts `others`, in order, before all elements.
    mutating func prepend(_ others: Fifo) {
        elements.replaceSubrange(..<front, with: others.elements[others.front...])
        front = 0
    }

    /// Removes and returns the oldest element that satisfies `isWanted`; `nil` if there is none.
    mutating func removeFirst(where isWanted: (Element) -> Bool) -> Element? {
        guard let index = elements[front...].firstIndex(where: { $0.map(isWanted) ?? false }) else { return nil }
        return elements.remove(at: index)
    }

    /// Removes and returns the oldest element; `nil` if there is none.
    @inlinable package mutating func popFirst() -> Element? {
        guard front < elements.count else { return nil }
        // Moved out, not copied: that would count references.
        let element = elements[front].take()
        front += 1
        // Not before half of the memory is free: moving the others costs no more than removing these has.
        if front == elements.count {
            // Costs a third of removing them together, which asks for their type.
            while !elements.isEmpty { elements.removeLast() }
            front = 0
        } else if front >= 1024 && front >= elements.count / 2 {
            elements.removeFirst(front)
            front = 0
        }
        return element
    }
}

extension Fifo: Sendable where Element: Sendable {}

extension Array {
    /// Removes all elements, and keeps the memory; costs less than `removeAll(keepingCapacity:)` if there are few.
    mutating func empty() {
        guard count <= 8 else { return removeAll(keepingCapacity: true) }
        while !isEmpty { removeLast() }
    }
}

extension RandomAccessCollection where Index == Int {
    /// The index of the first element that satisfies `isAfter`, by binary search: all later ones satisfy it too.
    @inlinable package func partitionPoint(_ isAfter: (Element) -> Bool) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
