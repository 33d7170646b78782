extension Settings {
    /// The resources that clients may use.
    package struct Limits: Sendable, Equatable {
        /// Open connections of all listeners.
        package var connections = 100_000
        /// Open connections of one client address; `nil` if unlimited.
        package var connectionsPerAddress: Int?
        /// The time from accepting a connection to the end of its first request head.
        package var handshakeTimeout = Duration.seconds(10)
        /// How long an HTTP connection may be idle between two requests.
        package var idleTimeout = Duration.seconds(75)
        /// The maximum size of a request line and its header fields, in bytes.
        package var requestHead = 16 << 10
        /// The maximum size of a message's payload or a request's body, in bytes.
        package var message = 1 << 20
        /// The maximum number of lines in a request that publishes several messages.
        package var batch = 1000
        /// The maximum length of a topic or filter, in bytes of UTF-8.
        package var topic = 1024
        /// The maximum number of levels of a topic or filter.
        package var topicLevels = 32
        /// The maximum number of `+` in a filter.
        package var wildcards = 8
        /// Filters that one client may be subscribed to at a time.
        package var subscriptionsPerClient = 1000
        /// Requests of one client that may wait for a reply.
        package var requestsPerClient = 100
        /// Ephemeral values that one client may have at a time, and their size in bytes.
        package var ephemeralValues = 100
        package var ephemeralBytes = 64 << 10
        /// The size of the ephemeral values of all clients, in bytes.
        package var ephemeralMemory = 64 << 20
        /// Filters that all clients together may subscribe to; `nil` if unlimited.
        package var subscriptions: Int? = 1_000_000
        /// Bytes that wait to be sent on one connection.
        package var pending = 1 << 20
        /// How long the oldest unsent byte may wait; `nil` if unlimited.
        package var pendingAge: Duration? = .seconds(30)
        /// Unsent bytes of one connection in the kernel (`TCP_NOTSENT_LOWAT`); `nil` if unlimited.
        package var unsentInKernel: Int? = 16 << 10
        /// Publications a second on one connection; `nil` if unlimited.
        package var publishRate: Int?
        /// The memory of all clients together: unread input, and output that they have not received.
        package var memory = Memory.share(percent: 25)

        /// The limits of all clients of one address together.
        package var perAddress = PerAddress()
        /// The limits of all clients of one user together.
        package var perUser = PerUser()
        /// Wrong credentials of one address; `nil` if unlimited.
        package var authenticationFailures: Frequency? = Frequency(count: 10, period: .minute)
        /// Bans that may be in force at a time.
        package var bans = 10_000

        package init() {}

        /// A number of events per second or per minute.
        package struct Frequency: Sendable, Equatable {
            package enum Period: String, Sendable, CaseIterable {
                case second = "s"
                case minute = "m"
            }

            package var count: Int
            package var period: Period
        }

        /// The limits of an address; `nil` if unlimited.
        package struct PerAddress: Sendable, Equatable {
            package var connections: Int? = 1000
            package var newConnections: Frequency? = Frequency(count: 50, period: .second)
            package var publishRate: Int?
            package var publishBytes: Int?
            package var subscriptions: Int? = 100_000

            package init() {}
        }

        /// The limits of a user; `nil` if unlimited.
        package struct PerUser: Sendable, Equatable {
            package var connections: Int?
            package var publishRate: Int?
            package var publishBytes: Int?
            package var subscriptions: Int? = 10_000

            package init() {}
        }

        /// Whether the limits of addresses apply to clients on this machine, too: if any of them is not the default.
        package var countsLoopback: Bool {
            perAddress != PerAddress() || authenticationFailures != Limits().authenticationFailures
        }

        /// An amount of memory.
        package enum Memory: Sendable, Equatable {
            /// Percent of the memory of the machine or container; 1 to 100.
            case share(percent: Int)
            /// In bytes.
            case bytes(Int)
            case unlimited
        }
    }
}

extension Settings.Limits {
    /// The limits for topics and filters from clients.
    var topicLimits: TopicLimits {
        TopicLimits(maximumBytes: topic, maximumLevels: topicLevels, maximumWildcards: wildcards)
    }

    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(initial: Self(), members: connectionMembers + topicMembers + outputMembers + accountMembers)
        {
            limits, _, decoder in
            decoder.topicLimits = limits.topicLimits
        }
    }

    private static var connectionMembers: [Setting<Self>] {
        [
            Setting(
                "connections", \.connections, .count(1...10_000_000),
                "Open connections of all listeners together."),
            Setting(
                "connections_per_address", \.connectionsPerAddress, count.liftable,
                "Open connections of one client address."),
            Setting(
                "handshake_timeout", \.handshakeTimeout, .timeSpan,
                "The time limit from the start of a connection to the end of its first request head."),
            Setting(
                "idle_timeout", \.idleTimeout, .timeSpan,
                """
                How long an HTTP connection may be idle between two requests; should be longer than a proxy keeps its \
                connections.
                """),
            Setting(
                "request_head", \.requestHead, .size(256...1 << 20),
                "The size of a request line and its header fields, in bytes."),
            Setting("message", \.message, .size(1...256 << 20), "The size of a payload or request body, in bytes."),
            Setting("batch", \.batch, .count(1...100_000), "Lines of one POST /t, each a publication."),
        ]
    }

    private static var topicMembers: [Setting<Self>] {
        [
            Setting("topic", \.topic, .bytes(1...65_535), "The length of a topic or filter, in bytes of UTF-8."),
            Setting("topic_levels", \.topicLevels, .count(1...1024), "Levels of a topic or filter."),
            Setting("wildcards", \.wildcards, .count(0...1024), "The number of + in a filter."),
            Setting(
                "subscriptions_per_client", \.subscriptionsPerClient, .count(1...10_000_000),
                "Filters that one client may be subscribed to at a time."),
            Setting(
                "requests_per_client", \.requestsPerClient, .count(0...1_000_000),
                "Requests of one client that may wait for a reply at a time."),
            Setting(
                "ephemeral_values", \.ephemeralValues, .count(0...1_000_000),
                "Ephemeral values that one client may have at a time."),
            Setting(
                "ephemeral_bytes", \.ephemeralBytes, .size(0...1 << 30),
                "The size of the ephemeral values of one client, with their topics and farewells."),
            Setting(
                "ephemeral_memory", \.ephemeralMemory, .size(0...1 << 40),
                "The size of the ephemeral values of all clients."),
            Setting(
                "subscriptions", \.subscriptions, count.liftable,
                "Filters that all clients together may be subscribed to."),
        ]
    }

    private static var outputMembers: [Setting<Self>] {
        let size = ConfigurationValue<Int>.size(1 << 10...1 << 30)
        return [
            Setting("pending", \.pending, size, "Unsent bytes of one connection."),
            Setting(
                "pending_age", \.pendingAge, ConfigurationValue.timeSpan.liftable,
                "How long the oldest unsent byte may wait."),
            Setting(
                "unsent_in_kernel", \.unsentInKernel, size.liftable,
                """
                Unsent bytes of one connection that the kernel may hold. Larger values delay new messages and PINGs. A \
                change applies to new connections.
                """),
            Setting(
                "publish_rate", \.publishRate, count.perSecond.liftable,
                "Publications a second on one connection."),
            Setting(
                "memory", \.memory, .memory,
                """
                The memory of all clients together (unread input and unsent output): a share of the machine's or the \
                container's memory, or a size in bytes. Above 80 % of it new connections are refused; above all of it \
                the connections with the most memory are closed.
                """),
        ]
    }

    private static var accountMembers: [Setting<Self>] {
        [
            Setting(
                section: "per_address", \.perAddress, PerAddress.record,
                """
                The limits of all clients of one address together (for IPv6, of one /64 network). Clients on loopback \
                are exempt as long as all of these, and authentication_failures, have their defaults.
                """),
            Setting(
                section: "per_user", \.perUser, PerUser.record,
                "The limits of all clients of one user together."),
            Setting(
                "authentication_failures", \.authenticationFailures, ConfigurationValue.frequency.liftable,
                """
                Wrong credentials of one address; beyond it the address gets 429 for a second, then each time for twice \
                as long, up to a minute.
                """),
            Setting(
                "bans", \.bans, .count(1...100_000),
                "Bans of users, tokens and addresses in force at a time."),
        ]
    }

    fileprivate static var count: ConfigurationValue<Int> { .count(1...1_000_000_000) }
}

extension Settings.Limits.PerAddress {
    static var record: ConfigurationRecord<Self> {
        let count = Settings.Limits.count
        return ConfigurationRecord(
            initial: Self(),
            members: [
                Setting("connections", \.connections, count.liftable, "Open connections."),
                Setting(
                    "new_connections", \.newConnections, ConfigurationValue.frequency.liftable,
                    "New connections."),
                Setting("publish_rate", \.publishRate, count.perSecond.liftable, "Publications a second."),
                Setting(
                    "publish_bytes", \.publishBytes, ConfigurationValue.size(1...1 << 40).perSecond.liftable,
                    "Bytes of payloads a second."),
                Setting("subscriptions", \.subscriptions, count.liftable, "Filters subscribed to at a time."),
            ])
    }
}

extension Settings.Limits.PerUser {
    static var record: ConfigurationRecord<Self> {
        let count = Settings.Limits.count
        return ConfigurationRecord(
            initial: Self(),
            members: [
                Setting("connections", \.connections, count.liftable, "Open connections."),
                Setting("publish_rate", \.publishRate, count.perSecond.liftable, "Publications a second."),
                Setting(
                    "publish_bytes", \.publishBytes, ConfigurationValue.size(1...1 << 40).perSecond.liftable,
                    "Bytes of payloads a second."),
                Setting("subscriptions", \.subscriptions, count.liftable, "Filters subscribed to at a time."),
            ])
    }
}

extension ConfigurationValue where Value == Settings.Limits.Frequency {
    /// `50/s`, `10/m`.
    fileprivate static var frequency: Self {
        let most = 1_000_000
        return Self(
            expected: "a rate such as 50/s or 10/m, up to \(most)",
            read: { scalar in
                let parts = scalar.text.split(separator: "/", omittingEmptySubsequences: false)
                guard parts.count == 2, parts[0].utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let count = Int(parts[0]),
                    1...most ~= count, let period = Value.Period(rawValue: String(parts[1]))
                else { return nil }
                return Value(count: count, period: period)
            }, write: { .plain("\($0.count)/\($0.period.rawValue)") }, range: "1/m to \(most)/s")
    }
}
