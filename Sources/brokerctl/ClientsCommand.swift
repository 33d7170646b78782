internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl clients …`: lists and disconnects clients.
struct ClientsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clients",
        abstract: "Lists, shows and disconnects clients, and changes what happens to slow ones.",
        discussion: """
            Examples:
              brokerctl clients
              brokerctl clients --filter 'sensors/#' --json
              brokerctl clients --sort pending --limit 10 --watch
              brokerctl clients --node b
              brokerctl clients show eb1nqsfim875
              brokerctl clients kick eb1nqsfim875
              brokerctl clients policy eb1nqsfim875 drop-oldest

            In a cluster, these are the clients of all brokers.
            """,
        subcommands: [ListClients.self, ShowClient.self, KickClients.self, ChangePolicy.self],
        defaultSubcommand: ListClients.self)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
}

/// `brokerctl clients [list]`.
struct ListClients: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the clients.",
        discussion: """
            The broker selects, sorts and limits. The fields of --where, --sort and --columns are
              \(ClientField.allCases.map(\.rawValue).joined(separator: ", "))

            A condition is a field, one of > >= < <= = != ~ (~: contains), and a number with its unit, or text. \
            Numbers are sorted in descending order.

            Examples:
              brokerctl clients list --filter 'sensors/#'
              brokerctl clients --sort pending --limit 10
              brokerctl clients --where 'pending > 64KiB' --where 'user != bob'
              brokerctl clients --where behind=yes --columns id,user,pending,waiting,policy
              brokerctl clients --sort rtt --limit 20 --watch
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Option(help: "Only clients with a subscription that overlaps with this filter.")
    var filter: String?

    @Option(help: "Only connections of this user.")
    var user: String?

    @Option(
        name: .customLong("where"),
        help: ArgumentHelp(
            "Only clients that meet this condition; if repeated, all conditions.", valueName: "condition"))
    var conditions: [String] = []

    @Option(help: ArgumentHelp("Sort by this field.", valueName: "field"))
    var sort: String?

    @Flag(help: "Reverse the order.")
    var reverse = false

    @Option(help: ArgumentHelp("List at most this many.", valueName: "count"))
    var limit: Int?

    @Option(help: ArgumentHelp("The fields to show, or all.", valueName: "field,…"))
    var columns: String?

    @Option(
        help: ArgumentHelp("Only the clients of this broker of a cluster, given by name or number.", valueName: "name"))
    var node: String?

    @Flag(help: "Repeat the list each second.")
    var watch = false

    func validate() throws {
        guard conditions.count <= ClientCondition.maximumCount else {
            throw ValidationError("--where: at most \(ClientCondition.maximumCount) conditions")
        }
        for condition in conditions {
            do throws(ClientCondition.ParseError) { _ = try ClientCondition(parsing: condition) } catch {
                throw ValidationError(Output.printable("--where: \(error.description)"))
            }
        }
        if let sort { _ = try Self.field(sort, "--sort") }
        if let limit, limit < 1 { throw ValidationError("--limit: expected 1 or more") }
        guard sort != nil || !reverse else { throw ValidationError("--reverse requires --sort") }
        _ = try shownFields()
    }

    private static func field(_ name: String, _ option: String) throws -> ClientField {
        if let field = ClientField(rawValue: name) { return field }
        let known = ClientField.allCases.map(\.rawValue)
        let nearest = ConfigurationKeys.nearest(to: name, among: known).map { "did you mean \"\($0)\"?" }
        let advice = nearest ?? "expected one of \(known.joined(separator: ", "))"
        throw ValidationError(Output.printable("\(option): there is no field \"\(name)\"; \(advice)"))
    }

    private func shownFields() throws -> [ClientField] {
        guard let columns else { return ClientTable.usualFields }
        if columns == "all" { return ClientField.allCases }
        return try columns.split(separator: ",", omittingEmptySubsequences: false).map {
            try Self.field(String($0), "--columns")
        }
    }

    func run() async throws {
        var request = ClientsRequest(user: user, filter: filter)
        request.conditions = conditions
        request.order = sort
        request.isReversed = reverse
        request.limit = limit
        request.node = node
        let shown = try shownFields()
        let admin = try await AdminConnection(connection)
        if watch { Output.endWithReader() }
        while true {
            let result = try await admin.ask(request)
            // The next list may be whole again.
            do { try show(result, shown) } catch is Incomplete where watch {}
            guard watch else { break }
            try await Task.sleep(for: .seconds(1))
        }
        await admin.close()
    }

    private func show(_ result: AdminResult<ClientsRequest.Answer>, _ shown: [ClientField]) throws {
        if connection.json { return try result.printList() }
        // Move to the top of the screen, and clear it.
        if watch, Output.isTerminal { Output.write(Array("\u{1B}[H\u{1B}[J".utf8)) }
        defer { if watch, !Output.isTerminal { Output.print("") } }
        let now = WallClock.unixMilliseconds
        let isClustered = columns == nil && result.answer.elements.contains { $0.node != nil }
        let fields = isClustered ? [.id, .node] + shown.dropFirst() : shown
        try result.printTable(fields.map(ClientTable.column)) { client in
            fields.map { ClientTable.cell($0, client, now) }
        }
    }
}

/// How clients are shown.
enum ClientTable {
    static let usualFields: [ClientField] = [
        .id, .user, .address, .protocolName, .age, .subscriptions, .pending, .kernel, .roundTrip,
    ]

    static func title(_ field: ClientField) -> String {
        switch field {
        case .age: "connected"
        case .kernel: "in kernel"
        case .roundTrip: "round trip"
        default: field.rawValue
        }
    }

    static func column(_ field: ClientField) -> TextTable.Column {
        let title = title(field).uppercased()
        return field.kind == .text ? TextTable.Column(stringLiteral: title) : .right(title)
    }

    /// - Parameter now: in Unix milliseconds.
    static func cell(_ field: ClientField, _ client: ClientSummary, _ now: Int64) -> String {
        guard field.kind != .text else { return field.text(of: client) ?? "-" }
        guard let value = field.number(of: client, now: now) else { return "-" }
        return switch field {
        case .age: Quantity.span(seconds: Quantity.whole(value / 1000))
        case .waiting:
            value < 1000 ? "\(Quantity.whole(value)) ms" : Quantity.span(seconds: Quantity.whole(value / 1000))
        case .roundTrip: "\(Quantity.fixed(value)) ms"
        case .rate: Quantity.fixed(value)
        case .pending, .kernel, .received, .sent: Quantity.size(Quantity.whole(value))
        default: String(Quantity.whole(value))
        }
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

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The client's id, as listed.", completion: CompleteCommand.words(.clients))
    var id: String

    func run() async throws {
        let result = try await connection.ask(ClientRequest(client: id))
        if connection.json { return result.print() }
        let now = WallClock.unixMilliseconds
        for field in ClientField.allCases {
            let name = ClientTable.title(field)
            let cell = ClientTable.cell(field, result.answer, now)
            Output.print(name + String(repeating: " ", count: 15 - name.count) + Output.printable(cell))
        }
        for filter in result.answer.filters ?? [] { Output.print("filter         " + Output.printable(filter)) }
    }
}

/// `brokerctl clients policy ID POLICY`.
struct ChangePolicy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Sets what happens when a client is too slow, for all its subscriptions.",
        discussion: """
            close closes its connection, drop-oldest drops the oldest waiting messages, and latest sends only the newest of \
            each topic; the client is told about the gap. The policy applies until the client subscribes again.

            Example:
              brokerctl clients policy eb1nqsfim875 drop-oldest
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The client's id, as listed.", completion: CompleteCommand.words(.clients))
    var id: String

    @Argument(
        help: ArgumentHelp("close, drop-oldest or latest.", valueName: "policy"),
        completion: .list(SlowPolicy.allCases.map(\.rawValue)))
    var policy: String

    func validate() throws {
        guard SlowPolicy(rawValue: policy) == nil else { return }
        let known = SlowPolicy.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError(Output.printable("expected one of \(known), found \"\(policy)\""))
    }

    func run() async throws {
        let result = try await connection.ask(ClientPolicyRequest(client: id, slow: policy))
        if connection.json { return result.print() }
        let changed = result.answer.changed
        Output.print("\(policy): \(changed) \(changed == 1 ? "subscription" : "subscriptions")")
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
              brokerctl clients kick --filter 'sensors/#' --dry-run
              brokerctl clients kick --filter 'sensors/#' --reason "moved to another broker"
              brokerctl clients kick --user bob --ban 10m --note "sends too much"

            With --ban the clients are banned as well: by user, or by address if they have no user (with IPv6, the \
            network of 64 bits). Clients on this machine without a user are not banned.
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The client's id, as listed.", completion: CompleteCommand.words(.clients))
    var id: String?

    @Option(help: "All connections of this user.")
    var user: String?

    @Option(help: "All clients with a subscription covered by this filter; only # covers #.")
    var filter: String?

    @Option(help: ArgumentHelp("Only clients of this broker of a cluster, given by name or number.", valueName: "name"))
    var node: String?

    @Option(help: ArgumentHelp("The reason in the CLOSE frame, at most 123 bytes.", valueName: "text"))
    var reason: String?

    @Flag(help: "Only print how many clients would be disconnected.")
    var dryRun = false

    @Option(help: ArgumentHelp("Ban them for this time, such as 10m, 1h, 7d or ever.", valueName: "time"))
    var ban: String?

    @Option(help: ArgumentHelp("Why they are banned, for the list and the audit log.", valueName: "text"))
    var note: String?

    @OptionGroup var consent: Consent

    func validate() throws {
        guard [id, user, filter].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("kick: expected one of ID, --user and --filter")
        }
        guard note == nil || ban != nil else { throw ValidationError("--note requires --ban") }
        guard reason == nil || ban == nil else {
            throw ValidationError("--reason and --ban cannot be combined: clients are told that they are banned")
        }
        if let reason, !(1...KickRequest.maximumReason).contains(reason.utf8.count) {
            throw ValidationError("--reason: expected 1 to \(KickRequest.maximumReason) bytes")
        }
    }

    func run() async throws {
        let chosen = id.map { "client \($0)" } ?? user.map { "all connections of user \($0)" }
        var request = KickRequest(client: id, user: user, filter: filter)
        request.isBanning = ban != nil
        request.seconds = try BanTime.seconds(ban, option: "--ban")
        request.note = note ?? ""
        request.reason = reason ?? ""
        request.isDryRun = dryRun
        request.node = node
        if !dryRun {
            try consent.ask("Disconnect \(chosen ?? "all clients with a subscription covered by \(filter ?? "")")?")
        }
        let result = try await connection.ask(request)
        if connection.json { result.print() } else { show(result.answer) }
        let consequence = dryRun ? "its clients are not counted" : "its clients stay connected"
        Output.complain(ofMissing: result.answer.missing, consequence)
        if !result.answer.missing.isEmpty { throw Incomplete() }
    }

    private func show(_ answer: KickRequest.Answer) {
        if let matching = answer.matching { return Output.print("would be disconnected: \(matching)") }
        Output.print("disconnected: \(answer.kicked)")
        guard let banned = answer.banned else { return }
        Output.print(banned.isEmpty ? "banned: nobody" : Output.printable("banned: \(banned.joined(separator: ", "))"))
        if answer.notBanned > 0 { Output.print("not banned: \(answer.notBanned)") }
    }
}
