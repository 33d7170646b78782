internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl retained export [FILTER]`.
struct ExportRetained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Prints retained values with their data, one JSON object a line.",
        discussion: """
            Without FILTER it is every topic, those that begin with $ among them. Data that is no text, and text that JSON
            would change or make long, is in base64, so nothing is lost on the way to `retained import`. Each value is as it is stored
            when its turn comes; `brokerctl backup` makes a copy of one moment.

            Examples:
              brokerctl retained export > values.jsonl
              brokerctl retained export 'sensors/#' | gzip > sensors.jsonl.gz
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "Only topics that this filter matches.")
    var filter: String?

    func run() async throws {
        let admin = try await AdminConnection(connection)
        var position: String?
        repeat {
            let answer = try await admin.ask(RetainedExportRequest(filter: filter, after: position)).answer
            var lines: [UInt8] = []
            for value in answer.values { lines += value.json + [0x0A] }
            if !lines.isEmpty { Output.write(lines) }
            position = answer.next
        } while position != nil
        await admin.close()
    }
}
