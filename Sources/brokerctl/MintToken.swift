internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl token mint`.
struct MintToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mint",
        abstract: "Creates a token for a user, and prints it once.",
        discussion: """
            A token allows everything that its user may do, or less.

            Examples:
              brokerctl token mint --user sensor7 --ttl 90d
              brokerctl token mint --user ci --publish 'build/#' --from 10.0.0.0/8 --note Jenkins
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Option(help: ArgumentHelp("The user that the token is for.", valueName: "name"))
    var user: String

    @Option(help: ArgumentHelp("Allow publishing to this filter only; may be repeated.", valueName: "filter"))
    var publish: [String] = []

    @Option(help: ArgumentHelp("Allow subscribing to this filter only; may be repeated.", valueName: "filter"))
    var subscribe: [String] = []

    @Option(
        help: ArgumentHelp(
            "Allow read, write or operate on /admin; may be repeated.", valueName: "right"))
    var admin: [String] = []

    @Option(
        help: ArgumentHelp(
            "How long it is valid, such as 10m, 1h or 90d. (default: without a limit)", valueName: "time"))
    var ttl: String?

    @Option(
        help: ArgumentHelp(
            "Accept it from this address or network only; may be repeated.", valueName: "network"))
    var from: [String] = []

    @Option(help: ArgumentHelp("A description for people.", valueName: "text"))
    var note: String = ""

    @Flag(
        name: .customLong("in-url"),
        help:
            "Accept it in URLs (`?token=`), where others can see it. It is then valid for at most an hour, which is the default."
    )
    var inURL = false

    func run() async throws {
        var request = MintTokenRequest(user: user)
        (request.publish, request.subscribe, request.admin) = (publish, subscribe, admin)
        (request.from, request.note, request.isForAddresses) = (from, note, inURL)
        if let ttl { request.seconds = Quantity.seconds(ttl) ?? 0 }
        if let mistake = request.mistake { throw Failure.usage(Output.printable(mistake)) }
        let token = try await file.ask(request, connection)
        guard connection.json else { return Output.print(token.token) }
        Output.printJSON { writer in
            writer.member("id", token.id)
            writer.member("token", token.token)
        }
    }
}

/// `brokerctl token list`.
struct ListTokens: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists tokens by their ids, without the tokens themselves.",
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
        abstract:
            "Revokes a token, all tokens of a user, or a JSON Web Token, and closes the connections that it opened.",
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

    @Option(help: ArgumentHelp("All tokens of this user, including those of login servers.", valueName: "name"))
    var user: String?

    @Option(
        help: ArgumentHelp(
            """
            With --user: only tokens from before this time: 1h for an hour ago, a time such as 2026-11-29T06:00, or Unix \
            seconds. (default: now)
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
        guard before == nil || user != nil else { throw ValidationError("--before requires --user") }
    }

    func run() async throws {
        let token = id.map { OpaqueToken($0)?.id ?? $0 }
        _ = try await file.ask(RevokeTokenRequest(token: token, user: user, before: before, jti: jti), connection)
        guard connection.json else {
            return Output.print("revoked: \(Output.printable(token ?? user ?? jti ?? ""))")
        }
        Output.printJSON { writer in
            if let token { writer.member("token", token) }
            if let user { writer.member("user", user) }
            if let jti { writer.member("jti", jti) }
        }
    }
}
