extension Settings {
    /// `GET /metrics`.
    package struct Metrics: Sendable, Equatable {
        /// Whether the endpoint exists.
        package var enabled = true

        package init() {}
    }

    /// The broker's own figures below `$SYS/broker`.
    package struct SystemTopics: Sendable, Equatable {
        /// How often changed figures are published; `nil` for never.
        package var interval: Duration? = .seconds(10)
        /// Whether events of clients and of the broker are published below `$SYS/events`.
        package var events = true

        package init() {}
    }

    /// The log and the audit log.
    package struct Log: Sendable, Equatable {
        /// The least urgent level that is logged.
        package var level = Level.info
        /// The form of a line.
        package var format = Format.text
        /// Where the audit log is written.
        package var audit = Audit.none
        /// Which authentications are in the audit log.
        package var auditAuthentications = Authentications.failed
        /// The memory for audit lines that administrators can read, in bytes.
        package var auditMemory = 4 << 20
        /// The memory for events that administrators can read, in bytes.
        package var eventMemory = 1 << 20
        /// The memory of each event loop for the fate of messages, in bytes.
        package var flightMemory = 1 << 20

        package init() {}

        /// Where the audit log is written.
        package enum Audit: Sendable, Equatable {
            case none
            /// The process's standard output, together with the log.
            case output
            /// A file to append to, relative to the working directory.
            case file(String)
        }

        /// Which authentications the audit log has.
        package enum Authentications: String, Sendable, CaseIterable {
            case failed
            case all
        }

        /// The level of a line; smaller is more urgent.
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
                    "enabled", \.enabled, .boolean, "Whether the broker answers GET /metrics.",
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
                    "How often changed statistics are published; 0: never."),
                Setting(
                    "events", \.events, .boolean,
                    "Whether events of clients and of the broker are published below $SYS/events."),
            ])
    }
}

extension Settings.Log {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting("level", \.level, .choice, "The least urgent level that is logged."),
                Setting("format", \.format, .choice, "The format of a line; json: one object per line."),
                Setting(
                    "audit", \.audit, .audit,
                    """
                    Where to write the audit log, which records actions and refusals, one JSON object per line: none, \
                    stdout, or a file, which SIGHUP reopens.
                    """),
                Setting(
                    "audit_authentications", \.auditAuthentications, .choice,
                    """
                    Which authentications are in the audit log: failed, or all, which is one line per second for each \
                    address and user that sends requests.
                    """),
                Setting(
                    "audit_memory", \.auditMemory, .size(0...1 << 30),
                    "The memory for the last lines of the audit log, in bytes, for `brokerctl audit`."),
                Setting(
                    "event_memory", \.eventMemory, .size(0...1 << 30),
                    "The memory for the last events, in bytes, for `brokerctl events`."),
                Setting(
                    "flight_memory", \.flightMemory, .size(0...1 << 30),
                    """
                    The memory of each event loop for what happened to the last messages, in bytes, for `brokerctl why`; a \
                    message takes 40.
                    """),
            ])
    }
}

extension ConfigurationValue where Value == Settings.Log.Audit {
    fileprivate static var audit: Self {
        let expected = "none, stdout or the path of a file such as ./audit.log"
        return Self(
            expected: expected,
            read: { scalar in
                switch scalar.text {
                case "none": Value.none
                case "stdout": .output
                // A misspelt word is not taken for a file.
                case let path where path.contains("/") && !path.hasSuffix("/"): .file(path)
                default: nil
                }
            },
            write: { place in
                switch place {
                case .none: .plain("none")
                case .output: .plain("stdout")
                case .file(let path): .text(path)
                }
            }, range: expected)
    }
}
