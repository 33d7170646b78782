internal import Synchronization

/// Messages for the log from threads that must not block; the log's thread takes them.
///
/// Any thread. Each matter is logged once, and each ``Side`` has room for ``maximumMatters``. So repeated actions of
/// clients fill neither memory nor the log, and leave room for the broker's own messages. Counters show how often.
package final class Journal: Sendable {
    /// The level of a line.
    package enum Level: Sendable { case error, warning, info, debug }

    /// The origin of a matter; each side has its own limit.
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

    /// How many matters of one side are logged, and the maximum length of a name from a client, in bytes.
    private static let maximumMatters = 100
    private static let maximumName = 200
    private let state = Mutex(State())

    package init() {}

    /// Logs a message the first time its matter comes up.
    ///
    /// - Parameter matter: the key; a message is logged once for each.
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

    /// Removes and returns the messages since the last call.
    package func take() -> [Entry] {
        state.withLock { state in
            let entries = state.entries
            state.entries = []
            return entries
        }
    }
}
