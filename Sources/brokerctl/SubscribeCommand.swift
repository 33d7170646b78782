internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc

/// `brokerctl sub FILTER`.
struct SubscribeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sub",
        abstract: "Prints messages as they arrive, retained values first.",
        discussion: """
            Each line is TOPIC DATA, with bytes as base64:…, or one JSON object with --json. Ctrl-C ends it.

            Examples:
              brokerctl sub 'sensors/+/temp'
              brokerctl sub 'sensors/#' --no-snapshot --count 10 --json
              brokerctl sub 'chat/#' --since 812
              brokerctl sub 'chat/#' --since -50
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The filter, with + and # as wildcards.")
    var filter: String

    @Option(help: "End after this many messages, including retained values.")
    var count: Int?

    @Flag(name: .customLong("no-snapshot"), help: "Leave out the retained values.")
    var skipsSnapshot = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "First what is kept after a number (or EPOCH-SEQ), the last N of each topic (-N), of the last 10m, or all.",
            valueName: "seq|-n|10m|all|latest"))
    var since: String?

    func validate() throws {
        if let since {
            var options = SubscribeOptions()
            guard options.setSince(since) else {
                throw ValidationError("--since: \(SubscribeOptions.sinceExpectation)")
            }
        }
        if let count, count < 1 { throw ValidationError("--count: expected 1 or more") }
    }

    func run() async throws {
        // Write whole lines at once, so that the program can end between any two.
        _ = signal(SIGINT) { _ in _exit(0) }
        Output.endWithReader()
        var client = try await MessageClient(connection)
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("op", "subscribe")
        writer.member("id", 1)
        writer.member("filter", filter)
        if skipsSnapshot { writer.member("snapshot", false) }
        if let since { writer.member("since", since) }
        writer.endObject()
        try await client.send(writer.bytes)
        let isTerminal = Output.isTerminal
        var left = count ?? .max
        while left > 0 {
            switch try await client.next() {
            case .message(let message):
                if connection.json {
                    Output.printJSON(message.json)
                } else {
                    Output.print(message.line(forTerminal: isTerminal))
                }
                left -= 1
            case .gap(let filter, let missed):
                let count = missed.map { "\($0) messages" } ?? "messages"
                Output.complain("\(count) of \(Output.printable(filter)) are missing")
            case .error(let reason): throw Failure.failed(reason)
            case .welcome, .ok, .other: continue
            }
        }
        await client.close()
    }
}
