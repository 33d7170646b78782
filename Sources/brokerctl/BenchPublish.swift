internal import ArgumentParser
internal import Load

/// `brokerctl bench pub`: publications and their acknowledgements.
struct BenchPublish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pub", abstract: "Publishes, and waits for the acknowledgement of each message.")

    @OptionGroup var options: BenchOptions
    @OptionGroup var messages: BenchMessages

    @Option(help: ArgumentHelp("The number of publishers.", valueName: "n"))
    var publishers = 1

    @Flag(help: "Publish retained values, which are acknowledged when they are on disk.")
    var retain = false

    func validate() throws {
        try BenchMessages.check(publishers, "--publishers")
        try messages.check(publishers: publishers)
    }

    func run() async throws {
        try await options.run { prefix in
            JSONDialect(
                prefix: prefix, topic: messages.topic, filter: messages.topic, isRetaining: retain,
                isAcknowledged: true)
        } _: { (plan) throws(LoadError) in
            plan.subscribers = 0
            plan.publishers = publishers
            messages.apply(to: &plan)
            return try LoadRun(plan).measure()
        }
    }
}
