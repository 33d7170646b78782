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

    @OptionGroup var connection: ConnectionOptions

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
            As SIGTERM does: no new connections, stored publications acknowledged, each client told when to come back. It
            returns when the broker begins.

            Example:
              brokerctl drain
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var consent: Consent

    func run() async throws {
        try consent.ask("Shut the broker down?")
        let result = try await connection.ask(DrainRequest())
        if connection.json { return result.print() }
        Output.print("the broker shuts down")
    }
}
