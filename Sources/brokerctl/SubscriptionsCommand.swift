internal import ArgumentParser
internal import Broker

/// `brokerctl subscriptions [FILTER]`.
struct SubscriptionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscriptions",
        abstract: "Lists the filters that are subscribed to, with the number of their clients.",
        discussion: """
            Example:
              brokerctl subscriptions 'sensors/#'
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "Only filters that this one covers.")
    var filter: String?

    func run() async throws {
        let reply = try await AdminReply.ask(connection, "subscriptions") { writer in
            if let filter { writer.member("filter", filter) }
        }
        if connection.json { return try reply.print() }
        try reply.printTable(["FILTER", .right("CLIENTS")]) { (row) throws(JSONError) in
            [try row.string("filter") ?? "-", String(try row.integer("clients", as: Int.self) ?? 0)]
        }
    }
}
