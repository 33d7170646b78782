internal import Synchronization

/// News for the administrator from threads that must not wait for a log; kept until the log's own thread takes it.
///
/// Any thread. Each matter is told once, and each ``Side`` may have ``maximumMatters``. So what clients can cause again
/// and again fills neither memory nor log, and leaves room for the broker's own news. Counters say how often.
package final class Journal: Sendable {
    /// How urgent a line is.
    package enum Level: Sendable { case error, warning, info, debug }

    /// What causes a matter; each side has its own room.
    package enum Side: Sendable { case broker, clients }

    /// One line of the log.
    package struct Entry: Sendable {
        package let level: Level
        package let message: String
        package let metadata: [(name: String, value: String)]

        package init(level: Level, message: String, metadata: [(name: String, value: String)]) {
            self.level = level
            self.message = message
            self.metadata = metadata
        }
    }

    private struct State {
        var entries: [Entry] = []
        var matters: [Side: Set<String>] = [:]
    }

    /// How many matters of one side are told, and how many bytes of a name from a client.
    private static let maximumMatters = 100
    private static let maximumName = 200
    private let state = Mutex(State())

    package init() {}

    /// Tells of a matter the first time it comes up.
    ///
    /// - Parameter matter: the message is told once for each of these.
    package func tell(
        _ level: Level, _ message: String, once matter: String, of side: Side = .broker,
        _ metadata: [(name: String, value: String)]
    ) {
        let matter = String(matter.prefix(Self.maximumName))
        state.withLock { state in
            var matters: Set<String> { state.matters[side] ?? [] }
            guard matters.count <= Self.maximumMatters,
                state.matters[side, default: []].insert(matter).inserted
            else { return }
            guard matters.count <= Self.maximumMatters else {
                let message =
                    switch side {
                    case .broker: "too many kinds of news to log each"
                    case .clients: "too many refusals to log each; the metrics count them"
                    }
                return state.entries.append(Entry(level: level, message: message, metadata: []))
            }
            let metadata = metadata.map { (name: $0.name, value: String($0.value.prefix(Self.maximumName))) }
            state.entries.append(Entry(level: level, message: message, metadata: metadata))
        }
    }

    /// Takes what has come up since the last call.
    package func take() -> [Entry] {
        state.withLock { state in
            let entries = state.entries
            state.entries = []
            return entries
        }
    }
}
