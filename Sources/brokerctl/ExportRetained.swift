internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl retained export [FILTER]`.
struct ExportRetained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Prints retained values with their data, one JSON object per line.",
        discussion: """
            Without FILTER it exports all topics, including those that begin with $. Data that is not text, and text that JSON \
            would change or lengthen, is written as base64, so `retained import` restores the exact bytes. The values \
            are read one after the other; `brokerctl backup` copies the state of one moment.

            Examples:
              brokerctl retained export > values.jsonl
              brokerctl retained export 'sensors/#' | gzip > sensors.jsonl.gz
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "Only topics that match this filter.")
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
