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

/// Where a feed is: everything up to a number has arrived, or up to one for each of several partitions.
struct FeedPosition {
    private var parts: [UInt64]

    init(_ seq: UInt64) { parts = [seq] }

    /// Reads the members of an answer or a notice; `nil`: there is none.
    init?(seq: UInt64?, position: String?) {
        if let parts = position.flatMap({ ResumePoint($0)?.parts }) {
            self.parts = parts
        } else {
            guard let seq else { return nil }
            parts = [seq]
        }
    }

    /// How many partitions there are.
    var count: Int { parts.count }

    /// A message with this number has arrived.
    mutating func advance(to seq: UInt64) {
        let place = Int(seq % UInt64(parts.count))
        parts[place] = max(parts[place], seq)
    }

    /// Everything up to another position has arrived.
    mutating func advance(to other: FeedPosition) {
        parts = zip(other.parts, parts).map { max($0, $1) } + other.parts.dropFirst(parts.count)
    }

    /// The value of `since` for what comes after it.
    func text(of epoch: UInt64?) -> String {
        let text =
            parts.count == 1
            ? "\(parts[0])" : parts.enumerated().map { "\($0.offset):\($0.element)" }.joined(separator: ",")
        return epoch.map { "\($0)-\(text)" } ?? text
    }
}
