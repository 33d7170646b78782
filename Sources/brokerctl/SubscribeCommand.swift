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
            Each line is TOPIC DATA, with binary data as base64:…; with --json it is a JSON object, with --raw the payload \
            alone. On a terminal the time comes first, in colours (unless NO_COLOR is set). If the connection breaks, it \
            reconnects, continues after the last message, and reports messages that the history no longer has. Ctrl-C \
            ends it.

            --format has the fields {topic} {data} {seq} {time} {type} {retained}, and \\n, \\t and {{ for a brace.

            --exec runs a shell command for each message, one at a time, with the payload as standard input (with \
            --json, the JSON object) and $TOPIC, $SEQ, $TIME, $TYPE and $RETAINED. If a command fails, this is reported, \
            and the exit status at the end is 1.

            Examples:
              brokerctl sub 'sensors/+/temp'
              brokerctl sub 'sensors/#' --no-snapshot --count 10 --json
              brokerctl sub 'chat/#' --since 812
              brokerctl sub 'chat/#' --since -50
              brokerctl sub 'sensors/#' --format '{time}\\t{topic}\\t{data}' --slow latest
              brokerctl sub sensors/1/temp --raw --count 1
              brokerctl sub 'camera/+' --exec 'cat > "$SEQ.png"'
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @OptionGroup var feed: FeedOptions

    @Option(
        help: ArgumentHelp(
            "What happens if this program is too slow: close, drop-oldest or latest.", valueName: "policy"))
    var slow: String?

    @Option(help: ArgumentHelp("Print each message in this format.", valueName: "text"))
    var format: String?

    @Option(help: ArgumentHelp("Run this shell command for each message.", valueName: "command"))
    var exec: String?

    @Flag(help: "Print only the payloads, byte for byte, each followed by a newline.")
    var raw = false

    func validate() throws {
        if let slow, SlowPolicy(rawValue: slow) == nil {
            let known = SlowPolicy.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--slow: expected one of \(known)")
        }
        guard format == nil || exec == nil, format == nil || !connection.json else {
            throw ValidationError("--format cannot be combined with --exec or --json")
        }
        guard !raw || format == nil && exec == nil && !connection.json else {
            throw ValidationError("--raw cannot be combined with --format, --exec or --json")
        }
    }

    func run() async throws {
        // Write whole lines at once, so that the program can end between any two.
        _ = signal(SIGINT) { _ in _exit(0) }
        let format = try format.map { (text) throws(Failure) in try MessageFormat(parsing: text) }
        Output.endWithReader()
        var messages = try await feed.feed(connection, slow: slow.flatMap(SlowPolicy.init(rawValue:)))
        let isTerminal = Output.isTerminal
        let terminal = TerminalMessage()
        var (left, failed) = (feed.count ?? .max, 0)
        while left > 0 {
            switch try await messages.next() {
            case .message(let message):
                left -= 1
                if let exec {
                    if try !execute(exec, message) { failed += 1 }
                } else if connection.json {
                    Output.printJSON(message.json)
                } else if let format {
                    let line = format.line(message)
                    // Line ends of the format are kept; those of a payload are escaped.
                    Output.print(
                        isTerminal ? Array(Output.printable(String(decoding: line, as: UTF8.self)).utf8) : line)
                } else if raw {
                    Output.print(isTerminal ? message.printablePayload : message.payload)
                } else if isTerminal {
                    Output.print(terminal.line(message))
                } else {
                    Output.print(message.line)
                }
            case .gap(let filter, let missed):
                let count = missed.map { "\($0) messages" } ?? "messages"
                Output.complain("\(count) of \(filter) are missing")
            }
        }
        await messages.close()
        if failed > 0 { throw Failure.failed("--exec: \(failed) of \(feed.count ?? 0) commands failed") }
    }

    /// Runs a command for a message; returns whether it succeeded.
    private func execute(_ command: String, _ message: TopicMessage) throws(Failure) -> Bool {
        let status = try ShellCommand.run(
            command,
            [
                ("TOPIC", message.topic), ("SEQ", message.seq.map { String($0) } ?? ""),
                ("TIME", message.time.map { String($0) } ?? ""), ("TYPE", message.type ?? ""),
                ("RETAINED", message.isRetained ? "1" : ""),
            ], input: connection.json ? message.json : message.payload)
        if status != 0 { Output.complain("--exec: exit status \(status) for \(message.topic)") }
        return status == 0
    }
}
