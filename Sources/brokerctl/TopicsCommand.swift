internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl topics [FILTER]`: topics that are subscribed to by name or have a retained value.
struct TopicsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topics",
        abstract: "Lists the topics that are subscribed to or have a retained value.",
        discussion: """
            Example:
              brokerctl topics 'sensors/#'
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "Only topics that this filter matches.")
    var filter: String?

    func run() async throws {
        let reply = try await AdminReply.ask(connection, "topics") { writer in
            if let filter { writer.member("filter", filter) }
        }
        if connection.json { return reply.print() }
        let now = WallClock.unixMilliseconds
        let columns: [TextTable.Column] = [
            "TOPIC", .right("SUBSCRIPTIONS"), "RETAINED", .right("SIZE"), .right("SEQ"), .right("AGE"),
        ]
        try reply.printTable(columns) { (topic) throws(JSONError) in
            [
                try topic.string("topic") ?? "-",
                String(try topic.integer("subscriptions", as: Int.self) ?? 0),
                try topic.bool("retained") == true ? "yes" : "no",
                try topic.integer("bytes", as: Int.self).map(Quantity.size) ?? "-",
                try topic.integer("seq", as: UInt64.self).map { String($0) } ?? "-",
                try topic.integer("time", as: Int64.self).map { Quantity.span(seconds: Int((now - max(0, $0)) / 1000)) }
                    ?? "-",
            ]
        }
    }
}
