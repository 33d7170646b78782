internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl retained …`: retained values of topics.
struct RetainedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retained",
        abstract: "Lists, reads, sets and deletes retained values.",
        discussion: """
            Examples:
              brokerctl retained list 'sensors/+/temp'
              brokerctl retained get camera/1 > picture.png
              brokerctl retained set sensors/1/temp 21.5
              brokerctl retained delete 'sensors/#'
              brokerctl retained export > values.jsonl
            """,
        subcommands: [
            ListRetained.self, GetRetained.self, SetRetained.self, DeleteRetained.self,
            ExportRetained.self, ImportRetained.self,
        ])

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
}

/// `brokerctl retained list [FILTER]`.
struct ListRetained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists retained values without their data.",
        discussion: """
            Example:
              brokerctl retained list 'sensors/#' --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "Only topics that match this filter.")
    var filter: String?

    /// Requests page after page, because an answer is limited; the list is complete.
    func run() async throws {
        let admin = try await AdminConnection(connection)
        var json: [UInt8] = []
        var rows: [[String]] = []
        var position: String?
        repeat {
            let result = try await admin.ask(RetainedListRequest(filter: filter, after: position))
            if connection.json {
                json += (json.isEmpty || result.elements.isEmpty ? [] : [UInt8(ascii: ",")]) + result.elements
            } else {
                rows += result.answer.elements.map(Self.cells)
            }
            position = result.answer.next
        } while position != nil
        await admin.close()
        if connection.json { return Output.printJSON([UInt8(ascii: "[")] + json + [UInt8(ascii: "]")]) }
        TextTable(
            [
                "TOPIC", .right("SEQ"), .right("AGE"), .right("SIZE"), "KIND", .right("EXPIRES IN"), "TYPE",
            ], rows
        ).print()
    }

    private static func cells(_ value: RetainedSummary) -> [String] {
        let now = WallClock.unixMilliseconds
        return [
            value.topic,
            String(value.seq),
            Quantity.span(seconds: Int((now - max(0, value.time ?? now)) / 1000)),
            Quantity.size(value.bytes),
            value.kind,
            value.expires.map { Quantity.span(seconds: Int((max(0, $0) - now) / 1000)) } ?? "-",
            value.type ?? "-",
        ]
    }
}

/// `brokerctl retained get TOPIC`.
struct GetRetained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Prints the exact bytes of a retained value, or the values that a filter matches.",
        discussion: """
            On a terminal, control characters are shown as \\u{…}. With a filter that has wildcards, each value \
            is a line, TOPIC DATA, as `sub` prints it.

            Examples:
              brokerctl retained get sensors/1/temp
              brokerctl retained get 'sensors/+/temp' --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The topic, or a filter with wildcards.", completion: CompleteCommand.words(.topics))
    var topic: String

    /// Prints the values that a filter matches.
    private func showAll() async throws {
        let admin = try await AdminConnection(connection)
        var position: String?
        var array = JSONWriter()
        array.beginArray()
        repeat {
            let answer = try await admin.ask(RetainedExportRequest(filter: topic, after: position)).answer
            for value in answer.values {
                guard !connection.json else {
                    array.raw(value.json.span)
                    continue
                }
                let line = try TopicMessage(try JSONObject.parse(value.json.span, maximumDepth: AdminWire.maximumDepth))
                    .line
                let text =
                    Output.isTerminal ? Array(Output.printable(String(decoding: line, as: UTF8.self)).utf8) : line
                Output.print(text)
            }
            position = answer.next
        } while position != nil
        await admin.close()
        array.endArray()
        if connection.json { Output.printJSON(array.bytes) }
    }

    func run() async throws {
        if topic.utf8.contains(where: "+#".utf8.contains) { return try await showAll() }
        let result = try await connection.ask(RetainedGetRequest(topic: topic, isExact: !connection.json))
        if connection.json { return result.print() }
        let bytes = result.answer.payload
        guard Output.isTerminal else { return Output.write(bytes) }
        let text = Output.printable(String(decoding: bytes, as: UTF8.self), keepsLines: true)
        Output.write(Array((text.hasSuffix("\n") ? text : text + "\n").utf8))
    }
}

/// `brokerctl retained set TOPIC DATA|-`.
struct SetRetained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Publishes a retained value, and returns when it is on disk.",
        discussion: """
            Examples:
              brokerctl retained set sensors/1/temp 21.5
              brokerctl retained set camera/1 - --binary --type image/png < picture.png
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var options: PayloadOptions

    @Argument(help: "The topic.", completion: CompleteCommand.words(.topics))
    var topic: String

    @Argument(help: "The value; - reads it from standard input.")
    var data: String

    func run() async throws {
        let payload = try options.read(data, maximum: 256 << 20)
        var request = payload.request(topic: topic, type: options.type)
        request.timeToLive = options.ttl
        let result = try await connection.ask(request)
        if connection.json { result.print() }
    }
}

/// `brokerctl retained delete FILTER`.
struct DeleteRetained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Deletes retained values, and prints how many.",
        discussion: """
            Examples:
              brokerctl retained delete sensors/1/temp
              brokerctl retained delete 'sensors/#' --dry-run
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The topic, or a filter with wildcards.")
    var filter: String

    @Flag(help: "Delete nothing; print how many would be deleted.")
    var dryRun = false

    @OptionGroup var consent: Consent

    func run() async throws {
        if !dryRun { try consent.ask("Delete the retained values that \(filter) matches?") }
        let result = try await connection.ask(RetainedDeleteRequest(filter: filter, isTrial: dryRun))
        if connection.json { return result.print() }
        guard dryRun else { return Output.print("deleted: \(result.answer.deleted)") }
        let count = result.answer.matching ?? 0
        Output.print("\(count) \(count == 1 ? "value" : "values") would be deleted; nothing was.")
    }
}
