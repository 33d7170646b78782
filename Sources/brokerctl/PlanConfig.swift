internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

/// `brokerctl config plan FILE`.
struct PlanConfig: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Shows what a reload of a file would change in the running broker.",
        discussion: """
            The running broker reads FILE as if it were its own, with its environment and its command line. It shows \
            which settings would take effect at once, which would need a restart, and what connected clients would \
            lose. It changes nothing. The exit status is 1 if the reload would be refused.

            Example:
              brokerctl config plan broker.yaml && cp broker.yaml /etc/broker/broker.yaml && brokerctl reload
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The file; - reads standard input.")
    var file: String

    func run() async throws {
        let result = try await connection.ask(try Self.request(file))
        let answer = result.answer
        if connection.json {
            result.print()
        } else {
            for error in answer.errors { Output.printError(Output.printable(error)) }
            if answer.errors.isEmpty { Self.show(answer) }
        }
        if !answer.errors.isEmpty { throw ExitCode(1) }
    }

    /// The request for a plan of a file; `-` is standard input.
    static func request(_ file: String) throws(Failure) -> ConfigPlanRequest {
        let bytes = file == "-" ? try Input.read(maximum: ConfigurationReader.maximumFileSize) : try read(file)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .failed("\(file): expected UTF-8") }
        return ConfigPlanRequest(text: text, name: file == "-" ? "standard input" : file)
    }

    private static func read(_ path: String) throws(Failure) -> [UInt8] {
        let maximum = ConfigurationReader.maximumFileSize
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try FileDescriptor.reading(path).readToEnd(atMost: maximum)
        } catch {
            throw .failed("\(path): \(error)")
        }
        guard bytes.count <= maximum else { throw .failed("\(path): more than \(maximum) bytes") }
        return bytes
    }

    static func show(_ answer: ConfigPlanRequest.Answer) {
        guard !answer.changes.isEmpty else { return Output.print("nothing would change") }
        TextTable(
            ["SETTING", "NOW", "THEN", "WHEN"],
            answer.changes.map {
                [$0.path, $0.old ?? "-", $0.new ?? "-", $0.needsRestart ? "after a restart" : "with a reload"]
            }
        ).print()
        Output.print("")
        if answer.changes.contains(where: \.needsRestart) {
            Output.print("a restart disconnects all clients, currently \(answer.clients)")
        }
        guard let losses = answer.losses else { return }
        let least = losses.isPartial ? "at least " : ""
        Output.print("clients that would be disconnected: \(least)\(losses.disconnected) of \(answer.clients)")
        Output.print(
            "clients that would lose subscriptions: \(least)\(losses.clients) of \(answer.clients), "
                + "\(least)\(losses.subscriptions) subscriptions")
    }
}

/// `brokerctl config diff`.
struct DiffConfig: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Compares the settings in force with the broker's file as it is now, or with another file.",
        discussion: """
            A line with - is a setting in force; one with + is what the file, the environment and the command line say. \
            Settings that need a restart are included.

            Examples:
              brokerctl config diff
              brokerctl config diff broker.yaml
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "Another file; - reads standard input. (default: the broker's own)")
    var file: String?

    func run() async throws {
        let result = try await connection.ask(try file.map(PlanConfig.request) ?? ConfigPlanRequest())
        let answer = result.answer
        if connection.json {
            result.print()
        } else {
            for error in answer.errors { Output.printError(Output.printable(error)) }
            for change in answer.changes {
                if let old = change.old { Output.print(Output.printable("- \(change.path): \(old)")) }
                let note = change.needsRestart ? "  # needs a restart" : ""
                if let new = change.new { Output.print(Output.printable("+ \(change.path): \(new)\(note)")) }
            }
        }
        if !answer.errors.isEmpty { throw ExitCode(1) }
    }
}
