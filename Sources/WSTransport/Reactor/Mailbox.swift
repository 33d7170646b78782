public import Synchronization

/// Elements from other threads to one reactor, taken in the order they were posted.
///
/// Inlinable, so that the array is specialised for a known kind of element: otherwise a turn with one publication would
/// spend a tenth of its instructions on dispatch.
@usableFromInline package final class Mailbox<Element: Sendable>: Sendable {
    @usableFromInline struct Pending {
        @usableFromInline var elements: [Element] = []
        @usableFromInline var isClosed = false
        /// Whether the reactor will look without being woken.
        @usableFromInline var isAwake = false
        /// Whether elements that are not urgent may wait until the reactor runs anyway.
        @usableFromInline var isPatient = false

        init() {}
    }

    @usableFromInline let pending = Mutex(Pending())
    @usableFromInline let isOccupied = Atomic<Bool>(false)
    @usableFromInline let wakeup: @Sendable () -> Void

    /// - Parameter wakeup: called on the poster's thread when there is something to take and the reactor may be waiting.
    package init(wakeup: @escaping @Sendable () -> Void) { self.wakeup = wakeup }

    /// Adds an element.
    ///
    /// Any thread.
    ///
    /// - Parameters:
    ///   - waking: `false` if the caller is the reactor itself and drains the mailbox in this turn.
    ///   - isUrgent: `false` if it may wait while ``isPatient`` is set.
    /// - Returns: `false` if the mailbox is closed, so that the element is never read.
    @inlinable @discardableResult
    package func post(_ element: Element, waking: Bool = true, isUrgent: Bool = true) -> Bool {
        let (isTaken, mustWake) = put(element, isUrgent: isUrgent)
        if mustWake, waking { wakeup() }
        return isTaken
    }

    /// Adds an element without waking the reactor.
    ///
    /// Any thread.
    ///
    /// - Parameter isUrgent: `false` if it may wait while ``isPatient`` is set.
    /// - Returns: whether the element was taken, and whether the caller must wake the reactor, because nobody has since
    ///   the mailbox was empty.
    @inlinable package func put(_ element: Element, isUrgent: Bool = true) -> (isTaken: Bool, mustWake: Bool) {
        pending.withLock { pending in
            guard !pending.isClosed else { return (false, false) }
            pending.elements.append(element)
            isOccupied.store(true, ordering: .releasing)
            guard !pending.isAwake, isUrgent || !pending.isPatient else { return (true, false) }
            pending.isAwake = true
            return (true, true)
        }
    }

    /// Whether elements that are not urgent may wait until the reactor runs anyway.
    ///
    /// After a change to `false` the reactor must drain the mailbox once more.
    package var isPatient: Bool {
        get { pending.withLock { $0.isPatient } }
        set { pending.withLock { $0.isPatient = newValue } }
    }

    /// Whether there are elements to take.
    var hasElements: Bool { isOccupied.load(ordering: .acquiring) }

    /// Takes all elements; costs one load if there are none.
    @inlinable package func drain() -> [Element] {
        guard isOccupied.load(ordering: .acquiring) else { return [] }
        return pending.withLock { pending in
            isOccupied.store(false, ordering: .relaxed)
            pending.isAwake = false
            defer { pending.elements = [] }
            return pending.elements
        }
    }

    /// Takes all elements into an array, whose memory is reused for the next elements if the mailbox has none now.
    @inlinable package func drain(into elements: inout [Element]) {
        guard isOccupied.load(ordering: .acquiring) else { return }
        guard elements.isEmpty else { return elements.append(contentsOf: drain()) }
        pending.withLock { pending in
            isOccupied.store(false, ordering: .relaxed)
            pending.isAwake = false
            swap(&pending.elements, &elements)
        }
    }

    /// Closes the mailbox; returns the remaining elements.
    func close() -> [Element] {
        pending.withLock { pending in
            pending.isClosed = true
            isOccupied.store(false, ordering: .relaxed)
            defer { pending.elements = [] }
            return pending.elements
        }
    }
}
