internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl clients …`: who is connected.
struct ClientsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clients",
        abstract: "Lists, shows and disconnects clients.",
        discussion: """
            Examples:
              brokerctl clients
              brokerctl clients --filter 'sensors/#' --json
              brokerctl clients show eb1nqsfim875
              brokerctl clients kick eb1nqsfim875
            """,
        subcommands: [ListClients.self, ShowClient.self, KickClients.self],
        defaultSubcommand: ListClients.self)

    @OptionGroup var connection: ConnectionOptions
}

/// `brokerctl clients [list]`.
struct ListClients: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the clients.",
        discussion: """
            Example:
              brokerctl clients list --filter 'sensors/#'
            """)

    @OptionGroup var connection: ConnectionOptions

    @Option(help: "Only those with a subscription that shares a topic with this filter.")
    var filter: String?

    func run() async throws {
        let reply = try await AdminReply.ask(connection, "clients") { writer in
            if let filter { writer.member("filter", filter) }
        }
        if connection.json { return try reply.print() }
        let now = WallClock.unixMilliseconds
        let columns: [TextTable.Column] = [
            "ID", "USER", "ADDRESS", "PROTOCOL", .right("CONNECTED"), .right("SUBSCRIPTIONS"), .right("PENDING"),
            .right("IN KERNEL"), .right("ROUND TRIP"),
        ]
        try reply.printTable(columns) { (client) throws(JSONError) in try Self.cells(client, now) }
    }

    static func cells(_ client: borrowing JSONObject, _ now: Int64) throws(JSONError) -> [String] {
        let connected = try client.integer("connectedAt", as: Int64.self) ?? now
        return [
            try client.string("id") ?? "-",
            try client.string("user") ?? "-",
            try client.string("address") ?? "-",
            try client.string("protocol") ?? "-",
            Quantity.span(seconds: Int((now - max(0, connected)) / 1000)),
            String(try client.integer("subscriptions", as: Int.self) ?? 0),
            Quantity.size(try client.integer("pendingBytes", as: Int.self) ?? 0),
            Quantity.size(try client.integer("kernelBytes", as: Int.self) ?? 0),
            try client.double("roundTripMilliseconds").map { "\(Quantity.fixed($0)) ms" } ?? "-",
        ]
    }
}

/// `brokerctl clients show ID`.
struct ShowClient: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Shows one client with its subscriptions.",
        discussion: """
            Example:
              brokerctl clients show eb1nqsfim875
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The client's id, as listed.")
    var id: String

    func run() async throws {
        let reply = try await AdminReply.ask(connection, "client") { $0.member("client", id) }
        if connection.json { return try reply.print() }
        let names = [
            "id", "user", "address", "protocol", "connected", "subscriptions", "pending", "in kernel", "round trip",
        ]
        let (cells, filters) = try reply.read { (client) throws(JSONError) in
            (try ListClients.cells(client, WallClock.unixMilliseconds), try client.strings("filters") ?? [])
        }
        for (name, cell) in zip(names, cells) {
            Output.print(name + String(repeating: " ", count: 15 - name.count) + Output.printable(cell))
        }
        for filter in filters { Output.print("filter         " + Output.printable(filter)) }
    }
}

/// `brokerctl clients kick …`.
struct KickClients: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kick",
        abstract: "Disconnects clients (close code 4410).",
        discussion: """
            Examples:
              brokerctl clients kick eb1nqsfim875
              brokerctl clients kick --filter 'sensors/#'
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The client's id, as listed.")
    var id: String?

    @Option(help: "All connections of this user.")
    var user: String?

    @Option(help: "All clients with a subscription that lies inside this filter; one to # lies inside no other.")
    var filter: String?

    @OptionGroup var consent: Consent

    func validate() throws {
        guard [id, user, filter].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("kick: expected one of ID, --user and --filter")
        }
    }

    func run() async throws {
        let chosen = id.map { "client \($0)" } ?? user.map { "all connections of user \($0)" }
        try consent.ask("Disconnect \(chosen ?? "all clients with a subscription inside \(filter ?? "")")?")
        let reply = try await AdminReply.ask(connection, "kick") { writer in
            if let id { writer.member("client", id) }
            if let user { writer.member("user", user) }
            if let filter { writer.member("filter", filter) }
        }
        if connection.json { return try reply.print() }
        let kicked = try reply.read { (result) throws(JSONError) in try result.integer("kicked", as: Int.self) ?? 0 }
        Output.print("disconnected: \(kicked)")
    }
}
