internal import ArgumentParser
internal import Broker

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
