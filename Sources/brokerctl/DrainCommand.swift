internal import ArgumentParser
internal import Broker

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
