import Foundation
import Testing

@testable import Broker
@testable import WSTransport

@Suite("Configuration: reading")
struct ConfigurationReaderTests {
    static func parse(_ yaml: String) throws(ConfigurationErrors) -> Settings {
        try ConfigurationReader.parse(Array(yaml.utf8), file: "x.yaml")
    }

    /// Empty values in every notation.
    @Test(arguments: [
        "", "\n", "# nothing\n", "---\n", "{}", "~", "\u{FEFF}{}", "log:", "history: ~",
    ])
    func anEmptyFileGivesTheDefaults(yaml: String) throws {
        #expect(try Self.parse(yaml) == Settings())
    }

    /// Every setting away from its default, in every notation; those of `access.jwt` and `cluster` have tests of their
    /// own.
    static let changed = """
        listen:
          - address: "[::1]:0"
            path_prefix: /a/b
            proxy_protocol: false
            tls: ~
          - { address: unix:/run/broker.sock, tls: { certificate: c.pem, key: "k.pem" } }
          - address: 0.0.0.0:65535
            tls:
              certificate: /etc/c.pem
              key: /etc/k.pem
              client_ca: /etc/ca.pem
              certificates:
                - { certificate: /etc/d.pem, key: /etc/e.pem }
                - certificate: f.pem
                  key: g.pem
        data_dir: /var/lib/broker
        reactors: { count: 3, backend: epoll }
        limits:
          connections: 10000000
          connections_per_address: 7
          handshake_timeout: 250ms
          idle_timeout: 2m
          request_head: 1024
          message: 256MiB
          batch: 10
          topic: 65535
          topic_levels: 2
          wildcards: 3
          subscriptions_per_client: 5
          requests_per_client: 8
          ephemeral_values: 0
          ephemeral_bytes: 1KiB
          ephemeral_memory: 1TiB
          subscriptions: 77
          pending: 64KiB
          pending_age: 0
          unsent_in_kernel: unlimited
          publish_rate: 100/s
          memory: 64GiB
          per_address: { connections: 5, new_connections: 3/m, publish_rate: 20/s, publish_bytes: 1MiB, subscriptions: 6 }
          per_user: { connections: 7, publish_rate: 30, publish_bytes: 2MiB/s, subscriptions: unlimited }
          authentication_failures: unlimited
          bans: 9
        keepalive: { interval: 0s, timeout: 7d }
        store: { maximum_size: 1TiB, views: 5 }
        publish: { key_window: 1h, keys: 1MiB, keys_per_user: 64KiB }
        retained: { maximum_messages: 12, maximum_bytes: "1GiB" }
        drain: { reconnects_per_second: 50, notice: 10s }
        history:
          - { filter: "chat/#", messages: 1000, age: 24h, bytes: 64MiB }
          - { filter: "+/log", age: 10m, messages: unlimited }
        compression: { enabled: true, level: 9, minimum: 2KiB }
        hosts: [Broker.Example.com, "*.lan", "[::1]", 10.0.0.1]
        trusted_proxies: [10.0.0.0/8, unix]
        origins: [same-host, same-origin, null, "HTTPS://*.Example.com:8443", "http://[::1]:80"]
        access:
          anonymous: { publish: [], subscribe: ["a/+", 'b/#'] }
          anonymous_anywhere: true
          users: /etc/broker/access.jsonl
          password_checks: 3
          credential_cache: 0
          authentication_timeout: 3s
          sessions: { lifetime: 1d, idle: 10m, per_user: 3, maximum: 100 }
          query_tokens: none
          cookie: { name: session }
          certificates: { user: cn, roles: ou }
          peers: true
          jwt: null
          rules:
            - { everyone: true, subscribe: ["news/#"] }
            - user: alice
              role: sensor
              address: [10.0.0.0/8, "::1"]
              listener: "unix:/run/broker.sock"
              publish: ["s{user}/#"]
              subscribe: ["s/{claim.a.b}"]
              retain: []
              deny: { publish: [x], subscribe: ["y/#"] }
              admin: [read, operate]
            - { role: dashboard, deny: ["secret/#"] }
        admin: { socket: /run/broker/admin.sock, socket_group: operators, backup_directory: /var/backups }
        metrics: { enabled: false }
        system_topics: { interval: 1m, events: false }
        log:
          level: debug
          format: json
          audit: ./audit.log
          audit_authentications: all
          audit_memory: 1MiB
          event_memory: 2MiB
          flight_memory: 3MiB
        """

    @Test(arguments: [
        ("1%", Settings.Limits.Memory.share(percent: 1)), ("100%", .share(percent: 100)), ("1048576", .bytes(1 << 20)),
        ("unlimited", .unlimited), ("0", .unlimited),
    ])
    func readsMemoryLimits(text: String, expected: Settings.Limits.Memory) throws {
        let settings = try Self.parse("limits: { memory: \(text) }")
        #expect(settings.limits.memory == expected)
        let again = try ConfigurationReader.parse(Array(SettingsWriter.yaml(settings).utf8), file: "y.yaml")
        #expect(again.limits.memory == expected)
    }

    @Test(arguments: ["101%", "0%", "%", "5 %", "1KiB", "many"])
    func rejectsInvalidMemoryLimits(text: String) throws {
        #expect(throws: ConfigurationErrors.self) { try Self.parse("limits: { memory: \"\(text)\" }") }
    }

    @Test func readsEverySetting() throws {
        var expected = Settings()
        expected.listen = [
            Settings.Listener(address: .internet(host: "::1", port: 0), pathPrefix: "/a/b"),
            Settings.Listener(
                address: .unix(path: "/run/broker.sock"), tls: Settings.Listener.TLS(certificate: "c.pem", key: "k.pem")
            ),
            Settings.Listener(
                address: .internet(host: "0.0.0.0", port: 65535),
                tls: Settings.Listener.TLS(
                    certificate: "/etc/c.pem", key: "/etc/k.pem", clientAuthorities: "/etc/ca.pem")),
        ]
        expected.listen[2].tls?.others = [
            Settings.Listener.TLS.Identity(certificate: "/etc/d.pem", key: "/etc/e.pem"),
            Settings.Listener.TLS.Identity(certificate: "f.pem", key: "g.pem"),
        ]
        expected.dataDirectory = "/var/lib/broker"
        expected.reactors.count = 3
        expected.reactors.backend = .epoll
        expected.limits.connections = 10_000_000
        expected.limits.connectionsPerAddress = 7
        expected.limits.handshakeTimeout = .milliseconds(250)
        expected.limits.idleTimeout = .seconds(120)
        expected.limits.requestHead = 1024
        expected.limits.message = 256 << 20
        expected.limits.topic = 65_535
        expected.limits.topicLevels = 2
        expected.limits.wildcards = 3
        expected.limits.subscriptionsPerClient = 5
        expected.limits.subscriptions = 77
        expected.limits.pending = 65_536
        expected.limits.pendingAge = nil
        expected.limits.unsentInKernel = nil
        expected.drain.reconnectsPerSecond = 50
        expected.drain.notice = .seconds(10)
        setLimits(&expected.limits)
        expected.keepalive.interval = nil
        expected.keepalive.timeout = .seconds(604_800)
        expected.store.maximumSize = 1 << 40
        expected.store.views = 5
        expected.publish.keyWindow = .seconds(3600)
        expected.publish.keys = 1 << 20
        expected.publish.keysPerUser = 64 << 10
        expected.retained.maximumMessages = 12
        expected.retained.maximumBytes = 1 << 30
        expected.history = [
            Settings.History(filter: "chat/#", messages: 1000, age: .seconds(86_400), bytes: 64 << 20),
            Settings.History(filter: "+/log", age: .seconds(600)),
        ]
        expected.compression.enabled = true
        expected.compression.level = 9
        expected.compression.minimum = 2048
        expected.hosts = .known(["broker.example.com", "*.lan", "[::1]", "10.0.0.1"].compactMap { HostPattern($0) })
        expected.origins = ["same-host", "same-origin", "null", "https://*.example.com:8443", "http://[::1]"]
            .compactMap {
                OriginPolicy.Rule($0)
            }
        expected.trustedProxies = ["10.0.0.0/8", "unix"].compactMap { Settings.TrustedProxy($0) }
        expected.access.anonymous.publish = []
        expected.access.anonymous.subscribe = ["a/+", "b/#"]
        expected.access.anonymousAnywhere = true
        setAccess(&expected.access)
        expected.admin.socket = "/run/broker/admin.sock"
        expected.admin.socketGroup = "operators"
        expected.admin.backupDirectory = "/var/backups"
        expected.metrics.enabled = false
        expected.systemTopics.interval = .seconds(60)
        expected.systemTopics.events = false
        setLog(&expected.log)
        #expect(try Self.parse(Self.changed) == expected)
        #expect(try Self.parse(SettingsWriter.yaml(expected)) == expected)
    }

    @Test func theExampleHasEverySetting() throws {
        func paths(_ members: [SettingOutline], _ section: String) -> [String] {
            members.flatMap { member in
                let path = section.appendingKey(member.key)
                guard case .section(let members) = member.form else { return [path] }
                return paths(members, path)
            }
        }
        let changed = Settings().changes(to: try Self.parse(Self.changed)).map(\.path) + ["access.jwt", "cluster"]
        let missing = paths(Settings.record.members.map(\.outline), "").filter { path in
            !changed.contains { path == $0 || path.hasPrefix($0 + ".") }
        }
        #expect(missing == [], "add them to `changed` and to `readsEverySetting`")
    }

    private func setLimits(_ limits: inout Settings.Limits) {
        limits.batch = 10
        limits.requestsPerClient = 8
        limits.ephemeralValues = 0
        limits.ephemeralBytes = 1024
        limits.ephemeralMemory = 1 << 40
        limits.publishRate = 100
        limits.memory = .bytes(64 << 30)
        limits.perAddress.connections = 5
        limits.perAddress.newConnections = Settings.Limits.Frequency(count: 3, period: .minute)
        limits.perAddress.publishRate = 20
        limits.perAddress.publishBytes = 1 << 20
        limits.perAddress.subscriptions = 6
        limits.perUser.connections = 7
        limits.perUser.publishRate = 30
        limits.perUser.publishBytes = 2 << 20
        limits.perUser.subscriptions = nil
        limits.authenticationFailures = nil
        limits.bans = 9
    }

    private func setLog(_ log: inout Settings.Log) {
        log.level = .debug
        log.format = .json
        log.audit = .file("./audit.log")
        log.auditAuthentications = .all
        log.auditMemory = 1 << 20
        log.eventMemory = 2 << 20
        log.flightMemory = 3 << 20
    }

    private func setAccess(_ access: inout Settings.Access) {
        access.users = "/etc/broker/access.jsonl"
        access.passwordChecks = 3
        access.credentialCache = nil
        access.authenticationTimeout = .seconds(3)
        access.sessions.lifetime = .seconds(86_400)
        access.sessions.idle = .seconds(600)
        access.sessions.perUser = 3
        access.sessions.maximum = 100
        access.queryTokens = .none
        access.cookie.name = "session"
        access.certificates = CertificateIdentity()
        access.certificates?.user = .commonName
        access.certificates?.roles = .organizationalUnit
        access.peers = true
        var (news, alice, dashboard) = (Settings.Access.Rule(), Settings.Access.Rule(), Settings.Access.Rule())
        news.everyone = true
        news.subscribe = ["news/#"]
        alice.user = "alice"
        alice.role = "sensor"
        alice.addresses = ["10.0.0.0/8", "::1"]
        alice.listener = "unix:/run/broker.sock"
        alice.publish = ["s{user}/#"]
        alice.subscribe = ["s/{claim.a.b}"]
        alice.retain = []
        alice.deny.publish = ["x"]
        alice.deny.subscribe = ["y/#"]
        alice.admin = [.read, .operate]
        dashboard.role = "dashboard"
        (dashboard.deny.publish, dashboard.deny.subscribe) = (["secret/#"], ["secret/#"])
        access.rules = [news, alice, dashboard]
    }

    @Test func theWrittenDefaultsReadBack() throws {
        #expect(try Self.parse(SettingsWriter.yaml(Settings())) == Settings())
    }

    @Test(arguments: ["a\"b", "a\\b", "a: b # c", "'", "ä\u{301}\"\u{301}", "~", "null", "-", "{}"])
    func writtenPathsReadBack(path: String) throws {
        var settings = Settings()
        settings.dataDirectory = path
        #expect(try Self.parse(SettingsWriter.yaml(settings)) == settings)
    }

    @Test func reportsAllErrorsInFileOrder() {
        let yaml = """
            listen:
              - address: nowhere
                tls: { key: k }
            log: { level: loud, colour: red }
            limits: &limits
              message: lots
            history: [{ filter: a }]
            access: { anonymous: { publish: ["a#"] }, jwt: *limits }
            log: {}
            """
        #expect(
            ConfigurationErrorTests.errors(in: yaml).map { $0.split(separator: ": ").prefix(2).joined(separator: ": ") }
                == [
                    "x.yaml:2:14: listen[0].address", "x.yaml:3:10: listen[0].tls.certificate",
                    "x.yaml:4:15: log.level",
                    "x.yaml:4:21: log.colour", "x.yaml:5:9: limits", "x.yaml:7:11: history[0]",
                    "x.yaml:8:34: access.anonymous.publish[0]", "x.yaml:8:48: access.jwt", "x.yaml:9:1: log",
                ])
    }

    @Test func limitsTheNumberOfErrors() throws {
        let yaml = (0..<5000).map { "key\($0): 1" }.joined(separator: "\n")
        let errors = ConfigurationErrorTests.errors(in: yaml)
        #expect(errors.count == ConfigurationErrors.maximumCount + 1)
        #expect(errors.last == "x.yaml:100:1: too many errors, the others are not shown")
    }

    static let noText: [(bytes: [UInt8], error: String)] = [
        ([0x61, 0x3A, 0x20, 0xFF], "x.yaml:1:4: expected UTF-8, found the byte 255"),
        ([0xC3, 0xA4, 0x3A, 0x0A, 0x20, 0xC3], "x.yaml:2:2: expected UTF-8, found the byte 195"),
        ([0x61, 0xED, 0xA0, 0x80], "x.yaml:1:2: expected UTF-8, found the byte 237"),
        ([0xC0, 0xAF], "x.yaml:1:1: expected UTF-8, found the byte 192"),
        ([0x61, 0x3A, 0x0A, 0xC3, 0xA4, 0x00], "x.yaml:2:2: expected text, found a NUL byte"),
    ]

    @Test(arguments: noText)
    func rejectsInvalidUTF8AndControlCharacters(bytes: [UInt8], error: String) {
        #expect(ConfigurationErrorTests.errors(in: bytes) == [error])
    }

    @Test func namesAnUnreadableFile() {
        let directory = NSTemporaryDirectory()
        for (path, reason) in [("\(directory)/no/such", "No such file or directory"), (directory, "Is a directory")] {
            #expect(throws: ConfigurationErrors.self) { try ConfigurationReader.read(path: path) }
            do throws(ConfigurationErrors) {
                _ = try ConfigurationReader.read(path: path)
            } catch {
                #expect(error.description == "\(path): expected a readable file, found: \(reason)")
            }
        }
    }
}
