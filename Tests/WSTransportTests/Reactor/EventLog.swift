import Foundation

/// The reports of one thread, for which another waits.
final class EventLog: Sendable {
    /// The awaited event did not come in time.
    struct Missing: Error {
        let expected: String
        let seen: [String]
    }

    private let condition = NSCondition()
    nonisolated(unsafe) private var events: [String] = []

    var all: [String] {
        condition.lock()
        defer { condition.unlock() }
        return events
    }

    func add(_ event: String) {
        condition.lock()
        events.append(event)
        condition.broadcast()
        condition.unlock()
    }

    func count(of event: String) -> Int { all.count { $0 == event } }

    /// Waits until `event` has occurred `times` times.
    func wait(for event: String, times: Int = 1) throws {
        let limit = Date(timeIntervalSinceNow: ReactorThread.patience)
        condition.lock()
        defer { condition.unlock() }
        while events.count(where: { $0 == event }) < times {
            guard condition.wait(until: limit) else { throw Missing(expected: event, seen: events) }
        }
    }
}
