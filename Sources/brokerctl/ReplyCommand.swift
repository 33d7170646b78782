internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc

/// `brokerctl reply FILTER --exec COMMAND`.
struct ReplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reply",
        abstract: "Answers requests with the output of a shell command.",
        discussion: """
            The command gets the payload of the request as standard input (with --json, the JSON object), and $TOPIC \
            and $TYPE. What it prints is the reply, as text if it is UTF-8, otherwise as binary data. Requests are \
            answered one at a time. If a command fails, this is reported, its request gets no reply, and the exit status \
            at the end is 1. Messages that ask for no reply are ignored. Ctrl-C ends it.

            Examples:
              brokerctl reply sums --exec 'jq add' --type application/json
              brokerctl reply 'images/+' --exec 'convert - -resize 64x64 png:-' --type image/png
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The filter, with + and # as wildcards.")
    var filter: String

    @Option(help: ArgumentHelp("The command.", valueName: "command"))
    var exec: String

    @Option(help: ArgumentHelp("The content type of the replies.", valueName: "type"))
    var type: String?

    @Option(help: "End after this many requests.")
    var count: Int?

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count: expected 1 or more") }
    }

    func run() async throws {
        // The program can end between any two requests.
        _ = signal(SIGINT) { _ in _exit(0) }
        Output.endWithReader()
        var client = try await MessageClient(connection)
        try await client.send(subscription())
        var (left, failed) = (count ?? .max, 0)
        while left > 0 {
            switch try await client.next() {
            case .message(let request):
                guard let replyTo = request.replyTo, !request.isRetained else { continue }
                left -= 1
                let (status, output) = try ShellCommand.output(
                    exec, [("TOPIC", request.topic), ("TYPE", request.type ?? "")],
                    input: connection.json ? request.json : request.payload, atMost: client.maximumMessage)
                guard status == 0 else {
                    failed += 1
                    Output.complain("--exec: exit status \(status) for \(request.topic)")
                    continue
                }
                try await client.send(reply(to: replyTo, output, request.correlation))
            case .error(_, let reason):
                // The broker refuses a late reply, because no client waits for it any more.
                throw Failure.failed(reason)
            case .revoked(let reason): throw Failure.failed("the subscription has ended: \(reason)")
            default: continue
            }
        }
        // When the broker has answered the CLOSE, everything sent has arrived.
        await client.close()
        if failed > 0 { throw Failure.failed("--exec: \(failed) of \(count ?? 0) commands failed") }
    }

    private func subscription() -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("op", "subscribe")
        writer.member("id", 1)
        writer.member("filter", filter)
        writer.member("snapshot", false)
        writer.endObject()
        return writer.bytes
    }

    private func reply(to topic: String, _ bytes: [UInt8], _ correlation: [UInt8]?) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("op", "publish")
        writer.member("topic", topic)
        let isText = String(validating: bytes, as: UTF8.self) != nil
        let payload: Payload =
            switch type.map({ ContentType.kind(of: bytes, type: $0) }) ?? (isText ? .text : .binary) {
            case .text: .text(bytes)
            // A string would lose its quotation marks.
            case .json where bytes.first == UInt8(ascii: "\""): .text(bytes)
            case .json: .json(Self.trimmed(bytes))
            case .binary: .binary(bytes)
            }
        payload.write(to: &writer)
        if let type { writer.member("type", type) }
        if let correlation { writer.member("correlation", raw: correlation.span) }
        writer.endObject()
        return writer.bytes
    }

    /// JSON without the line end that most commands print after it.
    private static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
        Array(bytes.reversed().drop { $0 <= 0x20 }.reversed())
    }
}
