internal import ArgumentParser
internal import Broker

/// `brokerctl status`: a summary of the broker.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows the state of the broker.",
        discussion: """
            The exit status is 1 if the broker is not ready.

            Examples:
              brokerctl status
              brokerctl status --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    func run() async throws {
        let result = try await connection.ask(StatusRequest())
        if connection.json {
            result.print()
        } else {
            for (name, value) in Self.lines(result.answer) {
                Output.print(name + String(repeating: " ", count: max(1, 16 - name.count)) + Output.printable(value))
            }
        }
        if result.answer.failure != nil { throw ExitCode(1) }
    }

    private static func lines(_ status: StatusRequest.Answer) -> [(String, String)] {
        var lines: [(String, String)] = [
            ("server", "\(status.server), process \(status.processIdentifier.map(String.init) ?? "-")"),
            ("state", status.failure == nil ? "ready" : "not ready"),
            ("running", Quantity.span(seconds: status.uptimeSeconds)),
            ("listening", status.listen.joined(separator: ", ")),
            ("reactors", "\(status.reactors), sending with \(status.backend)"),
            ("connections", "\(status.connections)"),
            ("clients", "\(status.clients)"),
            ("subscriptions", "\(status.subscriptions)"),
            ("published", "\(status.published)"),
            ("delivered", "\(status.delivered)"),
            ("last seq", "\(status.seq), epoch \(status.epoch)"),
        ]
        if let store = status.store {
            lines.append(("retained", "\(store.values) values, \(Quantity.size(store.valueBytes))"))
            lines.append(("store", "\(Quantity.size(store.usedBytes)) of \(Quantity.size(store.maximumBytes))"))
        }
        if let commit = status.lastCommit { lines.append(("last commit", "\(Quantity.fixed(commit)) ms")) }
        if let all = status.diskBytes, let free = status.diskFreeBytes {
            lines.append(("disk", "\(Quantity.size(free)) free of \(Quantity.size(all))"))
        }
        if let open = status.descriptors, let most = status.maximumDescriptors {
            lines.append(("descriptors", "\(open) of \(most)"))
        }
        for certificate in status.certificates {
            let words = certificate.seconds.map { $0 < 0 ? "has expired" : "expires in \(Quantity.span(seconds: $0))" }
            lines.append(("certificate", "\(certificate.file) \(words ?? "cannot be read")"))
        }
        lines.append(("memory", Quantity.size(status.memoryBytes)))
        lines.append(("data directory", status.dataDirectory))
        if let moved = status.movedAside { lines.append(("moved aside", "\(moved): the store was damaged")) }
        return lines
    }
}
