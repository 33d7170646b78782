internal import ArgumentParser
internal import Load

/// `brokerctl bench fanout`: few publishers, many subscribers.
struct BenchFanout: AsyncParsableCommand {
    /// The protocol of publishers and subscribers.
    enum Endpoint: String, ExpressibleByArgument, CaseIterable { case topic, json }

    static let configuration = CommandConfiguration(
        commandName: "fanout", abstract: "Publishes to many subscribers, which check content, order and number.")

    @OptionGroup var options: BenchOptions
    @OptionGroup var messages: BenchMessages

    @Option(help: ArgumentHelp("The number of subscribers.", valueName: "n"))
    var subscribers = 100

    @Option(help: ArgumentHelp("The number of publishers.", valueName: "n"))
    var publishers = 1

    @Option(help: ArgumentHelp("Use topic sockets, or JSON over /ws with a wildcard.", valueName: "topic|json"))
    var endpoint = Endpoint.topic

    func validate() throws {
        try BenchMessages.check(subscribers, "--subscribers")
        try BenchMessages.check(publishers, "--publishers")
        try messages.check(publishers: publishers)
    }

    func run() async throws {
        try await options.run { prefix in
            switch endpoint {
            case .topic: TopicDialect(prefix: prefix, topic: messages.topic)
            case .json: JSONDialect(prefix: prefix, topic: messages.topic + "/1", filter: messages.topic + "/+")
            }
        } _: { (plan) throws(LoadError) in
            plan.subscribers = subscribers
            plan.publishers = publishers
            messages.apply(to: &plan)
            return try LoadRun(plan).measure()
        }
    }
}
