package import WSTransport

extension Settings {
    /// Several brokers that serve one topic space.
    package struct Cluster: Sendable, Equatable {
        /// The cluster's name, with which the engine's keys begin, so that several clusters may use one engine.
        package var name = ""
        /// This broker's name; `nil` for the host's name.
        package var node: String?
        package var engine = Engine()
        /// In place of it: the engines of the partitions.
        package var engines: [Engine] = []
        /// Over how many logs the topics are spread.
        package var partitions = 1
        /// How long a publication waits for the engine before it is refused.
        package var publishTimeout = Duration.seconds(5)
        /// How long the engine may be silent before the broker is not ready.
        package var lease = Duration.seconds(3)
        package var log = Log()

        package init() {}

        /// The engine of each partition, with the key of its settings.
        package var logs: [(engine: Engine, key: String)] {
            engines.isEmpty
                ? [(engine, "cluster.engine")]
                : engines.enumerated().map { ($0.element, "cluster.engines[\($0.offset)]") }
        }

        /// What gives the order: Redis or Valkey.
        package struct Engine: Sendable, Equatable {
            /// The addresses of the servers; empty if the sentinels name them.
            package var addresses: [Endpoint] = []
            package var sentinels: [Endpoint] = []
            /// The name by which the sentinels know the primary.
            package var master = "mymaster"
            package var user: String?
            package var password: SecretText?
            package var sentinelUser: String?
            package var sentinelPassword: SecretText?
            /// `nil` for no TLS.
            package var tls: TLS?
            /// The time limit of each connection attempt and each answer.
            package var timeout = Duration.seconds(1)
            package var readFrom = Reading.replica
            /// Whether an engine that keeps nothing on disk is accepted.
            package var isVolatile = false

            package init() {}

            /// Where the log is read.
            package enum Reading: String, Sendable, CaseIterable { case replica, primary }
        }

        /// The TLS options for the engine and its sentinels.
        package struct TLS: Sendable, Equatable {
            /// A PEM file of authorities; `nil` for those of the system.
            package var ca: String?
            /// PEM files of the client certificate and its key; `nil` for none.
            package var certificate: String?
            package var key: String?
            /// The name in the certificate; `nil` for the host in the address.
            package var serverName: String?

            package init() {}
        }

        /// How much of the log the engine keeps.
        package struct Log: Sendable, Equatable {
            /// In bytes.
            package var bytes = 1 << 30
            package var age = Duration.seconds(3600)

            package init() {}
        }
    }
}

extension Settings.Cluster {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "name", \.name,
                    .text("a name of letters, digits, - and _") { text in
                        1...64 ~= text.utf8.count
                            && text.utf8.allSatisfy { byte in
                                switch byte {
                                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
                                default: false
                                }
                            }
                    },
                    "The cluster's name, the same for all of its brokers; the engine's keys begin with it.",
                    traits: .init(reload: .restart, required: "a name such as prod", example: "prod")),
                Setting(
                    optional: "node", \.node, .text("a name of at most 64 bytes") { 1...64 ~= $0.utf8.count },
                    "This broker's name; absent: the host's name.",
                    traits: .init(reload: .restart, example: "a")),
                Setting(
                    section: "engine", \.engine, Engine.record,
                    "The engine that orders the messages: Redis 7.0 or later, or Valkey."),
                Setting(
                    "publish_timeout", \.publishTimeout, .duration(.milliseconds(100) ... .seconds(60)),
                    "How long a publication waits for the engine before it is refused as unavailable.",
                    traits: .init(reload: .restart, example: "5s")),
                Setting(
                    "lease", \.lease, .duration(.seconds(1) ... .seconds(60)),
                    """
                    How long the engine may be silent before the broker is not ready. If the others hear nothing from a broker \
                    for this time, they begin to clean up after it.
                    """, traits: .init(reload: .restart, example: "3s")),
                Setting(
                    section: "log", \.log, Log.record,
                    "How much of the log the engine keeps, for brokers that were down."),
                Setting(
                    "partitions", \.partitions, .count(1...1024),
                    """
                    The number of logs over which the topics are spread by their first level, each on its own engine. With more \
                    than one, each has its own order, and positions have as many parts. It cannot be changed later.
                    """, traits: .init(reload: .restart, example: "1")),
                Setting(
                    list: "engines", \.engines, of: Engine.record, expected: "a list of engines",
                    "With several partitions: the engine of each, in place of engine.",
                    traits: .init(reload: .restart)),
            ],
            check: { cluster, section, decoder in
                if cluster.partitions == 1, cluster.engines.isEmpty {
                    cluster.engine.check(section, at: section.value(of: "engine")?.mark, "engine", &decoder)
                } else if cluster.engines.count != cluster.partitions {
                    decoder.fail(
                        section.value(of: "partitions")?.mark ?? section.mark, "\(section.path).partitions",
                        "expected an engine in cluster.engines for each of \(cluster.partitions) partitions, found \(cluster.engines.count)"
                    )
                } else if cluster.engine != Engine() {
                    decoder.fail(
                        section.value(of: "engine")?.mark ?? section.mark, "\(section.path).engine",
                        "expected engine or engines, found both of them")
                } else {
                    for (place, engine) in cluster.engines.enumerated() {
                        engine.check(section, at: section.value(of: "engines")?.mark, "engines[\(place)]", &decoder)
                    }
                }
            })
    }
}

extension Settings.Cluster.Engine {
    /// Reports what does not say where the engine is.
    fileprivate func check(
        _ section: ConfigurationSection, at mark: YAMLMark?, _ key: String,
        _ decoder: inout ConfigurationDecoder
    ) {
        let path = "\(section.path).\(key)"
        guard !decoder.hasFailed("\(path).addresses"), !decoder.hasFailed("\(path).sentinels") else { return }
        if addresses.isEmpty == sentinels.isEmpty {
            decoder.fail(
                mark ?? section.mark, path,
                "expected addresses or sentinels, found \(addresses.isEmpty ? "none" : "both") of them")
        }
        if 1...2 ~= sentinels.count {
            decoder.fail(
                mark ?? section.mark, "\(path).sentinels",
                "expected three sentinels or more, of which a majority decides, found \(sentinels.count)")
        }
        if let tls, (tls.certificate == nil) != (tls.key == nil) {
            decoder.fail(mark ?? section.mark, "\(path).tls", "expected certificate and key, or none of them")
        }
    }

    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(initial: Self(), members: places + credentials + ways)
    }

    private static var places: [Setting<Self>] {
        let expected = "a list of addresses such as [10.0.0.1:6379]"
        return [
            Setting(
                values: "addresses", \.addresses, of: .endpoint(6379), expected: expected,
                "The addresses of its primary and replicas, for an engine without sentinels; the first in the wanted role is used.",
                traits: .init(reload: .restart, example: "[10.0.0.1:6379]")),
            Setting(
                values: "sentinels", \.sentinels, of: .endpoint(26379), expected: expected,
                "All sentinels, three or more, such as 10.0.0.1:26379; they name the primary and its replicas.",
                traits: .init(reload: .restart, example: "[s1, s2, s3]")),
            Setting(
                "master", \.master, .text("a name") { 1...128 ~= $0.utf8.count },
                "The name by which the sentinels know the primary.",
                traits: .init(reload: .restart, example: "mymaster")),
        ]
    }

    private static var credentials: [Setting<Self>] {
        let name = ConfigurationValue<String>.text("a user's name") { 1...128 ~= $0.utf8.count }
        return [
            Setting(
                optional: "user", \.user, name, "The user of the engine; absent: default.",
                traits: .init(reload: .restart, example: "broker")),
            Setting(
                optional: "password", \.password, .secret, "The password; absent: none.",
                traits: .init(reload: .restart, example: "file:/run/secrets/redis", isSecret: true)),
            Setting(
                optional: "sentinel_user", \.sentinelUser, name, "The user of the sentinels; absent: default.",
                traits: .init(reload: .restart, example: "broker")),
            Setting(
                optional: "sentinel_password", \.sentinelPassword, .secret,
                "The password for the sentinels; absent: none.",
                traits: .init(reload: .restart, example: "file:/run/secrets/sentinel", isSecret: true)),
            Setting(
                optionalSection: "tls", \.tls, Settings.Cluster.TLS.record,
                "TLS to the engine and the sentinels; absent: no TLS.",
                traits: .init(reload: .restart)),
        ]
    }

    private static var ways: [Setting<Self>] {
        [
            Setting(
                "timeout", \.timeout, .duration(.milliseconds(50) ... .seconds(30)),
                "How long the engine may take to accept a connection, and to respond.",
                traits: .init(reload: .restart, example: "1s")),
            Setting(
                "read_from", \.readFrom, .choice,
                """
                Where the log is read. With replica, an acknowledged message is in two processes of the engine; with primary, \
                it is in only one, and a failover may lose it.
                """, traits: .init(reload: .restart, example: "replica")),
            Setting(
                "volatile", \.isVolatile, .boolean,
                "true: accept an engine that keeps nothing on disk (neither appendonly nor save).",
                traits: .init(reload: .restart, example: "false")),
        ]
    }
}

extension Settings.Cluster.TLS {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    optional: "ca", \.ca, .path,
                    "A PEM file of the authorities that verify the engine; absent: the system's.",
                    traits: .init(reload: .restart, example: "/etc/broker/ca.pem")),
                Setting(
                    optional: "certificate", \.certificate, .path,
                    "A PEM file of the certificate that the broker presents.",
                    traits: .init(reload: .restart, example: "/etc/broker/redis.pem")),
                Setting(
                    optional: "key", \.key, .path, "A PEM file of its private key.",
                    traits: .init(reload: .restart, example: "/etc/broker/redis.key")),
                Setting(
                    optional: "server_name", \.serverName, .text("a host's name") { 1...253 ~= $0.utf8.count },
                    "The name in the engine's certificate; absent: the host in its address.",
                    traits: .init(reload: .restart, example: "redis.internal")),
            ])
    }
}

extension Settings.Cluster.Log {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "bytes", \.bytes, .size(1 << 20...1 << 40), "The maximum size, in bytes.",
                    traits: .init(reload: .restart, example: "1GiB")),
                Setting(
                    "age", \.age, .duration(.seconds(60) ... .seconds(7 * 86_400)), "The maximum age.",
                    traits: .init(reload: .restart, example: "1h")),
            ])
    }
}

extension ConfigurationValue where Value == Endpoint {
    /// A host and a port; the usual port may be omitted.
    static func endpoint(_ usual: UInt16) -> Self {
        Self(
            expected: "HOST:PORT such as 10.0.0.1:\(usual)",
            read: { scalar in
                var host = scalar.text[...]
                var port = usual
                if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
                    guard let number = UInt16(host[host.index(after: colon)...]), number > 0 else { return nil }
                    (host, port) = (host[..<colon], number)
                }
                if host.hasPrefix("["), host.hasSuffix("]") {
                    host = host.dropFirst().dropLast()
                } else if host.contains(":") {
                    return nil
                }
                guard 1...253 ~= host.utf8.count, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x2F })
                else { return nil }
                return .internet(host: String(host), port: port)
            }, write: { .text($0.description) })
    }
}
