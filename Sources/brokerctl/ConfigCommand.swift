internal import ArgumentParser
internal import Broker

/// `brokerctl config …`: configuration files, without a broker.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Checks and shows configuration files.",
        discussion: """
            Examples:
              brokerctl config check broker.yaml
              brokerctl config show broker.yaml
            """,
        subcommands: [CheckConfig.self, ShowConfig.self])

    @OptionGroup var connection: ConnectionOptions
}

/// `brokerctl config check FILE`: the same code as the broker's own.
struct CheckConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Says everything that is wrong in a configuration file.",
        discussion: """
            Example:
              brokerctl config check /etc/broker/broker.yaml
            """)

    @Argument(help: "The file.")
    var file: String

    func run() throws {
        let broken = Broker.certificateErrors(in: try ShowConfig.read(file))
        for error in broken { Output.printError(Output.printable("\(file): \(error)")) }
        if !broken.isEmpty { throw ExitCode(1) }
        Output.print("\(file): ok")
    }
}

/// `brokerctl config show [FILE]`.
struct ShowConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Prints every setting as a configuration file sets it; without one, the defaults.",
        discussion: """
            Examples:
              brokerctl config show --comments > broker.yaml
              brokerctl config show /etc/broker/broker.yaml
            """)

    @Argument(help: "The file.")
    var file: String?

    @Flag(help: "With what each setting means, and with the optional ones that are not set.")
    var comments = false

    @Flag(help: .hidden)
    var manual = false

    func run() throws {
        let settings = try file.map(Self.read) ?? Settings()
        let text =
            if manual { SettingsManual.markdown() } else if comments { SettingsWriter.explained(settings) } else {
                SettingsWriter.yaml(settings)
            }
        Output.write(Array(text.utf8))
    }

    /// Reads a file, or ends with all its errors on standard error, one a line.
    static func read(_ file: String) throws -> Settings {
        do throws(ConfigurationErrors) {
            return try ConfigurationReader.read(path: file)
        } catch {
            for error in error.errors { Output.printError(Output.printable(error.description)) }
            throw ExitCode(1)
        }
    }
}
