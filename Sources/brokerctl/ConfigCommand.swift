internal import ArgumentParser
internal import Broker

/// `brokerctl config …`: configuration files, and the running broker's configuration.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Checks, shows and compares configurations.",
        discussion: """
            Examples:
              brokerctl config check broker.yaml
              brokerctl config show
              brokerctl config plan broker.yaml
              brokerctl config diff
            """,
        subcommands: [CheckConfig.self, ShowConfig.self, DiffConfig.self, PlanConfig.self, ReloadCommand.self])

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
}

/// `brokerctl config check FILE`: the same code as the broker's own.
struct CheckConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Reports all errors in a configuration file.",
        discussion: """
            Example:
              brokerctl config check /etc/broker/broker.yaml
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The file.")
    var file: String

    func run() throws {
        guard connection.json else {
            let settings = try ShowConfig.read(file)
            for warning in Broker.warnings(in: settings) {
                Output.printError(Output.printable("\(file): warning: \(warning)"))
            }
            let broken = troubles(of: settings)
            for error in broken { Output.printError(Output.printable("\(error)")) }
            if !broken.isEmpty { throw ExitCode(1) }
            return Output.print("\(file): ok")
        }
        let (errors, warnings) = findings()
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("file", file)
        writer.member("ok", errors.isEmpty)
        writer.name("errors")
        writer.beginArray()
        for error in errors {
            writer.beginObject()
            // An error about an unreadable file, or about a setting that has its default, has no position.
            if error.line > 0 {
                writer.member("line", error.line)
                writer.member("column", error.column)
            }
            if !error.key.isEmpty { writer.member("key", error.key) }
            writer.member("message", error.message)
            writer.endObject()
        }
        writer.endArray()
        writer.name("warnings")
        writer.beginArray()
        for warning in warnings { writer.string(warning) }
        writer.endArray()
        writer.endObject()
        Output.printJSON(writer.bytes)
        if !errors.isEmpty { throw ExitCode(1) }
    }

    /// What keeps a broker from starting with the settings, besides their syntax.
    private func troubles(of settings: Settings) -> [ConfigurationError] {
        let places = ConfigurationPlaces(file: file)
        return Broker.errors(in: settings).map(places.error)
    }

    private func findings() -> (errors: [ConfigurationError], warnings: [String]) {
        do throws(ConfigurationErrors) {
            let settings = try ConfigurationReader.read(path: file)
            return (troubles(of: settings), Broker.warnings(in: settings))
        } catch {
            return (error.errors, [])
        }
    }
}

/// `brokerctl config show [FILE]`.
struct ShowConfig: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Prints all settings of the running broker, of a file, or the defaults.",
        discussion: """
            Without FILE and --defaults it shows the settings of the running broker, with secrets masked. Settings that \
            need a restart are listed at the top.

            Examples:
              brokerctl config show
              brokerctl config show --defaults --comments > broker.yaml
              brokerctl config show /etc/broker/broker.yaml
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The file.")
    var file: String?

    @Flag(help: "Print the defaults, without asking a broker.")
    var defaults = false

    @Flag(help: "Add what each setting means, and the optional settings that are not set.")
    var comments = false

    @Flag(help: .hidden)
    var manual = false

    func validate() throws {
        guard file == nil || !defaults else { throw ValidationError("--defaults and FILE cannot be combined") }
    }

    func run() async throws {
        guard file != nil || defaults || manual else { return try await showRunning() }
        let settings = try file.map(Self.read) ?? Settings()
        if connection.json { return Output.printJSON(SettingsWriter.json(settings)) }
        let text =
            if manual { SettingsManual.markdown() } else if comments { SettingsWriter.explained(settings) } else {
                SettingsWriter.yaml(settings)
            }
        Output.write(Array(text.utf8))
    }

    private func showRunning() async throws {
        let answer = try await connection.ask(ConfigShowRequest(isExplained: comments)).answer
        if connection.json { return Output.printJSON(answer.settings) }
        for change in answer.waiting {
            let values = "\(change.new ?? "nothing") after a restart; \(change.old ?? "nothing") until then"
            Output.print("# " + Output.printable("\(change.path): \(values)"))
        }
        let isTerminal = Output.isTerminal
        Output.write(Array((isTerminal ? Output.printable(answer.text, keepsLines: true) : answer.text).utf8))
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
