internal import ArgumentParser
internal import Load

/// `brokerctl bench sub`: subscribers to messages that others publish.
struct BenchSubscribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sub", abstract: "Keeps subscribers connected for some time, and counts the messages they receive."
    )

    @OptionGroup var options: BenchOptions

    @Argument(help: "The filter to subscribe to.")
    var filter: String

    @Option(help: ArgumentHelp("The number of subscribers.", valueName: "n"))
    var subscribers = 100

    @Option(help: ArgumentHelp("How long to run.", valueName: "seconds"))
    var seconds = 10.0

    func validate() throws {
        try BenchMessages.check(subscribers, "--subscribers")
        guard seconds > 0, seconds <= 86_400 else {
            throw ValidationError("--seconds: expected more than 0, at most 86400")
        }
    }

    func run() async throws {
        try await options.run { prefix in
            JSONDialect(prefix: prefix, topic: filter, filter: filter)
        } _: { (plan) throws(LoadError) in
            plan.subscribers = subscribers
            plan.publishers = 0
            return try LoadRun(plan).listen(nanoseconds: Int64(seconds * 1e9))
        }
    }
}
