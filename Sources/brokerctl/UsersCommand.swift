internal import ArgumentParser
internal import Broker
internal import Cryptography
internal import WSTransport

/// `brokerctl users …`: the people and machines that may log in.
struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users",
        abstract: "Adds, changes, removes and lists users, in the file that the broker watches.",
        discussion: """
            Examples:
              brokerctl users add alice --role dashboard
              brokerctl users add device7 --no-password --role sensor
              brokerctl users role alice +operator -dashboard
              brokerctl users disable alice
            """,
        subcommands: [
            AddUser.self, SetPassword.self, RemoveUser.self, DisableUser.self, EnableUser.self, UserRoles.self,
            ListUsers.self,
        ])

    @OptionGroup var connection: ConnectionOptions
}

/// `brokerctl users add NAME`.
struct AddUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Adds a user.",
        discussion: """
            Examples:
              brokerctl users add alice --role dashboard
              brokerctl users add sensor7 --no-password --role sensor
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions
    @OptionGroup var password: PasswordOptions

    @Argument(help: "The user's name.")
    var name: String

    @Option(help: ArgumentHelp("A role; may be given again.", valueName: "name"))
    var role: [String] = []

    @Flag(help: "Without a password: the user logs in by tokens or by a certificate.")
    var noPassword = false

    func validate() throws {
        guard !noPassword || !password.passwordStdin else {
            throw ValidationError("--no-password and --password-stdin exclude each other")
        }
    }

    func run() async throws {
        var user = AccessUser(name)
        user.roles = role
        user.created = WallClock.unixMilliseconds / 1000
        // Before anybody is asked for a password in vain.
        var trial = try file.read(connection)
        do throws(AccessFileErrors) { try trial.add(user) } catch { throw Failure.failed(error.description) }
        if !noPassword { user.password = try PasswordHash(new: try password.read()) }
        try await file.update(connection) { (all) throws(AccessFileErrors) in try all.add(user) }
        Output.print("added: \(Output.printable(name))")
    }
}

extension PasswordHash {
    /// That of a new password.
    fileprivate init(new password: String) throws(Failure) {
        do throws(CryptographyError) { self = try PasswordHash.make(for: password) } catch {
            throw .failed(error.description)
        }
    }
}

/// `brokerctl users password NAME`.
struct SetPassword: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "password",
        abstract: "Gives a user another password; what the old one began ends.",
        discussion: """
            Example:
              brokerctl users password alice
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions
    @OptionGroup var password: PasswordOptions

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        guard try file.read(connection).place(ofUser: name) != nil else {
            throw Failure.failed("there is no user \(name)")
        }
        let hash = try PasswordHash(new: try password.read())
        try await file.update(connection) { (all) throws(AccessFileErrors) in
            try all.change(user: name) { (user) throws(AccessFileErrors) in user.password = hash }
        }
        Output.print("changed: \(Output.printable(name))")
    }
}

/// `brokerctl users remove NAME`.
struct RemoveUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Removes a user and all of the user's tokens.",
        discussion: """
            Example:
              brokerctl users remove alice
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions
    @OptionGroup var consent: Consent

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        try consent.ask("Remove \(name) with all tokens?")
        let tokens = try await file.update(connection) { (all) throws(AccessFileErrors) in try all.remove(user: name) }
        Output.print("removed: \(Output.printable(name)), \(tokens) \(tokens == 1 ? "token" : "tokens")")
    }
}

/// `brokerctl users disable NAME`.
struct DisableUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable",
        abstract: "Lets a user log in no more, in whatever way; nothing is removed.",
        discussion: """
            Example:
              brokerctl users disable alice
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        try await file.update(connection) { (all) throws(AccessFileErrors) in
            // A user of a login server, who has no entry yet, gets one to be disabled by.
            if all.place(ofUser: name) == nil { try all.add(AccessUser(name)) }
            try all.change(user: name) { (user) throws(AccessFileErrors) in user.isDisabled = true }
        }
        Output.print("disabled: \(Output.printable(name))")
    }
}

/// `brokerctl users enable NAME`.
struct EnableUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable",
        abstract: "Lets a user log in again.",
        discussion: """
            Example:
              brokerctl users enable alice
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        try await file.update(connection) { (all) throws(AccessFileErrors) in
            try all.change(user: name) { (user) throws(AccessFileErrors) in user.isDisabled = false }
        }
        Output.print("enabled: \(Output.printable(name))")
    }
}

/// `brokerctl users role NAME +R -R`.
struct UserRoles: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "role",
        abstract: "Gives a user roles, and takes them away.",
        discussion: """
            Example:
              brokerctl users role alice +operator -dashboard
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Argument(help: "The user's name.")
    var name: String

    @Argument(parsing: .allUnrecognized, help: "+ROLE gives a role, -ROLE takes it away.")
    var changes: [String]

    func run() async throws {
        for change in changes {
            guard change.first == "+" || change.first == "-", Principal.isName(String(change.dropFirst())) else {
                throw Failure.usage("expected +ROLE or -ROLE, found \(Output.printable(change))")
            }
        }
        let roles = try await file.update(connection) { (all) throws(AccessFileErrors) in
            var roles: [String] = []
            try all.change(user: name) { (user) throws(AccessFileErrors) in
                for change in changes {
                    let role = String(change.dropFirst())
                    user.roles.removeAll { $0 == role }
                    if change.first == "+" { user.roles.append(role) }
                }
                roles = user.roles
            }
            return roles
        }
        Output.print(
            "\(Output.printable(name)): \(roles.isEmpty ? "no roles" : Output.printable(roles.joined(separator: " ")))")
    }
}

/// `brokerctl users list`.
struct ListUsers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists users; no password and no token is shown.",
        discussion: """
            Example:
              brokerctl users list --json
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    func run() async throws {
        let all = try file.read(connection)
        let tokens = Dictionary(grouping: all.tokens, by: \.user).mapValues(\.count)
        guard connection.json else {
            let rows = all.users.map { user in
                [
                    user.name, user.roles.isEmpty ? "-" : user.roles.joined(separator: " "), Self.password(user),
                    user.certificate == nil ? "-" : "yes", String(tokens[user.name] ?? 0),
                    user.isDisabled ? "disabled" : "enabled",
                ]
            }
            return TextTable(["USER", "ROLES", "PASSWORD", "CERTIFICATE", .right("TOKENS"), "STATE"], rows).print()
        }
        var writer = JSONWriter()
        writer.beginArray()
        for user in all.users {
            writer.beginObject()
            writer.member("user", user.name)
            writer.name("roles")
            writer.beginArray()
            for role in user.roles { writer.string(role) }
            writer.endArray()
            writer.member("password", Self.password(user))
            writer.member("certificate", user.certificate != nil)
            writer.member("tokens", tokens[user.name] ?? 0)
            writer.member("disabled", user.isDisabled)
            writer.endObject()
        }
        writer.endArray()
        Output.printJSON(writer.bytes)
    }

    private static func password(_ user: AccessUser) -> String {
        guard let password = user.password else { return "-" }
        return password.isWeak ? "weak" : "yes"
    }
}
