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
            ones are in its file. Each line is an object of JSON. Lines that this command is too slow for are said to be \
            missing.

            Examples:
              brokerctl audit --since 1h
              brokerctl audit --follow --user bob
            """)

    @OptionGroup var connection: ConnectionOptions

    @Flag(name: .shortAndLong, help: "Go on with the lines that come.")
    var follow = false

    @Option(help: ArgumentHelp("Only lines of the last 10m, 1h or 7d. (default: all)", valueName: "time"))
    var since: String?

    @Option(help: ArgumentHelp("Only lines about this user, or what it has done.", valueName: "name"))
    var user: String?

    func run() async throws {
        var request = ReadAuditRequest()
        request.user = user
        if let since {
            guard let seconds = Quantity.seconds(since), seconds > 0 else {
                throw Failure.usage("--since: expected a time such as 10m, 1h or 7d")
            }
            request.since = WallClock.unixMilliseconds - min(seconds, Principal.lastSecond) * 1000
        }
        if follow { Output.endWithReader() }
        let admin = try await AdminConnection(connection)
        while true {
            let answer = try await admin.ask(request).answer
            if answer.missed > 0 { Output.complain("lines that are missing here: \(answer.missed)") }
            for line in answer.lines { Output.printJSON(line) }
            request.after = answer.next
            if answer.hasMore { continue }
            guard follow else { break }
            request.isWaiting = true
        }
        await admin.close()
    }
}
