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
            Each line is a message as one JSON object; bytes are base64. Retained values come first, unless \
            --no-snapshot leaves them out. Messages that were missed have a line of their own. Ctrl-C ends it.

            Examples:
              brokerctl record 'sensors/#' > day.jsonl
              brokerctl record 'chat/#' --count 1000 --no-snapshot | gzip > chat.jsonl.gz
              brokerctl record 'chat/#' --since 812 > rest.jsonl
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The filter, with + and # as wildcards.")
    var filter: String

    @Option(help: "End after this many messages, including retained values.")
    var count: Int?

    @Flag(name: .customLong("no-snapshot"), help: "Leave out the retained values.")
    var skipsSnapshot = false

    @Option(help: ArgumentHelp("First the kept messages after this number, or EPOCH-SEQ.", valueName: "seq"))
    var since: String?

    func validate() throws {
        guard since.map({ ResumePoint($0) != nil }) ?? true else {
            throw ValidationError("--since: expected SEQ or EPOCH-SEQ")
        }
        if let count, count < 1 { throw ValidationError("--count: expected 1 or more") }
    }

    func run() async throws {
        // Lines are written at once, so that the program can end between any two.
        _ = signal(SIGINT) { _ in _exit(0) }
        Output.endWithReader()
        var client = try await MessageClient(connection)
        try await client.send(request)
        var left = count ?? .max
        while left > 0 {
            switch try await client.next() {
            case .message(let message):
                Output.print(message.json)
                left -= 1
            case .gap(let filter, let missed):
                Output.complain("\(missed.map { "\($0) messages" } ?? "messages") of \(filter) are missing")
                Output.print(Self.gap(missed))
            case .error(let reason): throw Failure.failed(reason)
            case .welcome, .ok, .other: continue
            }
        }
        await client.close()
    }

    private var request: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("op", "subscribe")
        writer.member("id", 1)
        writer.member("filter", filter)
        if skipsSnapshot { writer.member("snapshot", false) }
        if let since { writer.member("since", since) }
        writer.endObject()
        return writer.bytes
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
