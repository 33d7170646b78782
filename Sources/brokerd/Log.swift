internal import Broker
internal import WSTransport

/// The server's log: one line an event, on standard output, as text or as JSON.
///
/// The main thread only.
final class Log {
    var settings: Settings.Log

    init(_ settings: Settings.Log) { self.settings = settings }

    /// Writes one event.
    ///
    /// Values that are not given in `facts` do not belong in `message`.
    func write(_ level: Settings.Log.Level, _ message: String, _ facts: KeyValuePairs<String, String>) {
        guard level <= settings.level else { return }
        let time = WallClock.unixMilliseconds
        switch settings.format {
        case .text:
            var line = "\(Timestamp(unixMilliseconds: time)) \(level.rawValue) \(message)"
            for (key, value) in facts { line += " \(key)=\(Self.quoted(value))" }
            StandardStreams.writeOutput(line + "\n")
        case .json:
            var writer = JSONWriter(capacity: 160)
            writer.beginObject()
            writer.member("time", "\(Timestamp(unixMilliseconds: time))")
            writer.member("level", level.rawValue)
            writer.member("message", message)
            for (key, value) in facts { writer.member(key, value) }
            writer.endObject()
            StandardStreams.writeOutput(String(decoding: writer.bytes, as: UTF8.self) + "\n")
        }
    }

    private static func quoted(_ value: String) -> String {
        let isPlain = value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") } && !value.isEmpty
        if isPlain { return value }
        var writer = JSONWriter()
        writer.string(value)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
