internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

/// `brokerctl record FILTER`.
struct RecordCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record",
        abstract: "Writes messages with their times, for `replay`.",
        discussion: """
            Each line is a message as one JSON object; binary data is base64. Retained values come first, unless \
            --no-snapshot leaves them out. A line of its own reports missed messages. If the connection breaks, it \
            reconnects and continues after the last message. Ctrl-C ends it.

            Examples:
              brokerctl record 'sensors/#' > day.jsonl
              brokerctl record 'chat/#' --count 1000 --no-snapshot | gzip > chat.jsonl.gz
              brokerctl record 'chat/#' --since 812 > rest.jsonl
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @OptionGroup var feed: FeedOptions

    func run() async throws {
        // Lines are written at once, so that the program can end between any two.
        _ = signal(SIGINT) { _ in _exit(0) }
        Output.endWithReader()
        var messages = try await feed.feed(connection)
        var left = feed.count ?? .max
        while left > 0 {
            switch try await messages.next() {
            case .message(let message):
                Output.printJSON(message.json)
                left -= 1
            case .gap(let filter, let missed):
                Output.complain("\(missed.map { "\($0) messages" } ?? "messages") of \(filter) are missing")
                Output.print(Self.gap(missed))
            }
        }
        await messages.close()
    }

    /// The line for messages that are missing.
    private static func gap(_ missed: Int?) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("gap", true)
        if let missed { writer.member("missed", missed) }
        writer.endObject()
        return writer.bytes
    }
}
