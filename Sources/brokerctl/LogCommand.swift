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

/// `brokerctl audit`: shows the audit log.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Prints the last lines of the audit log, and follows it.",
        discussion: """
            The broker keeps the last log.audit_memory bytes of its audit log in memory; older lines are in the file \
            that log.audit names. Each line is a JSON object; with --json and without --follow the output is one array. \
            If this command is too slow, it reports how many lines are missing.

            Examples:
              brokerctl audit --since 1h
              brokerctl audit --since 2026-11-29T06:00 | jq .
              brokerctl audit --follow --user bob
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Flag(name: .shortAndLong, help: "Continue with new lines as they arrive.")
    var follow = false

    @Option(
        help: ArgumentHelp(
            "Only lines of the last 10m, 1h or 7d, or since a time such as 2026-11-29T06:00. (default: all)",
            valueName: "time"),
        transform: Moment.parse)
    var since: Moment?

    @Option(help: ArgumentHelp("Only lines about this user or about what the user did.", valueName: "name"))
    var user: String?

    func run() async throws {
        var request = ReadAuditRequest()
        request.user = user
        request.since = since?.unixMilliseconds
        if follow { Output.endWithReader() }
        let admin = try await AdminConnection(connection)
        let isList = connection.json && !follow
        var list: [[UInt8]] = []
        while true {
            let answer = try await admin.ask(request).answer
            if answer.missed > 0 { Output.complain("missing lines: \(answer.missed)") }
            if isList { list += answer.lines } else { answer.lines.forEach(Output.printJSON) }
            request.after = answer.next
            if answer.hasMore { continue }
            guard follow else { break }
            request.isWaiting = true
        }
        if isList { Output.printJSON(EventsCommand.list(list)) }
        await admin.close()
    }
}
