internal import ArgumentParser
internal import Broker
internal import Cryptography
internal import WSTransport

/// `brokerctl users …`: the people and machines that may log in.
struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users",
        abstract: "Adds, changes, removes and lists users.",
        discussion: """
            The running broker makes the change, which is in force when the command returns. With --file only a file of \
            users and tokens is changed; a broker that uses it loads it within two seconds.

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

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
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

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions
    @OptionGroup var password: PasswordOptions

    @Argument(help: "The user's name.")
    var name: String

    @Option(help: ArgumentHelp("A role; may be repeated.", valueName: "name"))
    var role: [String] = []

    @Flag(help: "Add the user without a password, to log in with tokens or a certificate.")
    var noPassword = false

    func validate() throws {
        guard !noPassword || !password.passwordStdin else {
            throw ValidationError("--no-password and --password-stdin cannot be combined")
        }
    }

    func run() async throws {
        guard Principal.isName(name) else { throw Failure.failed(Principal.nameExpectation) }
        var secret: String?
        if !noPassword {
            // Checked before asking for a password, which would be in vain.
            let known: [UserSummary] = try await file.list(connection) { ListUsersRequest(user: name, after: $0) }
            guard known.isEmpty else { throw Failure.failed("there is a user \(name) already") }
            secret = try password.read()
        }
        _ = try await file.ask(AddUserRequest(user: name, roles: role, password: secret), connection)
        guard connection.json else { return Output.print("added: \(Output.printable(name))") }
        Output.printJSON { writer in
            writer.member("user", name)
            writer.member("roles", role)
        }
    }
}

/// `brokerctl users password NAME`.
struct SetPassword: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "password",
        abstract: "Changes a user's password, and ends the sessions that were opened with the old one.",
        discussion: """
            Example:
              brokerctl users password alice
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions
    @OptionGroup var password: PasswordOptions

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        let known: [UserSummary] = try await file.list(connection) { ListUsersRequest(user: name, after: $0) }
        guard !known.isEmpty else { throw Failure.failed("there is no user \(name)") }
        _ = try await file.ask(SetPasswordRequest(user: name, password: try password.read()), connection)
        guard connection.json else { return Output.print("changed: \(Output.printable(name))") }
        Output.printJSON { $0.member("user", name) }
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

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions
    @OptionGroup var consent: Consent

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        try consent.ask("Remove \(name) and all tokens?")
        let tokens = try await file.ask(RemoveUserRequest(user: name), connection).tokens
        guard connection.json else {
            let count = "\(tokens) \(tokens == 1 ? "token" : "tokens")"
            return Output.print("removed: \(Output.printable(name)), \(count)")
        }
        Output.printJSON { writer in
            writer.member("user", name)
            writer.member("tokens", tokens)
        }
    }
}

/// `brokerctl users disable NAME`.
struct DisableUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable",
        abstract: "Prevents a user from logging in by any means, without removing anything.",
        discussion: """
            Example:
              brokerctl users disable alice
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        _ = try await file.ask(DisableUserRequest(user: name), connection)
        guard connection.json else { return Output.print("disabled: \(Output.printable(name))") }
        Output.printJSON { writer in
            writer.member("user", name)
            writer.member("disabled", true)
        }
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

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        _ = try await file.ask(DisableUserRequest(user: name, isEnabling: true), connection)
        guard connection.json else { return Output.print("enabled: \(Output.printable(name))") }
        Output.printJSON { writer in
            writer.member("user", name)
            writer.member("disabled", false)
        }
    }
}

/// `brokerctl users role NAME +R -R`.
struct UserRoles: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "role",
        abstract: "Adds and removes roles of a user.",
        discussion: """
            Example:
              brokerctl users role alice +operator -dashboard
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Argument(help: "The user's name.")
    var name: String

    @Argument(parsing: .allUnrecognized, help: "+ROLE adds a role, -ROLE removes it.")
    var changes: [String]

    func run() async throws {
        for change in changes where !SetRolesRequest.isChange(change) {
            throw Failure.usage("expected +ROLE or -ROLE, found \(Output.printable(change))")
        }
        let roles = try await file.ask(SetRolesRequest(user: name, changes: changes), connection).roles
        guard connection.json else {
            let list = roles.isEmpty ? "no roles" : Output.printable(roles.joined(separator: " "))
            return Output.print("\(Output.printable(name)): \(list)")
        }
        Output.printJSON { writer in
            writer.member("user", name)
            writer.member("roles", roles)
        }
    }
}

/// `brokerctl users list`.
struct ListUsers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists users, without passwords and tokens.",
        discussion: """
            Example:
              brokerctl users list --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    func run() async throws {
        let users: [UserSummary] = try await file.list(connection) { ListUsersRequest(after: $0) }
        if connection.json { return users.printJSON() }
        let rows = users.map { user in
            [
                user.user, user.roles.isEmpty ? "-" : user.roles.joined(separator: " "), user.password,
                user.hasCertificate ? "yes" : "-", String(user.tokens), user.isDisabled ? "disabled" : "enabled",
            ]
        }
        TextTable(["USER", "ROLES", "PASSWORD", "CERTIFICATE", .right("TOKENS"), "STATE"], rows).print()
    }
}
