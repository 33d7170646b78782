internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl token mint`.
struct MintToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mint",
        abstract: "Makes a token of a user, and prints it once.",
        discussion: """
            A token may be used for all that its user may, or for less.

            Examples:
              brokerctl token mint --user sensor7 --ttl 90d
              brokerctl token mint --user ci --publish 'build/#' --from 10.0.0.0/8 --note Jenkins
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Option(help: ArgumentHelp("Whose token it is.", valueName: "name"))
    var user: String

    @Option(help: ArgumentHelp("It may publish to this filter only; may be given again.", valueName: "filter"))
    var publish: [String] = []

    @Option(help: ArgumentHelp("It may subscribe to this filter only; may be given again.", valueName: "filter"))
    var subscribe: [String] = []

    @Option(
        help: ArgumentHelp(
            "On /admin it may be used for read, write or operate; may be given again.", valueName: "right"))
    var admin: [String] = []

    @Option(help: ArgumentHelp("How long it lives, such as 10m, 1h or 90d. (default: for ever)", valueName: "time"))
    var ttl: String?

    @Option(
        help: ArgumentHelp(
            "It may be used from this address or network only; may be given again.", valueName: "network"))
    var from: [String] = []

    @Option(help: ArgumentHelp("What people know it by.", valueName: "text"))
    var note: String = ""

    @Flag(
        name: .customLong("in-url"),
        help: "For addresses (`?token=`), where others see it: it lives for an hour at most, which is the default.")
    var inURL = false

    func run() async throws {
        var request = MintTokenRequest(user: user)
        (request.publish, request.subscribe, request.admin) = (publish, subscribe, admin)
        (request.from, request.note, request.isForAddresses) = (from, note, inURL)
        if let ttl { request.seconds = Quantity.seconds(ttl) ?? 0 }
        if let mistake = request.mistake { throw Failure.usage(Output.printable(mistake)) }
        let token = try await file.ask(request, connection)
        guard connection.json else { return Output.print(token.token) }
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", token.id)
        writer.member("token", token.token)
        writer.endObject()
        Output.printJSON(writer.bytes)
    }
}

/// `brokerctl token list`.
struct ListTokens: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists tokens by their ids; what a client shows is not known any more.",
        discussion: """
            Example:
              brokerctl token list --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    func run() async throws {
        let tokens: [TokenSummary] = try await file.list(connection) { ListTokensRequest(after: $0) }
        if connection.json { return tokens.printJSON() }
        let now = WallClock.unixMilliseconds / 1000
        let rows = tokens.map { token in
            [
                token.id, token.user, Self.rights(token),
                token.expires.map { $0 <= now ? "expired" : Quantity.span(seconds: Int($0 - now)) } ?? "-",
                token.from.isEmpty ? "-" : token.from.joined(separator: " "), token.note,
            ]
        }
        TextTable(["ID", "USER", "MAY", .right("EXPIRES IN"), "FROM", "NOTE"], rows).print()
    }

    private static func rights(_ token: TokenSummary) -> String {
        var rights = ["all that the user may"]
        if token.publish != nil || token.subscribe != nil {
            rights = (token.publish ?? []).map { "publish \($0)" } + (token.subscribe ?? []).map { "subscribe \($0)" }
        }
        return (rights + token.admin.map { "admin \($0)" }).joined(separator: ", ")
    }
}

/// `brokerctl token revoke`.
struct RevokeToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Ends a token, all tokens of a user, or a JSON Web Token, and the connections that it opened.",
        discussion: """
            Examples:
              brokerctl token revoke q7Xk2mP9
              brokerctl token revoke --user bob
              brokerctl token revoke --user bob --before 2026-11-29T06:00
              brokerctl token revoke --jti 5f1c
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Argument(help: "The token's id: the 8 characters after bk_.")
    var id: String?

    @Option(help: ArgumentHelp("All tokens of this user, those of login servers among them.", valueName: "name"))
    var user: String?

    @Option(
        help: ArgumentHelp(
            """
            With --user: only those from before so long ago, such as 1h, or before a time such as 2026-11-29T06:00, or in \
            Unix seconds. (default: now)
            """, valueName: "time"), transform: RevokeToken.seconds)
    var before: Int64?

    private static func seconds(_ text: String) throws -> Int64 {
        try Int64(text) ?? Moment.parse(text).unixMilliseconds / 1000
    }

    @Option(help: ArgumentHelp("The JSON Web Token with this `jti`.", valueName: "text"))
    var jti: String?

    func validate() throws {
        guard [id, user, jti].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("expected an id, --user or --jti")
        }
        guard before == nil || user != nil else { throw ValidationError("--before goes with --user") }
    }

    func run() async throws {
        let token = id.map { OpaqueToken($0)?.id ?? $0 }
        _ = try await file.ask(RevokeTokenRequest(token: token, user: user, before: before, jti: jti), connection)
        Output.print("revoked: \(Output.printable(token ?? user ?? jti ?? ""))")
    }
}
