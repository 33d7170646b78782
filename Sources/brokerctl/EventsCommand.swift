internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl events`: what happens to clients and to the broker.
struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Prints the last events, and follows them.",
        discussion: """
            An event is something that an operator may need to know: a client connected, left, was refused, was kicked, is \
            slow or dead; a gap; the store fails or recovers; a reload. The broker keeps the last log.event_memory bytes \
            of events. It keeps at most 1,000 of one kind in 10 s, and counts the rest (broker_events_total).

            Examples:
              brokerctl events --since 10m --kind refused,slow
              brokerctl events --since 2026-11-29T06:00:00Z --json | jq .
              brokerctl events --follow --user bob
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Flag(name: .shortAndLong, help: "Continue with new events as they arrive.")
    var follow = false

    @Option(
        help: ArgumentHelp(
            """
            Only these kinds, separated by commas: connected, left, refused, slow, dead, kicked, gap, store-failed, \
            store-recovered, certificate, keys, users, reload, drain. (default: all)
            """, valueName: "kinds"))
    var kind: String?

    @Option(help: ArgumentHelp("Only events of this client.", valueName: "id"))
    var client: String?

    @Option(help: ArgumentHelp("Only events of this user's clients.", valueName: "name"))
    var user: String?

    @Option(
        help: ArgumentHelp(
            "Only events of the last 10m, 1h or 7d, or since a time such as 2026-11-29T06:00. (default: all)",
            valueName: "time"),
        transform: Moment.parse)
    var since: Moment?

    func run() async throws {
        var request = ReadEventsRequest()
        request.kinds = (kind ?? "").split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
        (request.client, request.user) = (client, user)
        request.since = since?.unixMilliseconds
        if follow { Output.endWithReader() }
        let admin = try await AdminConnection(connection)
        var list: [[UInt8]] = []
        while true {
            let answer = try await admin.ask(request).answer
            if answer.missed > 0 { Output.complain("missing events: \(answer.missed)") }
            if connection.json, !follow { list += answer.lines } else { answer.lines.forEach(show) }
            request.after = answer.next
            if answer.hasMore { continue }
            guard follow else { break }
            request.isWaiting = true
        }
        if connection.json, !follow { Output.printJSON(Self.list(list)) }
        await admin.close()
    }

    /// The elements as one JSON array.
    static func list(_ elements: [[UInt8]]) -> [UInt8] {
        Array("[".utf8) + elements.joined(separator: Array(",\n ".utf8)) + Array("]".utf8)
    }

    private func show(_ line: [UInt8]) { Self.show(line, asJSON: connection.json) }

    /// Prints an event, or a decision of a trace.
    static func show(_ line: [UInt8], asJSON: Bool) {
        if !asJSON, let text = Self.text(of: line) { return Output.print(Output.printable(text)) }
        Output.printJSON(line)
    }

    /// An event as text: its time, its kind and its details; `nil` if the line is not an event.
    private static func text(of line: [UInt8]) -> String? {
        var words: [String] = []
        do throws(JSONError) {
            let object = try JSONObject.parse(line.span)
            guard let time = try object.string("time"), let event = try object.string("event") else { return nil }
            words = [time, event]
            for index in 0..<object.count {
                let name = object.name(at: index)
                if name == "time" || name == "event" { continue }
                let value = object.value(at: index)
                let text = value.string ?? String(decoding: value.copyRawBytes(), as: UTF8.self)
                words.append("\(name)=" + (text.contains(" ") || text.isEmpty ? "\"\(text)\"" : text))
            }
        } catch {
            return nil
        }
        return words.joined(separator: " ")
    }
}
