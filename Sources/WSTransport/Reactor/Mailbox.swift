public import Synchronization

/// Elements from other threads to one reactor, taken in the order they were posted.
///
/// Inlinable, so that the array is specialised for a known kind of element: otherwise a turn with one publication would
/// spend a tenth of its instructions on dispatch.
@usableFromInline package final class Mailbox<Element: Sendable>: Sendable {
    @usableFromInline struct Pending {
        @usableFromInline var elements: [Element] = []
        @usableFromInline var isClosed = false

        init() {}
    }

    @usableFromInline let pending = Mutex(Pending())
    @usableFromInline let isOccupied = Atomic<Bool>(false)
    @usableFromInline let wakeup: @Sendable () -> Void

    /// - Parameter wakeup: called on the poster's thread when the mailbox stops being empty.
    package init(wakeup: @escaping @Sendable () -> Void) { self.wakeup = wakeup }

    /// Adds a element.
    ///
    /// Any thread.
    ///
    /// - Parameter waking: `false` where the poster is the reactor itself and drains the mailbox in this very turn.
    /// - Returns: `false` when the mailbox is closed, so that nobody will read the element.
    @inlinable @discardableResult
    package func post(_ element: Element, waking: Bool = true) -> Bool {
        let (isTaken, wasEmpty) = pending.withLock { pending in
            guard !pending.isClosed else { return (false, false) }
            pending.elements.append(element)
            isOccupied.store(true, ordering: .releasing)
            return (true, pending.elements.count == 1)
        }
        if wasEmpty, waking { wakeup() }
        return isTaken
    }

    /// Whether something was posted and not taken yet.
    var hasElements: Bool { isOccupied.load(ordering: .acquiring) }

    /// Takes everything posted so far; if there is nothing it costs one load.
    @inlinable package func drain() -> [Element] {
        guard isOccupied.load(ordering: .acquiring) else { return [] }
        return pending.withLock { pending in
            isOccupied.store(false, ordering: .relaxed)
            defer { pending.elements = [] }
            return pending.elements
        }
    }

    /// Takes everything posted so far into an array, whose memory is used for the next elements if it has none now.
    @inlinable package func drain(into elements: inout [Element]) {
        guard isOccupied.load(ordering: .acquiring) else { return }
        guard elements.isEmpty else { return elements.append(contentsOf: drain()) }
        pending.withLock { pending in
            isOccupied.store(false, ordering: .relaxed)
            swap(&pending.elements, &elements)
        }
    }

    /// Closes it; returns the last elements.
    func close() -> [Element] {
        pending.withLock { pending in
            pending.isClosed = true
            isOccupied.store(false, ordering: .relaxed)
            defer { pending.elements = [] }
            return pending.elements
        }
    }
}
