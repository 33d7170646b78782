internal import ArgumentParser
internal import Broker

/// `brokerctl reload`.
struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Has the broker read its configuration again.",
        discussion: """
            As SIGHUP does: the configuration, the file of users and tokens, and keys. It returns when what they say \
            holds, and says which settings have changed, and which wait for a restart. Where they have errors, what \
            held before holds, and the errors are shown.

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
        abstract: "Shuts the broker down in order.",
        discussion: """
            As SIGTERM does: no new connections, stored publications acknowledged, each client told when to come back. It \
            returns when the broker begins.

            Clients come back at the rate of drain.reconnects_per_second, or at random within --retry-spread.

            Examples:
              brokerctl drain
              brokerctl drain --retry-spread 60s --yes
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @Option(help: ArgumentHelp("Have clients come back over so long, such as 500ms, 60s or 10m.", valueName: "time"))
    var retrySpread: String?

    @OptionGroup var consent: Consent

    func validate() throws { _ = try Self.spread(retrySpread) }

    static func spread(_ retrySpread: String?) throws -> Int? {
        guard let retrySpread else { return nil }
        guard let milliseconds = Quantity.milliseconds(retrySpread),
            milliseconds <= Double(DrainRequest.longestSpread)
        else { throw ValidationError("--retry-spread: expected a time such as 500ms, 60s or 10m, a day at most") }
        return Quantity.whole(milliseconds)
    }

    func run() async throws {
        var request = DrainRequest()
        request.retrySpread = try Self.spread(retrySpread)
        try consent.ask("Shut the broker down?")
        let result = try await connection.ask(request)
        if connection.json { return result.print() }
        Output.print("the broker shuts down")
    }
}
