extension Settings {
    /// The database file.
    package struct Store: Sendable, Equatable {
        /// The size up to which the file may grow, in bytes.
        package var maximumSize = 16 << 30
        /// How many snapshots of the store new subscribers may hold at a time.
        package var views = 64

        package init() {}
    }

    /// The detection of repeated publications.
    package struct Publish: Sendable, Equatable {
        /// How long a publication with a key is recognised.
        package var keyWindow = Duration.seconds(300)
        /// The memory for keys, in bytes.
        package var keys = 64 << 20
        /// The memory for the keys of one user, in bytes.
        package var keysPerUser = 8 << 20

        package init() {}
    }

    /// Retained values.
    package struct Retained: Sendable, Equatable {
        /// The number of topics with a retained value; `nil` if unlimited.
        package var maximumMessages: Int?
        /// The payloads of all retained values together, in bytes; `nil` if unlimited.
        package var maximumBytes: Int?

        package init() {}
    }

    /// How much history is kept of each topic that a filter matches.
    package struct History: Sendable, Equatable {
        /// A valid topic filter.
        package var filter: String
        /// The maximum number of messages per topic; `nil` if unlimited.
        package var messages: Int?
        /// The maximum age of a message; `nil` if unlimited.
        package var age: Duration?
        /// The maximum size of all payloads of a topic, in bytes; `nil` if unlimited.
        package var bytes: Int?

        package init(filter: String, messages: Int? = nil, age: Duration? = nil, bytes: Int? = nil) {
            self.filter = filter
            self.messages = messages
            self.age = age
            self.bytes = bytes
        }
    }
}

extension Settings.Store {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "maximum_size", \.maximumSize, .size(1 << 20...64 << 40),
                    "The maximum size of the database file, in bytes.", traits: .init(reload: .restart)),
                Setting(
                    "views", \.views, .count(0...512),
                    """
                    New subscribers that may read a snapshot of all values at the same time. Others read each value as \
                    it is at that time, and newer values arrive live.
                    """, traits: .init(reload: .restart)),
            ])
    }
}

extension Settings.Publish {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "key_window", \.keyWindow, .timeSpan,
                    "How long a publication with a key is recognised when it is repeated."),
                Setting("keys", \.keys, .size(64 << 10...16 << 30), "The memory for keys, about 200 bytes for each."),
                Setting(
                    "keys_per_user", \.keysPerUser, .size(64 << 10...16 << 30),
                    "The memory for the keys of one user, or of the anonymous clients of one address."),
            ])
    }
}

extension Settings.Retained {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "maximum_messages", \.maximumMessages, ConfigurationValue.count(1...1_000_000_000_000).liftable,
                    "The number of topics with a retained value.", traits: .init(reload: .restart)),
                Setting(
                    "maximum_bytes", \.maximumBytes, ConfigurationValue.size(1...64 << 40).liftable,
                    "The payloads of all retained values together, in bytes, up to store.maximum_size.",
                    traits: .init(reload: .restart)),
            ])
    }
}

extension Settings.History {
    static var record: ConfigurationRecord<Self> {
        let count = ConfigurationValue<Int>.count(1...1_000_000_000_000)
        let age = ConfigurationValue<Duration>.duration(.seconds(1) ... .seconds(3650 * 86_400))
        let filter = ConfigurationValue<String>.filter(example: "chat/#")
        return ConfigurationRecord(
            initial: Self(filter: ""),
            members: [
                Setting(
                    "filter", \.filter, filter, "The topics that the rule applies to.",
                    traits: .init(required: filter.expected, example: "\"chat/#\"")),
                Setting(
                    "messages", \.messages, count.liftable, "The maximum number of messages of a topic.",
                    traits: .init(example: "1000")),
                Setting("age", \.age, age.liftable, "The maximum age of a message.", traits: .init(example: "24h")),
                Setting(
                    "bytes", \.bytes, ConfigurationValue.size(1...64 << 40).liftable,
                    "The payloads of a topic's messages together, in bytes.", traits: .init(example: "64MiB")),
            ],
            check: { _, section, decoder in
                if ["messages", "age", "bytes"].allSatisfy({ section.value(of: $0) == nil }) {
                    decoder.fail(section.mark, section.path, "expected messages, age or bytes, found none of them")
                }
            })
    }

    /// Reports two rules for one filter, because the second would have no effect.
    static func check(
        _ rules: [(item: Self, section: ConfigurationSection)], _ decoder: inout ConfigurationDecoder
    ) {
        var seen: [String: String] = [:]
        for (rule, section) in rules {
            let path = "\(section.path).filter"
            guard let mark = section.value(of: "filter")?.mark, !decoder.hasFailed(path) else { continue }
            if let first = seen[rule.filter] {
                decoder.fail(mark, path, "expected another filter, found that of \(first)")
            } else {
                seen[rule.filter] = section.path
            }
        }
    }
}
