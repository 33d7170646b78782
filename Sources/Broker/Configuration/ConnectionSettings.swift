extension Settings {
    /// The event loops.
    package struct Reactors: Sendable, Equatable {
        /// The number of loops, each with its thread; `nil` for one per core.
        package var count: Int?
        /// How a loop passes the output of a turn to the kernel.
        package var backend = Backend.auto

        package init() {}

        /// The kernel interface for sending; input always uses epoll.
        package enum Backend: String, Sendable, CaseIterable {
            /// The faster one that the kernel supports.
            case auto
            /// One call for each connection.
            case epoll
            /// One call for many connections.
            case ioUring = "io_uring"
        }
    }

    /// How dead peers are detected.
    package struct Keepalive: Sendable, Equatable {
        /// The idle time after which a PING is sent; `nil` disables keepalive.
        package var interval: Duration? = .seconds(25)
        /// How long after that PING a peer may stay silent before its connection is closed.
        package var timeout = Duration.seconds(10)

        package init() {}
    }

    /// permessage-deflate.
    package struct Compression: Sendable, Equatable {
        /// Whether the extension is accepted if a client offers it.
        package var enabled = false
        /// The compression level, from 1 (fast) to 9 (small).
        package var level = 1
        /// Smaller messages are sent uncompressed; in bytes.
        package var minimum = 256

        package init() {}
    }

    /// How clients are disconnected at shutdown.
    package struct Drain: Sendable, Equatable {
        /// How many clients are told to reconnect in one second.
        package var reconnectsPerSecond = 5000
        /// How long readiness fails before the listeners close, if readiness is probed; `nil` if they close at once.
        package var notice: Duration? = .milliseconds(500)

        package init() {}
    }
}

extension Settings.Reactors {
    static var record: ConfigurationRecord<Self> {
        let count = ConfigurationValue<Int>.count(1...256)
        return ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "count", \.count, count.or("auto", listed: "auto"),
                    "Event loops, each with its own thread; auto: one per core.", traits: .init(reload: .restart)),
                Setting(
                    "backend", \.backend, .choice,
                    """
                    epoll: one system call for each connection that is sent to or read; io_uring: one for many, and an \
                    error if the kernel lacks or forbids it; auto: io_uring if the kernel is 6.1 or later and allows \
                    it.
                    """, traits: .init(reload: .restart, platform: "io_uring: Linux 6.1")),
            ])
    }
}

extension Settings.Keepalive {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "interval", \.interval, ConfigurationValue.timeSpan.orNever,
                    "The idle time after which a PING is sent; 0: keepalive is off."),
                Setting(
                    "timeout", \.timeout, .timeSpan,
                    "How long the peer may stay silent after that PING before its connection is closed."),
            ])
    }
}

extension Settings.Compression {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting("enabled", \.enabled, .boolean, "true: saves bytes, and costs CPU time for each message."),
                Setting("level", \.level, .count(1...9), "The compression level, from fast to small."),
                Setting(
                    "minimum", \.minimum, .size(0...1 << 30), "Smaller messages are sent uncompressed, in bytes."),
            ])
    }
}

extension Settings.Drain {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "reconnects_per_second", \.reconnectsPerSecond, .count(1...10_000_000),
                    """
                    Each client gets its own time for reconnecting, so that this many clients reconnect in a second.
                    """),
                Setting(
                    "notice", \.notice, ConfigurationValue.duration(.milliseconds(10)...(.seconds(60))).orNever,
                    """
                    How long /health/ready reports the shutdown before the listeners close, if readiness was probed \
                    within the last minute; 0: not at all.
                    """),
            ])
    }
}
