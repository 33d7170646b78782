internal import ArgumentParser
internal import Load

/// Options common to all loads.
struct BenchOptions: ParsableArguments {
    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Option(
        help: ArgumentHelp(
            "The server's process on this machine, for its CPU time and memory; by default, the broker of the admin socket.",
            valueName: "pid"))
    var process: Int32?

    /// Runs `body` with a plan, and prints the report.
    func run(
        _ dialect: (_ pathPrefix: String) -> any LoadDialect, _ body: (inout LoadPlan) throws(LoadError) -> LoadReport
    ) async throws {
        let target = try await BenchTarget(connection, process: process)
        var plan = target.plan(dialect(target.pathPrefix))
        plan.closingPatience = 2_000_000_000
        plan.isInterrupted = Interruption.watch()
        if !connection.json { plan.onProgress = ProgressLine.show }
        let report: LoadReport
        do throws(LoadError) {
            defer { if !connection.json { ProgressLine.clear() } }
            report = try body(&plan)
        } catch {
            throw target.failure(error)
        }
        report.print(asJSON: connection.json)
        guard report.isComplete else {
            let missing = report.expected - report.delivered + report.unacknowledged
            let stall = report.ending == .stalled ? "nothing has arrived for \(plan.patience / 1_000_000_000) s: " : ""
            throw Failure.failed("bench: \(stall)\(missing) messages are missing, \(report.wrong) are wrong")
        }
    }
}

/// The number and kind of messages.
struct BenchMessages: ParsableArguments {
    @Option(help: ArgumentHelp("The total number of messages to publish.", valueName: "n"))
    var messages = 1000

    @Option(help: ArgumentHelp("The size of a message, at least 32 bytes.", valueName: "bytes"))
    var size = 64

    @Option(help: ArgumentHelp("How many messages to publish in one burst.", valueName: "n"))
    var burst = 1

    @Option(
        help: ArgumentHelp(
            "Messages per second, each timed from when it was due; by default, as fast as they arrive.",
            valueName: "n"))
    var rate: Double?

    @Option(help: ArgumentHelp("The topic to publish to.", valueName: "topic"))
    var topic = "bench"

    func validate() throws {
        guard (1...100_000_000).contains(messages) else { throw ValidationError("--messages: expected 1 to 100000000") }
        guard (32...16_777_216).contains(size) else { throw ValidationError("--size: expected 32 to 16777216 bytes") }
        guard (1...10_000).contains(burst) else { throw ValidationError("--burst: expected 1 to 10000") }
        guard rate.map({ $0 > 0 && $0 <= 10_000_000 }) ?? true else {
            throw ValidationError("--rate: expected more than 0, at most 10000000")
        }
    }

    /// Checks that there is at least one message for each publisher, and that a burst of all messages fits in memory.
    func check(publishers: Int) throws {
        guard burst * size * publishers <= 1 << 30 else {
            throw ValidationError(
                "--burst, --size and --publishers: a burst is \(burst * size * publishers) bytes, more than 1 GiB")
        }
        guard messages >= publishers else {
            throw ValidationError("--messages: expected at least one for each publisher")
        }
    }

    func apply(to plan: inout LoadPlan) {
        plan.messages = messages
        plan.payloadSize = size
        plan.burst = burst
        plan.pace = rate.map { .open(messagesPerSecond: $0) } ?? .closed
    }

    static func check(_ count: Int, _ option: String) throws {
        guard (1...60_000).contains(count) else { throw ValidationError("\(option): expected 1 to 60000") }
    }
}
