internal import Synchronization

/// Letters from other threads to one reactor, taken in the order they were posted.
package final class Mailbox<Letter: Sendable>: Sendable {
    private let pending = Mutex<[Letter]>([])
    private let isOccupied = Atomic<Bool>(false)
    private let wakeup: @Sendable () -> Void

    /// - Parameter wakeup: called on the poster's thread when the mailbox stops being empty.
    package init(wakeup: @escaping @Sendable () -> Void) { self.wakeup = wakeup }

    /// Adds a letter.
    ///
    /// Any thread.
    ///
    /// - Parameter waking: `false` where the poster is the reactor itself and drains the mailbox in this very turn.
    package func post(_ letter: Letter, waking: Bool = true) {
        let wasEmpty = pending.withLock { letters in
            letters.append(letter)
            isOccupied.store(true, ordering: .releasing)
            return letters.count == 1
        }
        if wasEmpty, waking { wakeup() }
    }

    /// Takes everything posted so far; costs one load when that is nothing.
    package func drain() -> [Letter] {
        guard isOccupied.load(ordering: .acquiring) else { return [] }
        return pending.withLock { letters in
            isOccupied.store(false, ordering: .relaxed)
            defer { letters = [] }
            return letters
        }
    }
}
