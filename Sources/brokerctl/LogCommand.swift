internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl log …`: the running broker's log.
struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Sets which lines the running broker logs.",
        discussion: """
            Example:
              brokerctl log level debug --for 10m
            """,
        subcommands: [LogLevelCommand.self])

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
}

/// `brokerctl log level [LEVEL]`.
struct LogLevelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "level",
        abstract: "Shows or sets the log level of the running broker.",
        discussion: """
            The level takes effect at once and lasts for the time of --for, or until the next reload or start, which \
            restores log.level of the configuration.

            Examples:
              brokerctl log level
              brokerctl log level debug --for 10m
              brokerctl log level warning
            """)

    /// From only the most urgent lines to all lines.
    enum Level: String, ExpressibleByArgument, CaseIterable { case error, warning, info, debug }

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "error, warning, info or debug; without it, the current level is shown.")
    var level: Level?

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp(
            "For how long, such as 10m or 1h, at most 7d. (default: until the next reload)", valueName: "time"))
    var time: String?

    func validate() throws {
        guard time == nil || level != nil else { throw ValidationError("--for requires a level") }
        if time != nil, seconds == nil { throw ValidationError("--for: expected a time such as 10m, at most 7d") }
    }

    private var seconds: Int64? {
        time.flatMap(Quantity.seconds).flatMap { (1...LogLevelRequest.longest).contains($0) ? $0 : nil }
    }

    func run() async throws {
        let result = try await connection.ask(LogLevelRequest(level: level?.rawValue, seconds: seconds))
        if connection.json { return result.print() }
        let answer = result.answer
        var line = answer.level
        if let until = answer.until {
            let left = max(0, max(0, until) - WallClock.unixMilliseconds + 999) / 1000
            line += ", for \(Quantity.span(seconds: Int(left))); then \(answer.configured)"
        } else if answer.level != answer.configured {
            line += ", until the next reload; then \(answer.configured)"
        }
        Output.print(Output.printable(line))
    }
}
