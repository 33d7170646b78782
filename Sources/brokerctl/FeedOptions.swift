internal import ArgumentParser
internal import Broker

/// Options that select the messages of `sub` and `record`.
struct FeedOptions: ParsableArguments {
    @Argument(help: "The filter, with + and # as wildcards.")
    var filter: String

    @Option(help: "End after this many messages, including retained values.")
    var count: Int?

    @Flag(name: .customLong("no-snapshot"), help: "Leave out the retained values.")
    var skipsSnapshot = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Begin with messages of the history: after a number (or EPOCH-SEQ), the last N of each topic (-N), of the last 10m, or all.",
            valueName: "seq|-n|10m|all|latest"))
    var since: String?

    @Flag(name: .customLong("no-reconnect"), help: "End with exit status 2 when the connection breaks.")
    var staysAway = false

    func validate() throws {
        if let since {
            var options = SubscribeOptions()
            guard options.setSince(since) else {
                throw ValidationError("--since: \(SubscribeOptions.sinceExpectation)")
            }
        }
        if let count, count < 1 { throw ValidationError("--count: expected 1 or more") }
    }

    /// Connects and subscribes.
    ///
    /// - Parameter slow: the policy; `nil` for the broker's default.
    func feed(_ connection: ConnectionOptions, slow: SlowPolicy? = nil) async throws -> MessageFeed {
        var subscription = MessageFeed.Subscription(filter: filter)
        subscription.wantsSnapshot = !skipsSnapshot
        subscription.since = since
        subscription.slow = slow
        return try await MessageFeed(connection, subscription, comesBack: !staysAway)
    }
}
