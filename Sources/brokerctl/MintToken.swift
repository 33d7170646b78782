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

    @OptionGroup var connection: ConnectionOptions
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

    func run() async throws {
        for filter in publish + subscribe {
            do throws(TopicError) { _ = try TopicFilter(filter, limits: .none) } catch {
                throw Failure.usage("\(Output.printable(filter)): \(error)")
            }
        }
        let rights = admin.compactMap(AdminRight.init)
        guard rights.count == admin.count else { throw Failure.usage("--admin: expected read, write or operate") }
        for network in from where AddressRange(network) == nil {
            throw Failure.usage("--from: expected an address or a network such as 10.0.0.0/8")
        }
        let now = WallClock.unixMilliseconds / 1000
        var expires: Int64?
        if let ttl {
            guard let life = Quantity.seconds(ttl), life > 0 else {
                throw Failure.usage("--ttl: expected a time such as 10m, 1h or 90d")
            }
            expires = now + life
        }
        let token = try await file.update(connection) { (all) throws(AccessFileErrors) in
            try all.mint(for: user) { token in
                if !publish.isEmpty || !subscribe.isEmpty {
                    token.limits = AccessToken.Limits(publish: publish, subscribe: subscribe)
                }
                token.admin = rights
                token.expires = expires
                token.from = from
                token.created = now
                token.note = note
            }
        }
        guard connection.json else { return Output.print(token.text) }
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", token.id)
        writer.member("token", token.text)
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

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    func run() async throws {
        let tokens = try file.read(connection).tokens
        guard connection.json else {
            let now = WallClock.unixMilliseconds / 1000
            let rows = tokens.map { token in
                [
                    token.id, token.user, Self.rights(token),
                    token.expires.map { $0 <= now ? "expired" : Quantity.span(seconds: Int($0 - now)) } ?? "-",
                    token.from.isEmpty ? "-" : token.from.joined(separator: " "), token.note,
                ]
            }
            return TextTable(["ID", "USER", "MAY", .right("EXPIRES IN"), "FROM", "NOTE"], rows).print()
        }
        var writer = JSONWriter()
        writer.beginArray()
        for token in tokens {
            writer.beginObject()
            writer.member("id", token.id)
            writer.member("user", token.user)
            if let limits = token.limits {
                Self.write("publish", limits.publish, to: &writer)
                Self.write("subscribe", limits.subscribe, to: &writer)
            }
            if !token.admin.isEmpty { Self.write("admin", token.admin.map(\.rawValue), to: &writer) }
            if let expires = token.expires { writer.member("expires", expires) }
            if !token.from.isEmpty { Self.write("from", token.from, to: &writer) }
            if let created = token.created { writer.member("created", created) }
            if !token.note.isEmpty { writer.member("note", token.note) }
            writer.endObject()
        }
        writer.endArray()
        Output.printJSON(writer.bytes)
    }

    private static func write(_ name: StaticString, _ values: [String], to writer: inout JSONWriter) {
        writer.name(name)
        writer.beginArray()
        for value in values { writer.string(value) }
        writer.endArray()
    }

    private static func rights(_ token: AccessToken) -> String {
        guard let limits = token.limits else { return "all that the user may" }
        let publish = limits.publish.map { "publish \($0)" }
        return (publish + limits.subscribe.map { "subscribe \($0)" }).joined(separator: ", ")
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
              brokerctl token revoke --jti 5f1c
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Argument(help: "The token's id: the 8 characters after bk_.")
    var id: String?

    @Option(help: ArgumentHelp("All tokens of this user, those of login servers among them.", valueName: "name"))
    var user: String?

    @Option(
        help: ArgumentHelp(
            "With --user: only those that are older than this time. (default: now)", valueName: "seconds"))
    var before: Int64?

    @Option(help: ArgumentHelp("The JSON Web Token with this `jti`.", valueName: "text"))
    var jti: String?

    func validate() throws {
        guard [id, user, jti].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("expected an id, --user or --jti")
        }
        guard before == nil || user != nil else { throw ValidationError("--before goes with --user") }
    }

    func run() async throws {
        let before = before ?? WallClock.unixMilliseconds / 1000 + 1
        try await file.update(connection) { (all) throws(AccessFileErrors) in
            if let id {
                try all.revoke(token: id)
            } else if let user {
                all.revokeAll(of: user, before: before)
            } else if let jti {
                all.revoke(jti: jti)
            }
        }
        Output.print("revoked: \(Output.printable(id ?? user ?? jti ?? ""))")
    }
}
