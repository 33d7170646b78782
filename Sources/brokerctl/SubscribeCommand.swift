internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc

/// `brokerctl sub FILTER`.
struct SubscribeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sub",
        abstract: "Prints messages as they come, the retained values first.",
        discussion: """
            A line is TOPIC DATA, bytes as base64:…; with --json it is one JSON object. Interrupt it to end it.

            Examples:
              brokerctl sub 'sensors/+/temp'
              brokerctl sub 'sensors/#' --no-snapshot --count 10 --json
              brokerctl sub 'chat/#' --since 812
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The filter, with + and # as wildcards.")
    var filter: String

    @Option(help: "End after so many messages, retained ones among them.")
    var count: Int?

    @Flag(name: .customLong("no-snapshot"), help: "Without the retained values.")
    var skipsSnapshot = false

    @Option(help: ArgumentHelp("First what came after this number, or EPOCH-SEQ, and is kept.", valueName: "seq"))
    var since: String?

    func validate() throws {
        guard since.map({ ResumePoint($0) != nil }) ?? true else {
            throw ValidationError("--since: expected SEQ or EPOCH-SEQ")
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
