/// The settings of a shard; replaced as a whole by a reload.
package struct ExchangeSettings: Sendable {
    /// The limits of one client, or of all together; `nil` means no limit.
    package struct Limits: Sendable {
        /// The largest payload, in bytes.
        package var message: Int
        /// How many publications one request may have.
        package var batch: Int
        /// How many requests of a client may wait for a reply.
        package var requestsPerClient = 100
        /// How many ephemeral values a client may have, and how much they may take, in bytes.
        package var ephemeralValues = 100
        package var ephemeralBytes = 64 << 10
        /// The maximum size of the ephemeral values of all clients together, in bytes.
        package var ephemeralMemory = 64 << 20
        /// How much may wait for one client, in bytes.
        package var pending: Int
        /// How long messages may wait for one client, in nanoseconds.
        package var pendingAge: Int64?
        package var subscriptionsPerClient: Int
        /// The subscriptions of all clients.
        package var subscriptions: Int?
        /// Publications of one client a second.
        package let publishRate: Int?
        /// The limits of one address and of one user.
        package let quotas: Quotas.Rules
        /// Whether each publication is metered.
        package let isMetered: Bool

        /// The largest request with several publications, in bytes, as a frame with commands.
        package var batchBytes: Int { 2 * message + 65_536 }

        package init(
            message: Int, batch: Int = 1000, pending: Int, pendingAge: Int64?, subscriptionsPerClient: Int,
            subscriptions: Int?,
            publishRate: Int?, quotas: Quotas.Rules = Quotas.Rules(), rulesMeterPublishing: Bool = false
        ) {
            self.message = message
            self.batch = batch
            self.pending = pending
            self.pendingAge = pendingAge
            self.subscriptionsPerClient = subscriptionsPerClient
            self.subscriptions = subscriptions
            self.publishRate = publishRate
            self.quotas = quotas
            isMetered =
                publishRate != nil || quotas.user.metersPublishing || quotas.address.metersPublishing
                || rulesMeterPublishing
        }
    }

    package var limits: Limits
    package var topicLimits: TopicLimits
    /// The rules for keeping messages for clients that return.
    package var rules: HistoryRules
    /// How many clients may reconnect a second after a restart.
    package var reconnectsPerSecond: Int
    /// The memory for the records of recent messages (``FlightRecorder``), in bytes; 0: nothing is recorded.
    package var flightMemory = 1 << 20

    package init(
        limits: Limits, topicLimits: TopicLimits, rules: HistoryRules, reconnectsPerSecond: Int
    ) {
        self.limits = limits
        self.topicLimits = topicLimits
        self.rules = rules
        self.reconnectsPerSecond = reconnectsPerSecond
    }
}
