extension Settings {
    /// `GET /metrics`.
    package struct Metrics: Sendable, Equatable {
        /// Whether it is answered at all.
        package var enabled = true

        package init() {}
    }

    /// The broker's own figures below `$SYS/broker`.
    package struct SystemTopics: Sendable, Equatable {
        /// How often those that have changed are published; `nil`: never.
        package var interval: Duration? = .seconds(10)

        package init() {}
    }

    /// What is logged, and how.
    package struct Log: Sendable, Equatable {
        /// The least urgent lines that are written.
        package var level = Level.info
        /// The form of a line.
        package var format = Format.text

        package init() {}

        /// How urgent a line is; a smaller level is a more urgent one.
        package enum Level: String, Sendable, CaseIterable, Comparable {
            case error
            case warning
            case info
            case debug

            package static func < (left: Level, right: Level) -> Bool { left.rank < right.rank }

            private var rank: Int {
                switch self {
                case .error: 0
                case .warning: 1
                case .info: 2
                case .debug: 3
                }
            }
        }

        /// The form of a line.
        package enum Format: String, Sendable, CaseIterable {
            case text
            case json
        }
    }
}

extension Settings.Metrics {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "enabled", \.enabled, .boolean, "Whether GET /metrics is answered.",
                    traits: .init(reload: .restart))
            ])
    }
}

extension Settings.SystemTopics {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "interval", \.interval, ConfigurationValue.timeSpan.orNever,
                    "How often the figures that have changed are published; 0: never.")
            ])
    }
}

extension Settings.Log {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting("level", \.level, .choice, "The least urgent lines that are written."),
                Setting("format", \.format, .choice, "The form of a line; json: one object each."),
            ])
    }
}
