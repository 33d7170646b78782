internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

/// `brokerctl replay [FILE|-]`.
struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Publishes a recording again, with its timing.",
        discussion: """
            Publishes the messages of `record` in their order, with the pauses between them. Retained values are \
            retained again, and those at the beginning are published at once. Messages get new numbers and times.

            Examples:
              brokerctl replay day.jsonl
              brokerctl replay day.jsonl --speed 10 --prefix test/
              zcat day.jsonl.gz | brokerctl replay --speed max
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The file; by default, or with -, standard input.")
    var file = "-"

    @Option(
        help: ArgumentHelp(
            "How many times as fast as the original, such as 10 or 0.5, or max: without pauses.", valueName: "factor"))
    var speed = "1"

    @Option(help: ArgumentHelp("A prefix for each topic.", valueName: "text"))
    var prefix = ""

    /// `nil` for no pauses.
    private var factor: Double? { speed == "max" ? nil : Double(decimal: speed) }

    func validate() throws {
        guard speed != "max" else { return }
        guard let factor, factor.isFinite, factor >= 0.001, factor <= 1e6 else {
            throw ValidationError("--speed: expected 0.001 to 1000000, or max")
        }
    }

    func run() async throws {
        var lines = try LineReader(path: file)
        var queue = PublicationQueue(client: try await MessageClient(connection))
        lines.maximumLength = queue.longest
        var schedule = ReplaySchedule(factor: factor)
        while let line = try lines.next() {
            guard let message = try Self.message(line, at: lines.number) else { continue }
            let pause = schedule.pause(before: message, at: .now)
            if pause > 0 {
                // Refusals of earlier messages show before the pause, not after it.
                try await queue.settleAll()
                try await Task.sleep(for: .nanoseconds(schedule.pause(before: message, at: .now)))
            }
            try await queue.publish(
                message.request(id: queue.count + 1, prefix: prefix), as: "line \(lines.number)")
        }
        try await queue.settleAll()
        await queue.client.close()
        if connection.json { return Output.print("{\"published\":\(queue.count)}") }
        Output.print("published: \(queue.count)")
    }

    /// The message of a line; `nil` if it has none.
    private static func message(_ line: LineReader.Line, at number: Int) throws(Failure) -> RecordedMessage? {
        guard case .line(let bytes) = line else {
            throw .failed("line \(number): longer than the broker accepts (too-large)")
        }
        if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { return nil }
        do throws(Failure) {
            switch try RecordedMessage.line(bytes) {
            case .message(let message): return message
            case .gap(let missed):
                Output.complain(
                    "line \(number): \(missed.map { "\($0) messages" } ?? "messages") are missing in the recording")
                return nil
            }
        } catch {
            throw .failed("line \(number): \(error.message)")
        }
    }
}

/// When the messages of a record are due.
struct ReplaySchedule {
    /// `nil` if all messages are due at once.
    let factor: Double?
    private var start: (time: Int64, moment: MonotonicTime)?

    init(factor: Double?) { self.factor = factor }

    /// How long to wait for a message, in nanoseconds.
    mutating func pause(before message: RecordedMessage, at now: MonotonicTime) -> Int64 {
        // A value from before the record began has the time of its publication, which may be years ago.
        guard let factor, !message.isRetained else { return 0 }
        guard let start else {
            start = (message.time, now)
            return 0
        }
        let offset = max(0, Double(message.time) - Double(start.time)) * 1_000_000 / factor
        let elapsed = Double(now.nanoseconds(since: start.moment))
        return Int64(max(0, min(offset - elapsed, 1e18)))
    }
}
