internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl topics [FILTER]`: topics that are subscribed to by name or have a retained value.
struct TopicsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topics",
        abstract: "Lists the topics that are subscribed to or have a retained value.",
        discussion: """
            Publications are counted for a second, or as long as --seconds says; with 0 they are not.

            Examples:
              brokerctl topics 'sensors/#'
              brokerctl topics --seconds 10 --json
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "Only topics that this filter matches.")
    var filter: String?

    @Option(help: ArgumentHelp("How long publications are counted, 0 to 60.", valueName: "seconds"))
    var seconds = 1.0

    func validate() throws {
        guard (0...60).contains(seconds) else { throw ValidationError("--seconds: expected 0 to 60") }
    }

    func run() async throws {
        let reply = try await AdminReply.ask(connection, "topics") { writer in
            if let filter { writer.member("filter", filter) }
            writer.member("seconds", seconds)
        }
        if connection.json { return try reply.print() }
        let now = WallClock.unixMilliseconds
        let columns: [TextTable.Column] = [
            "TOPIC", .right("SUBSCRIPTIONS"), "RETAINED", .right("SIZE"), .right("SEQ"), .right("AGE"),
            .right("MESSAGES/S"), .right("BYTES/S"),
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
                try topic.double("messagesPerSecond").map(Quantity.fixed) ?? "-",
                try topic.double("bytesPerSecond").map { Quantity.size(Int($0)) } ?? "-",
            ]
        }
    }
}
