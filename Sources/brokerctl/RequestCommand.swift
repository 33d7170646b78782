internal import ArgumentParser
internal import Broker

/// `brokerctl request TOPIC [DATA|-]`.
struct RequestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "request",
        abstract: "Publishes a request, and prints the reply.",
        discussion: """
            Prints the payload of the reply unchanged or, with --json, the whole reply as one object. If no reply comes \
            in time, the exit status is 1.

            Examples:
              brokerctl request sums '[1,2]' --type application/json
              brokerctl request images/next - --binary --timeout 30 < picture.png > answer.png
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var options: PayloadOptions

    @Argument(help: "The topic.", completion: CompleteCommand.words(.topics))
    var topic: String

    @Argument(help: "The request; - reads it from standard input.")
    var data: String?

    @Option(
        help: ArgumentHelp(
            "How long to wait for the reply: a number of seconds, or a time such as 500ms. (default: 10 s)",
            valueName: "time")
    )
    var timeout: TimeSpan?

    func validate() throws {
        if let timeout = timeout?.seconds, !(timeout > 0 && timeout <= 300) {
            throw ValidationError("--timeout: expected seconds above 0 and up to 300")
        }
    }

    func run() async throws {
        var client = try await MessageClient(connection)
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("op", "publish")
        writer.member("id", 1)
        writer.member("topic", topic)
        try options.read(data, maximum: client.maximumMessage).write(to: &writer)
        options.write(to: &writer)
        writer.member("reply", true)
        if let timeout { writer.member("timeout", timeout.seconds) }
        writer.endObject()
        try await client.send(writer.bytes)
        while true {
            switch try await client.next() {
            case .reply(_, let message):
                await client.close()
                if connection.json {
                    Output.printJSON(message.json)
                } else {
                    let text = String(decoding: message.payload, as: UTF8.self)
                    Output.print(Output.isTerminal ? Array(Output.printable(text).utf8) : message.payload)
                }
                return
            case .error(_, let reason): throw Failure.failed(reason)
            default: continue
            }
        }
    }
}
