internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl topics [FILTER]`: topics that have a subscription by name or a retained value.
struct TopicsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topics",
        abstract: "Lists topics that have a subscription or a retained value.",
        discussion: """
            Publications are counted for one second, or for --seconds; 0 does not count them.

            Examples:
              brokerctl topics 'sensors/#'
              brokerctl topics --seconds 10 --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "Only topics that match this filter.")
    var filter: String?

    @Option(help: ArgumentHelp("How long to count publications, 0 to 60.", valueName: "seconds"))
    var seconds = 1.0

    @Option(
        help: ArgumentHelp(
            "Only topics that this broker of a cluster knows, given by name or number.", valueName: "name"))
    var node: String?

    func validate() throws {
        guard (0...60).contains(seconds) else { throw ValidationError("--seconds: expected 0 to 60") }
    }

    func run() async throws {
        var request = TopicsRequest(filter: filter, seconds: seconds)
        request.node = node
        let result = try await connection.ask(request)
        if connection.json { return try result.printList() }
        let now = WallClock.unixMilliseconds
        let columns: [TextTable.Column] = [
            "TOPIC", .right("SUBSCRIPTIONS"), "RETAINED", .right("SIZE"), .right("SEQ"), .right("AGE"),
            .right("MESSAGES/S"), .right("BYTES/S"),
        ]
        try result.printTable(columns) { topic in
            [
                topic.topic,
                String(topic.subscriptions),
                topic.retained == nil ? "no" : "yes",
                topic.retained?.bytes.map(Quantity.size) ?? "-",
                topic.retained?.seq.map { String($0) } ?? "-",
                topic.retained?.time.map { Quantity.span(seconds: Int((now - max(0, $0)) / 1000)) } ?? "-",
                topic.rate.map { Quantity.fixed($0.messagesPerSecond) } ?? "-",
                topic.rate.map { Quantity.size(Int($0.bytesPerSecond)) } ?? "-",
            ]
        }
    }
}

/// `brokerctl subscriptions [FILTER]`.
struct SubscriptionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscriptions",
        abstract: "Lists the filters in use, with the number of clients for each.",
        discussion: """
            Example:
              brokerctl subscriptions 'sensors/#'
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "Only filters covered by this one.")
    var filter: String?

    func run() async throws {
        let result = try await connection.ask(SubscriptionsRequest(filter: filter))
        if connection.json { return try result.printList() }
        try result.printTable(["FILTER", .right("CLIENTS")]) { [$0.filter, String($0.clients)] }
    }
}
