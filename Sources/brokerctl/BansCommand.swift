internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl bans …`: lists, adds and removes bans.
struct BansCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bans",
        abstract: "Lists, adds and removes bans of users, tokens and addresses.",
        discussion: """
            A ban takes effect at once and disconnects the clients that it covers (close code 4410). It ends when its \
            time is over, when it is removed, or when the broker's process ends. The admin socket cannot be banned.

            Examples:
              brokerctl bans
              brokerctl bans add user bob --for 1h --note "sends too much"
              brokerctl bans add address 10.1.0.0/16
              brokerctl bans remove b3
            """,
        subcommands: [ListBans.self, AddBan.self, RemoveBan.self],
        defaultSubcommand: ListBans.self)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
}

/// The duration of a ban.
struct BanTime {
    /// The seconds of a time such as `10m`; `nil` if the ban lasts until it is removed.
    static func seconds(_ text: String?, option: String) throws(Failure) -> Int64? {
        guard let text, text != "ever" else { return nil }
        guard let seconds = Quantity.seconds(text), seconds > 0 else {
            throw .usage("\(option): expected a time such as 10m, 1h or 7d, or ever")
        }
        return seconds
    }
}

/// `brokerctl bans [list]`.
struct ListBans: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the bans in force.",
        discussion: """
            Example:
              brokerctl bans list --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    func run() async throws {
        let result = try await connection.ask(BansRequest())
        if connection.json { return try result.printList() }
        let now = WallClock.unixMilliseconds
        try result.printTable(["ID", "KIND", "NAME", .right("ENDS IN"), "NOTE"]) { ban in
            [
                ban.id, ban.kind, ban.name,
                ban.expires.map { Quantity.span(seconds: Int((max(now, $0) - now) / 1000)) } ?? "-", ban.note,
            ]
        }
    }
}

/// `brokerctl bans add KIND NAME`.
struct AddBan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Bans a user, a token or an address, and disconnects its clients.",
        discussion: """
            An address may also be a network such as 10.0.0.0/8. Behind a proxy that the broker trusts, the client's \
            own address counts.

            Examples:
              brokerctl bans add user bob --for 10m
              brokerctl bans add token q7Xk2mP9 --note stolen
              brokerctl bans add address 2001:db8::/64
            """)

    /// What can be banned.
    enum Kind: String, ExpressibleByArgument, CaseIterable { case user, token, address }

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "user, token or address.")
    var kind: Kind

    @Argument(help: "The user's name; the id of a token or the jti of a JSON Web Token; the address or network.")
    var name: String

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("For how long, such as 10m, 1h or 7d. (default: ever)", valueName: "time"))
    var time: String?

    @Option(help: ArgumentHelp("Why, for the list and the audit log.", valueName: "text"))
    var note: String = ""

    func run() async throws {
        let seconds = try BanTime.seconds(time, option: "--for")
        let result = try await connection.ask(
            AddBanRequest(kind: kind.rawValue, name: name, seconds: seconds, note: note))
        if connection.json { return result.print() }
        let (ban, count) = (result.answer.ban, result.answer.disconnected)
        Output.print("banned: \(ban.kind) \(Output.printable(ban.name)) (\(ban.id)), disconnected: \(count)")
    }
}

/// `brokerctl bans remove ID`.
struct RemoveBan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Removes a ban.",
        discussion: """
            Example:
              brokerctl bans remove b3
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The ban's id, as listed.")
    var id: String

    func run() async throws {
        let result = try await connection.ask(RemoveBanRequest(ban: id))
        if connection.json { return result.print() }
        Output.print("removed: \(result.answer.kind) \(Output.printable(result.answer.name))")
    }
}
