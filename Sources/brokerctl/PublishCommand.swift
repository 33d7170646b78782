internal import ArgumentParser
internal import Broker

/// `brokerctl pub TOPIC [DATA|-]`.
struct PublishCommand: AsyncParsableCommand {
    /// What the broker acknowledges.
    enum Acknowledgement: String, ExpressibleByArgument, CaseIterable { case routed, stored }

    static let configuration = CommandConfiguration(
        commandName: "pub",
        abstract: "Publishes a message, and returns when the broker has acknowledged it.",
        discussion: """
            Without DATA the message is empty; an empty retained message removes the retained value.

            Examples:
              brokerctl pub sensors/1/temp 21.5
              brokerctl pub sensors/1/temp 21.5 --retain --ack stored
              brokerctl pub jobs '{"n":1}' --type application/json -H 'trace: 7f3a' -H 'origin: plant 2'
              brokerctl pub camera/1 - --binary --type image/png < picture.png
              brokerctl pub --url http://127.0.0.1:8080 chat hello
              brokerctl pub --url https://broker.example.com --ca-file ca.pem chat hello
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var options: PayloadOptions

    @Argument(help: "The topic.")
    var topic: String

    @Argument(help: "The message; - reads it from standard input.")
    var data: String?

    @Flag(name: .shortAndLong, help: "Store it as the topic's retained value.")
    var retain = false

    @Option(
        help: ArgumentHelp(
            "Wait until it is routed, or stored on disk; the default for retained messages is stored.",
            valueName: "routed|stored"))
    var ack: Acknowledgement?

    @Option(
        name: [.customShort("H"), .customLong("header")],
        help: ArgumentHelp("A header of the message; may be given several times.", valueName: "name: value"))
    var headers: [String] = []

    private func properties() throws -> MessageProperties? {
        if headers.isEmpty { return nil }
        let parts = try headers.map { header in
            guard let colon = header.firstIndex(of: ":"), colon > header.startIndex else {
                throw ValidationError("-H: expected NAME: VALUE, found \"\(header)\"")
            }
            let value = header[header.index(after: colon)...].drop { $0 == " " }
            return MessageProperties.Header(name: String(header[..<colon]), value: String(value))
        }
        do throws(Refusal) {
            return try MessageProperties(headers: parts)
        } catch {
            throw ValidationError("-H: \(error.message)")
        }
    }

    func validate() throws { _ = try properties() }

    func run() async throws {
        var client = try await MessageClient(connection)
        let payload = try options.read(data, maximum: client.maximumMessage)
        let request = try request(payload)
        // The limit applies to the payload; its JSON form may be twice as long.
        let longest = 2 * client.maximumMessage + 65_536
        guard request.count <= longest else {
            throw Failure.failed(
                "the message takes \(request.count) bytes as JSON, the broker takes \(longest) (too-large)"
            )
        }
        try await client.send(request)
        while true {
            switch try await client.next() {
            case .ok(let answer):
                await client.close()
                if connection.json { Output.printJSON(answer) }
                return
            case .error(let reason): throw Failure.failed(reason)
            default: continue
            }
        }
    }

    private func request(_ payload: Payload) throws -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("op", "publish")
        writer.member("id", 1)
        writer.member("topic", topic)
        payload.write(to: &writer)
        options.write(to: &writer)
        if retain { writer.member("retain", true) }
        if let properties = try properties() { MessageObject.write(properties, to: &writer) }
        if let ack { writer.member("ack", ack.rawValue) }
        writer.endObject()
        return writer.bytes
    }
}
