internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl audit`: who did what.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Prints the last lines of the audit log, and follows it.",
        discussion: """
            The broker remembers the last lines that it has written to log.audit, log.audit_memory bytes of them; older \
            ones are in its file. Each line is an object of JSON; with --json and without --follow they are one array. \
            Lines that this command is too slow for are said to be missing.

            Examples:
              brokerctl audit --since 1h
              brokerctl audit --since 2026-11-29T06:00 | jq .
              brokerctl audit --follow --user bob
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Flag(name: .shortAndLong, help: "Go on with the lines that come.")
    var follow = false

    @Option(
        help: ArgumentHelp(
            "Only lines of the last 10m, 1h or 7d, or since a time such as 2026-11-29T06:00. (default: all)",
            valueName: "time"),
        transform: Moment.parse)
    var since: Moment?

    @Option(help: ArgumentHelp("Only lines about this user, or what it has done.", valueName: "name"))
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
            if answer.missed > 0 { Output.complain("lines that are missing here: \(answer.missed)") }
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
