internal import Synchronization

/// What an administrator should read, from threads that must not wait for a log: kept until the log's own thread takes it.
///
/// Any thread. Each matter is told once, and there are at most ``maximumMatters`` of each ``Side``: what clients can
/// bring about again and again fills neither memory nor log, and leaves room for the broker's own news. Counters tell
/// how often.
package final class Journal: Sendable {
    /// How urgent a line is.
    package enum Level: Sendable { case error, warning, info }

    /// What brings a matter about; each has room of its own.
    package enum Side: Sendable { case broker, clients }

    /// One line of the log.
    package struct Entry: Sendable {
        package let level: Level
        package let message: String
        package let metadata: [(name: String, value: String)]
    }

    private struct State {
        var entries: [Entry] = []
        var matters: [Side: Set<String>] = [:]
    }

    /// How many matters of one side are told of, and how many bytes of a name from outside.
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

    /// What has come up since it was asked last.
    package func take() -> [Entry] {
        state.withLock { state in
            let entries = state.entries
            state.entries = []
            return entries
        }
    }
}
