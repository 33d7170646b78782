internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl cluster …`: the brokers that serve one topic space, as one of them sees them.
struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "Shows the brokers of a cluster and its log, as one broker sees them.",
        discussion: """
            Examples:
              brokerctl cluster
              brokerctl cluster nodes
              brokerctl cluster drain b
              brokerctl cluster forget 5f3c09a1b2c4d6e8
            """,
        subcommands: [ClusterStatus.self, ClusterNodes.self, DrainNode.self, ForgetNode.self],
        defaultSubcommand: ClusterStatus.self)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
}

/// `brokerctl cluster [status]`.
struct ClusterStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows how this broker follows the cluster's log.",
        discussion: """
            The exit status is 1 if the broker is not ready because of the cluster.

            Example:
              brokerctl cluster status --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    func run() async throws {
        let result = try await connection.ask(ClusterRequest())
        if connection.json {
            result.print()
        } else {
            for (name, value) in Self.lines(result.answer) {
                Output.print(name + String(repeating: " ", count: max(1, 16 - name.count)) + Output.printable(value))
            }
        }
        if result.answer.reason != nil { throw ExitCode(1) }
    }

    private static func rules(_ answer: ClusterRequest.Answer) -> String {
        guard let node = answer.rulesNode else { return "each broker's own" }
        let time = answer.rulesTime.map { ", " + "\(Timestamp(unixMilliseconds: $0))" } ?? ""
        let differing = answer.rulesDiffering
        return "set by \(node)\(time)"
            + (differing.isEmpty ? "" : "; this broker's file differs in \(differing.joined(separator: ", "))")
    }

    private static func format(_ answer: ClusterRequest.Answer) -> String {
        let newest = answer.nodes.map(\.format).max() ?? answer.format
        let older = answer.nodes.filter { $0.format < newest }.map { $0.name.isEmpty ? $0.node : $0.name }
        let reason = older.isEmpty ? "" : ": \(older.joined(separator: ", ")) cannot read \(newest)"
        return "\(answer.format)\(reason)"
    }

    private static func lines(_ answer: ClusterRequest.Answer) -> [(String, String)] {
        let alive = answer.nodes.count(where: \.isAlive)
        var lines = [
            ("cluster", "\(answer.cluster), epoch \(answer.epoch)"),
            ("node", "\(answer.name), \(answer.node)"),
            ("state", answer.state),
        ]
        if let reason = answer.reason { lines.append(("not ready", reason)) }
        lines += answer.warnings.map { ("warning", $0) }
        lines += [
            ("nodes", "\(alive) of \(answer.nodes.count) alive"),
            ("position", "\(answer.position) of \(answer.top), term \(answer.term)"),
            ("appends at", answer.primary.map { "\($0), version \(answer.version ?? "-")" } ?? "-"),
            ("reads at", answer.replica ?? "-"),
            ("record format", format(answer)),
            ("lag", answer.lag.map { "\(Quantity.fixed($0)) ms" } ?? "-"),
            ("waiting", "\(answer.waiting) records"),
            ("rules", rules(answer)),
            (
                "since the start",
                "engine lost \(answer.failures) times, \(answer.terms) terms, \(answer.restored) entries restored, "
                    + "refused \(answer.surrenders) times"
            ),
        ]
        for one in answer.partitions {
            lines.append(
                (
                    "partition \(one.partition)",
                    "\(one.state), \(one.position) of \(one.top), term \(one.term), at \(one.primary ?? "-"), "
                        + "\(one.waiting) records wait, engine lost \(one.failures) times"
                ))
        }
        return lines
    }
}

/// `brokerctl cluster nodes`.
struct ClusterNodes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodes",
        abstract: "Lists the brokers of the cluster.",
        discussion: """
            Example:
              brokerctl cluster nodes --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    func run() async throws {
        let result = try await connection.ask(ClusterRequest())
        if connection.json {
            var writer = JSONWriter()
            writer.beginArray()
            for node in result.answer.nodes {
                writer.beginObject()
                node.write(to: &writer)
                writer.endObject()
            }
            writer.endArray()
            return Output.printJSON(writer.bytes)
        }
        let rows = result.answer.nodes.map { node in
            [
                node.node, node.name, node.version, Self.state(of: node),
                "\(node.clients)", node.position, node.fileDiffers ? "differs" : "same", node.listen,
            ]
        }
        TextTable(["NODE", "NAME", "VERSION", "STATE", .right("CLIENTS"), "POSITION", "FILE", "LISTENS ON"], rows)
            .print()
    }

    private static func state(of node: ClusterRequest.Node) -> String {
        guard node.isHere || node.isAlive else { return "gone" }
        return node.isHere ? "here" : node.differs ? "differs" : "alive"
    }
}

/// `brokerctl cluster forget NODE`.
struct ForgetNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget",
        abstract: "Forgets a broker that will not come back.",
        discussion: """
            Until then, the others wait for it when a term begins, and commands for all brokers report that it does not \
            respond. A broker that returns is known again.

            Examples:
              brokerctl cluster forget c
              brokerctl cluster forget 5f3c09a1b2c4d6e8
            """)

    @Argument(help: "The broker's name or number, as `brokerctl cluster nodes` shows it.")
    var node: String

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    func run() async throws {
        let result = try await connection.ask(ForgetNodeRequest(node: node))
        if connection.json { return result.print() }
        Output.print(Output.printable("forgot \(node)"))
    }
}

/// `brokerctl cluster drain NODE`.
struct DrainNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Shuts a broker of the cluster down gracefully.",
        discussion: """
            Like brokerctl drain at that broker: it stops being ready, tells its clients to reconnect, acknowledges what \
            they have published, and leaves the list of brokers. The others continue. The command returns when the \
            shutdown begins.

            Examples:
              brokerctl cluster drain b
              brokerctl cluster drain 5f3c09a1b2c4d6e8 --retry-spread 60s --yes
            """)

    @Argument(help: "The broker's name or number, as `brokerctl cluster nodes` shows it.")
    var node: String

    @Option(
        help: ArgumentHelp(
            "Spread the reconnections of the clients over this time, such as 500ms, 60s or 10m.", valueName: "time"))
    var retrySpread: String?

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @OptionGroup var consent: Consent

    func validate() throws { _ = try DrainCommand.spread(retrySpread) }

    func run() async throws {
        var request = DrainRequest()
        request.retrySpread = try DrainCommand.spread(retrySpread)
        request.node = node
        try consent.ask("Shut down the broker \(node)?")
        let result = try await connection.ask(request)
        if connection.json { return result.print() }
        Output.print(Output.printable("the broker \(node) is shutting down"))
    }
}
