internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

/// `brokerctl login URL`.
struct LoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login",
        abstract: "Saves a broker and credentials for it as a context, and uses that from now on.",
        discussion: """
            The credentials are a token or, with --user, a password. Without --token and --token-file it asks for them, or \
            reads them from the first line of standard input. It tries them, then saves them in \
            ~/.config/broker/contexts.json ($XDG_CONFIG_HOME), which only you may read. It saves --ca-file, --cert-file \
            and --key-file, too. A token from `token mint --admin read --ttl 90d` is better than a password: it can do \
            less, and it expires.

            Examples:
              brokerctl login https://broker.example.com --name production
              brokerctl login https://broker.example.com --user alice
              brokerctl login https://broker.example.com < token.txt
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The broker's address: https://HOST:PORT, or http:// on this machine.")
    var address: String

    @Option(help: ArgumentHelp("The name of the context. (default: HOST:PORT)", valueName: "name"))
    var name: String?

    @Option(help: ArgumentHelp("The user that the password belongs to.", valueName: "name"))
    var user: String?

    func run() async throws {
        guard connection.url == nil, connection.socket == nil, connection.context == nil else {
            throw Failure.usage("login: expected only the broker's address")
        }
        guard !connection.insecure else {
            throw Failure.usage("--insecure: login verifies the certificate of the broker; use --ca-file")
        }
        var target = try connection.target(at: address, "login")
        try Self.check(target.endpoint)
        var context = BrokerContext(name: name ?? target.endpoint.hostField, url: address)
        guard BrokerContext.isName(context.name) else {
            throw Failure.usage(
                "--name: expected a name of 1 to 128 ASCII characters without spaces, not beginning with -")
        }
        context.caFile = try Self.absolute(connection.caFile)
        context.certFile = try Self.absolute(connection.certFile)
        context.keyFile = try Self.absolute(connection.keyFile)
        try takeCredentials(&context)
        target.authorization = context.authorization
        let security = try connection.security(of: target)
        let messages = try await MessageClient(target, security)
        await messages.close()
        let obstacle = await Self.obstacle(to: target, security)
        try ContextFile.update { (file) throws(Failure) in file.save(context) }
        if connection.json {
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("name", context.name)
            writer.member("url", context.url)
            writer.member("identity", context.identity)
            writer.member("administration", obstacle == nil)
            writer.endObject()
            return Output.printJSON(writer.bytes)
        }
        Output.print("logged in to \(context.name), \(Output.printable(context.identity))")
        if let obstacle { Output.print("no right to administer: \(Output.printable(obstacle))") }
    }

    /// Refuses to send credentials unencrypted over a network.
    private static func check(_ endpoint: Endpoint) throws(Failure) {
        guard case .internet(let host, _, isSecure: false) = endpoint else { return }
        let isHere = host == "localhost" || host.hasSuffix(".localhost") || host == "::1" || host.hasPrefix("127.")
        guard !isHere else { return }
        throw .usage("login: over http:// anyone on the path could read the credentials; use https://")
    }

    private func takeCredentials(_ context: inout BrokerContext) throws(Failure) {
        if let token = try connection.givenToken() {
            guard user == nil else { throw .usage("--user is for a password, not for a token") }
            context.token = token
            return
        }
        let isAsked = isatty(STDIN_FILENO) == 1
        var user = user
        // A certificate identifies the user.
        if user == nil, context.certFile != nil { return }
        if isAsked, user == nil {
            Output.printPart("User (leave empty for a token): ")
            user = readLine().flatMap { $0.isEmpty ? nil : $0 }
        }
        let secret = isAsked ? PasswordOptions.ask(user == nil ? "Token: " : "Password: ") : try Self.firstLine()
        guard let secret, !secret.isEmpty, secret.utf8.count <= Self.maximumSecret else {
            throw .usage("login: expected a token or a password, on a terminal or as the first line of standard input")
        }
        guard let user else {
            guard ConnectionOptions.isToken(secret) else { throw .usage("login: expected a token without spaces") }
            context.token = secret
            return
        }
        guard BasicCredentials(user: user, password: secret) != nil else {
            throw .usage("--user: expected a name without a colon, and no control characters")
        }
        (context.user, context.password) = (user, secret)
    }

    /// In bytes.
    private static let maximumSecret = 8 << 10

    private static func firstLine() throws(Failure) -> String? {
        var reader = try LineReader(path: "-")
        guard case .line(let bytes)? = try reader.next() else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func absolute(_ path: String?) throws(Failure) -> String? {
        guard let path else { return nil }
        guard let found = unsafe realpath(path, nil) else { throw .usage("\(path): \(Errno.current)") }
        defer { unsafe free(found) }
        return unsafe String(cString: found)
    }

    /// Why the credentials do not allow administration; `nil` if they do.
    private static func obstacle(to target: Target, _ security: TLSContext?) async -> String? {
        do {
            await (try AdminConnection(target, security)).close()
            return nil
        } catch let failure as Failure {
            return failure.message
        } catch {
            return "\(error)"
        }
    }
}

/// `brokerctl logout [NAME]`.
struct LogoutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout",
        abstract: "Forgets a context and its credentials.",
        discussion: """
            A token stays valid until it expires; `token revoke` revokes it.

            Example:
              brokerctl logout production
            """)

    @Argument(help: "The context. (default: the one in use)")
    var name: String?

    func run() throws {
        let gone = try ContextFile.update { (file) throws(Failure) -> String in
            guard let name = name ?? file.current else { throw .failed("no context is in use") }
            guard file.remove(name) else { throw .failed("there is no context \(Output.printable(name))") }
            return name
        }
        Output.print("forgotten: \(Output.printable(gone))")
    }
}

/// `brokerctl contexts`.
struct ContextsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "contexts",
        abstract: "Lists the saved contexts, without their secrets.",
        discussion: """
            Example:
              brokerctl contexts --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    func run() throws {
        let file = try ContextFile.read()
        guard connection.json else {
            let rows = file.contexts.map { context in
                [context.name == file.current ? "*" : "", context.name, context.url, context.identity]
            }
            return TextTable(["", "NAME", "URL", "AS"], rows).print()
        }
        var writer = JSONWriter()
        writer.beginArray()
        for context in file.contexts {
            writer.beginObject()
            writer.member("name", context.name)
            writer.member("url", context.url)
            writer.member("identity", context.identity)
            writer.member("current", context.name == file.current)
            writer.endObject()
        }
        writer.endArray()
        Output.printJSON(writer.bytes)
    }
}

/// `brokerctl context use NAME`.
struct ContextCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "context",
        abstract: "Lists contexts, and selects the one for commands that name no broker.",
        discussion: """
            Examples:
              brokerctl context list
              brokerctl context use production
            """,
        subcommands: [UseContext.self, ListContexts.self])
}

struct ListContexts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the saved contexts, as `contexts` does.",
        discussion: """
            Example:
              brokerctl context list
            """)

    @OptionGroup var contexts: ContextsCommand

    func run() throws { try contexts.run() }
}

struct UseContext: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "use",
        abstract: "Uses a context from now on.",
        discussion: """
            Example:
              brokerctl context use production
            """)

    @Argument(help: "The context's name.")
    var name: String

    func run() throws {
        try ContextFile.update { (file) throws(Failure) in
            guard file[name] != nil else { throw .failed("there is no context \(Output.printable(name))") }
            file.current = name
        }
        Output.print("in use: \(Output.printable(name))")
    }
}
