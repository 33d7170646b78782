internal import ArgumentParser
internal import Broker

/// `brokerctl status`: one look at the broker.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Says how the broker is.",
        discussion: """
            The exit status is 1 when the broker is not ready.

            Examples:
              brokerctl status
              brokerctl status --json
            """)

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let reply = try await AdminReply.ask(connection, "status")
        if connection.json {
            try reply.print()
        } else {
            for (name, value) in try reply.read(Self.lines) {
                Output.print(name + String(repeating: " ", count: max(1, 16 - name.count)) + Output.printable(value))
            }
        }
        let isReady = try reply.read { (status) throws(JSONError) in try status.bool("ready") ?? false }
        if !isReady { throw ExitCode(1) }
    }

    private static func lines(_ status: borrowing JSONObject) throws(JSONError) -> [(String, String)] {
        func count(_ name: String) throws(JSONError) -> String {
            try status.integer(name, as: Int.self).map(String.init) ?? "-"
        }
        func size(_ object: borrowing JSONObject, _ name: String) throws(JSONError) -> String {
            try object.integer(name, as: Int.self).map(Quantity.size) ?? "-"
        }
        let isReady = try status.bool("ready") ?? false
        var lines: [(String, String)] = [
            ("server", "\(try status.string("server") ?? "-"), process \(try count("pid"))"),
            ("state", isReady ? "ready" : "not ready"),
            ("running", Quantity.span(seconds: try status.integer("uptimeSeconds", as: Int.self) ?? 0)),
            ("listening", try status.strings("listen")?.joined(separator: ", ") ?? "-"),
            ("reactors", "\(try count("reactors")), which send by \(try status.string("backend") ?? "-")"),
            ("connections", try count("connections")),
            ("clients", try count("clients")),
            ("subscriptions", try count("subscriptions")),
            ("published", try count("published")),
            ("delivered", try count("delivered")),
            ("last seq", "\(try count("seq")), epoch \(try text(status, "epoch"))"),
        ]
        if let retained = try status.object("retained") {
            let values = try retained.integer("values", as: Int.self).map(String.init) ?? "-"
            lines.append(("retained", "\(values) values, \(try size(retained, "payloadBytes"))"))
        }
        if let store = try status.object("store") {
            lines.append(("store", "\(try size(store, "usedBytes")) of \(try size(store, "maximumBytes"))"))
        }
        lines.append(("memory", try size(status, "memoryBytes")))
        lines.append(("data directory", try status.string("dataDirectory") ?? "-"))
        if let moved = try status.string("movedAside") {
            lines.append(("moved aside", "\(moved): the store was damaged"))
        }
        return lines
    }

    /// A member that may be a number or a string.
    private static func text(_ object: borrowing JSONObject, _ name: String) throws(JSONError) -> String {
        guard let value = object.value(name) else { return "-" }
        return value.string ?? String(decoding: value.copyRawBytes(), as: UTF8.self)
    }
}
