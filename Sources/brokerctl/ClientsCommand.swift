internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl clients …`: lists and disconnects clients.
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

    @Option(help: "Only clients with a subscription that overlaps with this filter.")
    var filter: String?

    func run() async throws {
        let result = try await connection.ask(ClientsRequest(filter: filter))
        if connection.json { return try result.printList() }
        let now = WallClock.unixMilliseconds
        let columns: [TextTable.Column] = [
            "ID", "USER", "ADDRESS", "PROTOCOL", .right("CONNECTED"), .right("SUBSCRIPTIONS"), .right("PENDING"),
            .right("IN KERNEL"), .right("ROUND TRIP"),
        ]
        try result.printTable(columns) { Self.cells($0, now) }
    }

    static func cells(_ client: ClientSummary, _ now: Int64) -> [String] {
        [
            client.id,
            client.user ?? "-",
            client.address,
            client.protocolName,
            Quantity.span(seconds: Int((now - max(0, client.connectedAt ?? now)) / 1000)),
            String(client.subscriptions),
            Quantity.size(client.pendingBytes),
            Quantity.size(client.kernelBytes),
            client.roundTripMilliseconds.map { "\(Quantity.fixed($0)) ms" } ?? "-",
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
        let result = try await connection.ask(ClientRequest(client: id))
        if connection.json { return result.print() }
        let names = [
            "id", "user", "address", "protocol", "connected", "subscriptions", "pending", "in kernel", "round trip",
        ]
        let cells = ListClients.cells(result.answer, WallClock.unixMilliseconds)
        for (name, cell) in zip(names, cells) {
            Output.print(name + String(repeating: " ", count: 15 - name.count) + Output.printable(cell))
        }
        for filter in result.answer.filters ?? [] { Output.print("filter         " + Output.printable(filter)) }
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
              brokerctl clients kick --user bob --ban 10m --note "sends too much"

            With --ban they are kept out as well: by their users, or else by their addresses (of IPv6, the network of \
            64 bits). Clients on this machine that have no user are not banned.
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The client's id, as listed.")
    var id: String?

    @Option(help: "All connections of this user.")
    var user: String?

    @Option(help: "All clients with a subscription covered by this filter; only # covers #.")
    var filter: String?

    @Option(help: ArgumentHelp("Keep them out for so long, such as 10m, 1h, 7d or ever.", valueName: "time"))
    var ban: String?

    @Option(help: ArgumentHelp("Why they are banned, for the list and the audit log.", valueName: "text"))
    var note: String?

    @OptionGroup var consent: Consent

    func validate() throws {
        guard [id, user, filter].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("kick: expected one of ID, --user and --filter")
        }
        guard note == nil || ban != nil else { throw ValidationError("--note: it goes with --ban") }
    }

    func run() async throws {
        let chosen = id.map { "client \($0)" } ?? user.map { "all connections of user \($0)" }
        var request = KickRequest(client: id, user: user, filter: filter)
        request.isBanning = ban != nil
        request.seconds = try BanTime.seconds(ban, option: "--ban")
        request.note = note ?? ""
        try consent.ask("Disconnect \(chosen ?? "all clients with a subscription inside \(filter ?? "")")?")
        let result = try await connection.ask(request)
        if connection.json { return result.print() }
        Output.print("disconnected: \(result.answer.kicked)")
        guard let banned = result.answer.banned else { return }
        Output.print(banned.isEmpty ? "banned: nobody" : Output.printable("banned: \(banned.joined(separator: ", "))"))
        if result.answer.notBanned > 0 { Output.print("not banned: \(result.answer.notBanned)") }
    }
}
