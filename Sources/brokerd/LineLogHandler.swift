internal import Broker
internal import Logging
internal import WSTransport

/// Log events as lines on standard output, as text or as JSON.
struct LineLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    private let format: Settings.Log.Format
    private let threshold: LogThreshold
    /// The logger's own level; `nil` to use that of the threshold, as it is for each line.
    private var ownLevel: Logger.Level?

    init(_ format: Settings.Log.Format, _ threshold: LogThreshold) {
        self.format = format
        self.threshold = threshold
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? Self.level(threshold.state().level) }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let time = Timestamp(unixMilliseconds: WallClock.unixMilliseconds)
        let facts = metadata.merging(event.metadata ?? [:]) { _, new in new }.sorted { $0.key < $1.key }
        switch format {
        case .text:
            var line = "\(time) \(event.level) \(event.message)"
            for (key, value) in facts { line += " \(key)=\(Self.quoted("\(value)"))" }
            StandardStreams.writeOutput(line + "\n")
        case .json:
            var writer = JSONWriter(capacity: 160)
            writer.beginObject()
            writer.member("time", "\(time)")
            writer.member("level", "\(event.level)")
            writer.member("message", "\(event.message)")
            for (key, value) in facts {
                writer.name(escaping: key)
                writer.string("\(value)")
            }
            writer.endObject()
            StandardStreams.writeOutput(String(decoding: VisibleText.json(writer.bytes), as: UTF8.self) + "\n")
        }
    }

    private static func level(_ level: Settings.Log.Level) -> Logger.Level {
        switch level {
        case .error: .error
        case .warning: .warning
        case .info: .info
        case .debug: .debug
        }
    }

    private static func quoted(_ value: String) -> String {
        let isPlain = value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") } && !value.isEmpty
        if isPlain { return value }
        var writer = JSONWriter()
        writer.string(value)
        return String(decoding: VisibleText.json(writer.bytes), as: UTF8.self)
    }

    /// Makes a logger that writes the lines that pass the threshold.
    static func logger(_ format: Settings.Log.Format, _ threshold: LogThreshold) -> Logger {
        Logger(label: "brokerd") { _ in LineLogHandler(format, threshold) }
    }
}
