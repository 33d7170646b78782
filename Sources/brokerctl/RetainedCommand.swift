internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl retained …`: the values that topics keep.
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

    @OptionGroup var connection: ConnectionOptions
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

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "Only topics that this filter matches.")
    var filter: String?

    private func question(after position: String?) -> [UInt8] {
        AdminConnection.question("retained.list") { writer in
            if let filter { writer.member("filter", filter) }
            if let position { writer.member("after", position) }
        }
    }

    /// The broker says so many at once; the list is whole all the same.
    func run() async throws {
        let admin = try await AdminConnection(connection)
        var json: [UInt8] = []
        var rows: [[String]] = []
        var position: String?
        repeat {
            let reply = try await admin.ask(question(after: position))
            if connection.json {
                let elements = reply.result.dropFirst().dropLast()
                json += (json.isEmpty || elements.isEmpty ? [] : [UInt8(ascii: ",")]) + elements
            } else {
                rows += try reply.rows(Self.cells)
            }
            position = reply.next
        } while position != nil
        await admin.close()
        if connection.json { return Output.printJSON([UInt8(ascii: "[")] + json + [UInt8(ascii: "]")]) }
        TextTable(
            [
                "TOPIC", .right("SEQ"), .right("AGE"), .right("SIZE"), "KIND", .right("EXPIRES IN"), "TYPE",
            ], rows
        ).print()
    }

    private static func cells(_ value: borrowing JSONObject) throws(JSONError) -> [String] {
        let now = WallClock.unixMilliseconds
        let time = try value.integer("time", as: Int64.self) ?? now
        return [
            try value.string("topic") ?? "-",
            try value.integer("seq", as: UInt64.self).map { String($0) } ?? "-",
            Quantity.span(seconds: Int((now - max(0, time)) / 1000)),
            Quantity.size(try value.integer("bytes", as: Int.self) ?? 0),
            try value.string("kind") ?? "-",
            try value.integer("expires", as: Int64.self)
                .map { Quantity.span(seconds: Int((max(0, $0) - now) / 1000)) } ?? "-",
            try value.string("type") ?? "-",
        ]
    }
}

/// `brokerctl retained get TOPIC`.
struct GetRetained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Prints a retained value, byte for byte.",
        discussion: """
            On a terminal, what would steer it is shown as \\u{…}.

            Example:
              brokerctl retained get sensors/1/temp
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The topic.")
    var topic: String

    func run() async throws {
        let reply = try await AdminReply.ask(connection, "retained.get") { writer in
            writer.member("topic", topic)
            if !connection.json { writer.member("exact", true) }
        }
        if connection.json { return try reply.print() }
        let bytes = try reply.read { (value) throws(JSONError) in try Self.payload(value) }
        guard Output.isTerminal else { return Output.write(bytes) }
        let text = Output.printable(String(decoding: bytes, as: UTF8.self), keepsLines: true)
        Output.write(Array((text.hasSuffix("\n") ? text : text + "\n").utf8))
    }

    private static func payload(_ value: borrowing JSONObject) throws(JSONError) -> [UInt8] {
        guard let data = value.value("data") else { return [] }
        if try value.string("encoding") == "base64" { return Base64.decode(data.string ?? "") ?? [] }
        if try value.string("kind") == "json" { return data.copyRawBytes() }
        return data.stringBytes ?? data.copyRawBytes()
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

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var options: PayloadOptions

    @Argument(help: "The topic.")
    var topic: String

    @Argument(help: "The value; - reads it from standard input.")
    var data: String

    func run() async throws {
        let payload = try options.read(data, maximum: 256 << 20)
        let reply = try await AdminReply.ask(connection, "retained.set") { writer in
            writer.member("topic", topic)
            payload.writeExactly(to: &writer, type: options.type)
            options.write(to: &writer)
        }
        if connection.json { try reply.print() }
    }
}

/// `brokerctl retained delete FILTER`.
struct DeleteRetained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Deletes retained values, and says how many.",
        discussion: """
            Examples:
              brokerctl retained delete sensors/1/temp
              brokerctl retained delete 'sensors/#' --dry-run
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The topic, or a filter with wildcards.")
    var filter: String

    @Flag(help: "Delete nothing, and say how many would be.")
    var dryRun = false

    @OptionGroup var consent: Consent

    func run() async throws {
        if !dryRun { try consent.ask("Delete the retained values that \(filter) matches?") }
        let reply = try await AdminReply.ask(connection, "retained.delete") { writer in
            writer.member("filter", filter)
            if dryRun { writer.member("dryRun", true) }
        }
        if connection.json { return try reply.print() }
        let member = dryRun ? "matching" : "deleted"
        let count = try reply.read { (result) throws(JSONError) in try result.integer(member, as: Int.self) ?? 0 }
        guard dryRun else { return Output.print("deleted: \(count)") }
        Output.print("\(count) \(count == 1 ? "value" : "values") would be deleted; nothing was.")
    }
}
