internal import Broker
internal import Logging
internal import Synchronization

/// The log, which a reload may replace.
///
/// Any thread.
final class LogSink: Sendable {
    private let current: Mutex<Logger>

    init(_ log: Logger) { current = Mutex(log) }

    /// The logger for lines from now on.
    var log: Logger {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }

    /// Writes a line from the broker.
    func write(_ entry: Journal.Entry) {
        let level: Logger.Level =
            switch entry.level {
            case .error: .error
            case .warning: .warning
            case .info: .info
            case .debug: .debug
            }
        var metadata: Logger.Metadata = [:]
        for (name, value) in entry.metadata { metadata[name] = "\(value)" }
        log.log(level: level, "\(entry.message)", metadata: metadata)
    }
}
