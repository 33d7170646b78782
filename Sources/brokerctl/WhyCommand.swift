internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl why CLIENT TOPIC`: whether a client got a topic's last messages, and why not.
struct WhyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Explains what happened to a topic's last messages for a client.",
        discussion: """
            Shows which of the client's filters match or why none does, which rule allows it, and for each message whether \
            it was refused, sent, acknowledged by the client's TCP or dropped, or is waiting. The broker remembers \
            log.flight_memory bytes of messages per event loop.

            Examples:
              brokerctl why 4f2k7w9x1a sensors/1/temp
              brokerctl why 4f2k7w9x1a chat/7 --limit 100 --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The client's id, as listed.")
    var client: String

    @Argument(help: "The topic.")
    var topic: String

    @Option(help: ArgumentHelp("How many of the last messages.", valueName: "n"))
    var limit = 10

    @Option(
        help: ArgumentHelp(
            "The broker of a cluster to ask, by name or number. (default: the one that has the client)",
            valueName: "name"))
    var node: String?

    func run() async throws {
        var request = WhyRequest(client: client, topic: topic, limit: limit)
        request.node = node
        let result = try await connection.ask(request)
        if connection.json { return result.print() }
        let answer = result.answer
        let who = [answer.user.map { "user \($0)" }, answer.address, answer.protocolName].compactMap(\.self)
        Output.print(Output.printable("client   \(client): \(who.joined(separator: ", "))"))
        let state = answer.isBehind ? "behind" : "keeps up"
        Output.print(
            "state    \(state), \(Quantity.size(answer.pendingBytes)) not taken, \(Quantity.size(answer.unacknowledgedBytes)) not acknowledged"
        )
        Output.print(
            Output.printable("right    \(answer.isAllowed ? "may subscribe" : "may not subscribe"): \(answer.rule)"))
        if answer.filters.isEmpty { Output.print("filter   none: it has no subscription") }
        for filter in answer.filters {
            let text = filter.matches ? "matches, since message \(filter.since)" : "does not match: \(filter.reason)"
            Output.print(Output.printable("filter   \(filter.filter): \(text)"))
        }
        if answer.messages.isEmpty { Output.print("message  no messages of this topic are remembered") }
        for message in answer.messages {
            let time = Timestamp(unixMilliseconds: message.time)
            let from = message.from.map { " from \($0)" } ?? ""
            let number = message.seq > 0 ? " \(message.seq)" : ""
            Output.print(Output.printable("message \(number)\(from) at \(time): \(message.reason)"))
        }
    }
}

/// `brokerctl trace`: each decision about a topic or a client.
struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Shows each decision about a topic or a client as it is made.",
        discussion: """
            Prints a line for each: accepted, stored or not, delivered to how many clients, waiting for a slow client, dropped, \
            a gap, repeated with a key, refused and why. If too many messages match, the surplus lines are only counted.

            Examples:
              brokerctl trace --topic 'sensors/#' --seconds 10
              brokerctl trace --client 4f2k7w9x1a
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Option(help: ArgumentHelp("Only topics that match this filter.", valueName: "filter"))
    var topic: String?

    @Option(help: ArgumentHelp("Only decisions that concern this client.", valueName: "id"))
    var client: String?

    @Option(
        name: .customLong("seconds"),
        help: ArgumentHelp("End after this time. (default: never)", valueName: "seconds"))
    var span: TimeSpan?

    private var seconds: Double? { span?.seconds }

    func validate() throws {
        guard topic != nil || client != nil else { throw ValidationError("expected --topic or --client") }
        guard seconds.map({ $0 > 0 && $0 <= 86_400 }) ?? true else {
            throw ValidationError("--seconds: expected more than 0, and at most 86400")
        }
    }

    func run() async throws {
        if seconds == nil { Output.endWithReader() }
        let admin = try await AdminConnection(connection)
        var request = TraceRequest(number: UInt64.random(in: 1...1 << 50), filter: topic, client: client)
        let end = seconds.map { MonotonicTime.now.advanced(byNanoseconds: Int64($0 * 1e9)) }
        while true {
            request.isLast = end.map { MonotonicTime.now >= $0 } ?? false
            let answer = try await admin.ask(request).answer
            if answer.missed > 0 { Output.complain("missing decisions: \(answer.missed)") }
            for line in answer.lines { EventsCommand.show(line, asJSON: connection.json) }
            if request.isLast { break }
            try await Task.sleep(for: .milliseconds(100))
        }
        await admin.close()
    }
}
