internal import ArgumentParser
internal import Broker
internal import WSTransport

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
