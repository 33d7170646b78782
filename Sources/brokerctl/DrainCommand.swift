internal import ArgumentParser
internal import Broker

/// `brokerctl reload`.
struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Reloads the configuration of the running broker.",
        discussion: """
            Like SIGHUP, it reloads the configuration, the file of users and tokens, and keys. It returns when they are \
            in force, and shows which settings have changed and which need a restart. If there are errors, it shows \
            them, and the old configuration stays in force.

            Examples:
              brokerctl reload
              brokerctl reload --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    func run() async throws {
        let result = try await connection.ask(ReloadRequest())
        if connection.json { return result.print() }
        let answer = result.answer
        Output.print("reloaded")
        if !answer.changed.isEmpty { Output.print("changed: \(answer.changed.joined(separator: " "))") }
        guard !answer.needsRestart.isEmpty else { return }
        Output.print("needs a restart: \(answer.needsRestart.joined(separator: " "))")
    }
}

/// `brokerctl drain`.
struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Shuts the broker down gracefully.",
        discussion: """
            Like SIGTERM: the broker accepts no new connections, acknowledges publications once they are stored, and \
            tells each client when to reconnect. The command returns when the shutdown begins.

            Clients reconnect at the rate of drain.reconnects_per_second, or at random times within --retry-spread.

            Examples:
              brokerctl drain
              brokerctl drain --retry-spread 60s --yes
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @Option(
        help: ArgumentHelp(
            "Spread the reconnections of the clients over this time, such as 500ms, 60s or 10m.", valueName: "time"))
    var retrySpread: String?

    @OptionGroup var consent: Consent

    func validate() throws { _ = try Self.spread(retrySpread) }

    static func spread(_ retrySpread: String?) throws -> Int? {
        guard let retrySpread else { return nil }
        guard let milliseconds = Quantity.milliseconds(retrySpread),
            milliseconds <= Double(DrainRequest.longestSpread)
        else { throw ValidationError("--retry-spread: expected a time such as 500ms, 60s or 10m, at most a day") }
        return Quantity.whole(milliseconds)
    }

    func run() async throws {
        var request = DrainRequest()
        request.retrySpread = try Self.spread(retrySpread)
        try consent.ask("Shut down the broker?")
        let result = try await connection.ask(request)
        if connection.json { return result.print() }
        Output.print("the broker is shutting down")
    }
}
