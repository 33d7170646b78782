internal import ArgumentParser
internal import Load

/// `brokerctl bench`: puts load on a broker and reports the cost.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Puts load on a broker, checks every message and reports the cost.",
        discussion: """
            The load runs in this process: on the broker's own machine, both share its processors. \
            Without --url, the broker of the admin socket is measured, through its first listener without TLS. \
            With --url https://HOST:PORT, each connection does a full TLS handshake and verifies the certificate. \
            On a terminal, standard error shows the progress. The first SIGINT (Ctrl-C) ends the load and prints the \
            results so far; the second ends at once.

            Examples:
              brokerctl bench fanout --subscribers 1000 --messages 1000
              brokerctl bench fanout --subscribers 5000 --rate 100 --endpoint json
              brokerctl bench pub --publishers 100 --messages 10000 --retain
              brokerctl bench fanout --url https://localhost:8443 --ca-file ca.pem --process $(pidof brokerd)
              brokerctl bench sub 'sensors/#' --subscribers 100 --seconds 10
            """,
        subcommands: [BenchFanout.self, BenchPublish.self, BenchSubscribe.self])
}

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
