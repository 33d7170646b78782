import Testing

@testable import Broker

@Suite("Configuration: errors and their places")
struct ConfigurationErrorTests {
    /// A configuration and the only error it has, as `LINE:COLUMN: key: message`.
    struct Row: CustomTestStringConvertible {
        let yaml: String
        let error: String

        init(_ yaml: String, _ error: String) {
            self.yaml = yaml
            self.error = error
        }

        var testDescription: String { error }
    }

    @Test(
        arguments: keys + kinds + listeners + numbers + lists + refusedYAML + tls + history + unavailable + partitions
            + jwt + access
    )
    func reportsPlaceAndReason(row: Row) {
        #expect(Self.errors(in: row.yaml) == ["x.yaml:\(row.error)"])
    }

    static func errors(in yaml: String) -> [String] { errors(in: Array(yaml.utf8)) }

    static func errors(in bytes: [UInt8]) -> [String] {
        do throws(ConfigurationErrors) {
            _ = try ConfigurationReader.parse(bytes, file: "x.yaml")
            return []
        } catch {
            return error.errors.map(\.description)
        }
    }
}

extension ConfigurationErrorTests {
    private static let address = "expected an address such as 127.0.0.1:8080, [::1]:8080 or unix:/path, found"
    private static let origin =
        "expected same-origin, same-host, any, null, or a pattern such as https://*.example.com, found"
    private static let hosts =
        "expected auto, any, or a list of names such as [broker.example.com, \"*.lan\"]"
    private static let host = "expected a name such as broker.example.com or \"*.lan\", without a port"
    private static let filter = "expected a topic filter such as \"sensors/#\", found"
    private static let rootKeys =
        "listen, data_dir, reactors, limits, keepalive, store, publish, retained, history, "
        + "compression, origins, hosts, trusted_proxies, drain, access, admin, metrics, system_topics, log, cluster"
    private static let limitKeys =
        "connections, connections_per_address, handshake_timeout, idle_timeout, request_head, message, batch, "
        + "topic, topic_levels, wildcards, subscriptions_per_client, requests_per_client, "
        + "ephemeral_values, ephemeral_bytes, ephemeral_memory, subscriptions, pending, pending_age, "
        + "unsent_in_kernel, publish_rate, memory, per_address, per_user, authentication_failures, bans"
    private static let duration = "expected a duration such as 25s, from 10ms to 7d, found"
    private static let prefix = "expected a path such as /broker, or nothing (\"\"), found"

    static let keys: [Row] = [
        Row("limit: {}", "1:1: limit: unknown key, did you mean \"limits\"?"),
        Row("limits:\n  mesage: 1MiB", "2:3: limits.mesage: unknown key, did you mean \"message\"?"),
        Row(
            "limits:\n  connections_per_adress: 7",
            "2:3: limits.connections_per_adress: unknown key, did you mean \"connections_per_address\"?"),
        Row(
            "limits:\n  handshake-timeout: 7s",
            "2:3: limits.handshake-timeout: unknown key, did you mean \"handshake_timeout\"?"),
        Row("log: { levle: debug }", "1:8: log.levle: unknown key, did you mean \"level\"?"),
        Row("Log: {}", "1:1: Log: unknown key, did you mean \"log\"?"),
        Row("message: 1MiB", "1:1: message: unknown key, did you mean \"limits.message\"?"),
        Row(
            "log:\n  enabled: true",
            "2:3: log.enabled: unknown key, expected one of level, format, audit, audit_authentications, audit_memory, event_memory, flight_memory"
        ),
        Row("store: { zzzzz: 1 }", "1:10: store.zzzzz: unknown key, expected one of maximum_size, views"),
        Row("limits:\n  colour: red", "2:3: limits.colour: unknown key, expected one of \(limitKeys)"),
        Row(
            "listen:\n  - adress: 127.0.0.1:8080\n    address: 127.0.0.1:8080",
            "2:5: listen[0].adress: unknown key, did you mean \"address\"?"),
        Row(
            "listen: [{ port: 8080, address: \"[::1]:80\" }]",
            "1:12: listen[0].port: unknown key, expected one of address, ipv6_only, mode, group, path_prefix, proxy_protocol, forwarded, admin, tls"
        ),
        Row(
            "access: { anonymous: { publsh: [] } }",
            "1:24: access.anonymous.publsh: unknown key, did you mean \"publish\"?"),
        Row("<<: {}", "1:1: <<: unknown key, expected one of \(rootKeys)"),
        Row("12: 3", "1:1: 12: unknown key, expected one of \(rootKeys)"),
        Row("\"\": 3", "1:1: unknown key, expected one of \(rootKeys)"),
    ]

    static let kinds: [Row] = [
        Row("just a text", "1:1: expected a mapping, found \"just a text\""),
        Row("- listen", "1:1: expected a mapping, found a list"),
        Row("limits: 3", "1:9: limits: expected a mapping, found \"3\""),
        Row("limits:\n  - connections: 3", "2:3: limits: expected a mapping, found a list"),
        Row(
            "limits: { message: [1MiB] }",
            "1:20: limits.message: expected a size such as 1MiB, from 1 to 256MiB, found a list"),
        Row(
            "limits: { message: { size: 1MiB } }",
            "1:20: limits.message: expected a size such as 1MiB, from 1 to 256MiB, found a mapping"),
        Row("data_dir:", "1:10: data_dir: expected a path, found nothing"),
        Row("data_dir: \"\"", "1:11: data_dir: expected a path, found \"\""),
        Row("data_dir: [a]", "1:11: data_dir: expected a path, found a list"),
        Row("metrics: { enabled: yes }", "1:21: metrics.enabled: expected true or false, found \"yes\""),
        Row(
            "metrics: { enabled: \"true\" }",
            "1:21: metrics.enabled: expected true or false, found \"true\" in quotes, which make it text"),
        Row("metrics: { enabled: 1 }", "1:21: metrics.enabled: expected true or false, found \"1\""),
        Row("metrics:\n  enabled:", "2:11: metrics.enabled: expected true or false, found nothing"),
        Row("log: { level: loud }", "1:15: log.level: expected one of error, warning, info, debug, found \"loud\""),
        Row("log: { format: xml }", "1:16: log.format: expected text or json, found \"xml\""),
        Row("compression: { enabled: on }", "1:25: compression.enabled: expected true or false, found \"on\""),
        Row("compression: { level: 0 }", "1:23: compression.level: expected a whole number from 1 to 9, found \"0\""),
        Row("compression: { level: 10 }", "1:23: compression.level: expected a whole number from 1 to 9, found \"10\""),
        Row(
            "compression: { minimum: few }",
            "1:25: compression.minimum: expected a size such as 1MiB, from 0 to 1GiB, found \"few\""),
        Row(
            "reactors: { backend: kqueue }",
            "1:22: reactors.backend: expected one of auto, epoll, io_uring, found \"kqueue\""),
        Row(
            "access: { anonymous: }",
            "1:22: access.anonymous: expected a mapping of publish and subscribe, found nothing"),
        Row("access: { anonymous: none }", "1:22: access.anonymous: expected a mapping, found \"none\""),
        Row(
            "access:\n  anonymous_anywhere: maybe",
            "2:23: access.anonymous_anywhere: expected true or false, found \"maybe\""),
    ]

    static let listeners: [Row] = [
        Row("listen: 127.0.0.1:8080", "1:9: listen: expected a list of listeners, found \"127.0.0.1:8080\""),
        Row("listen:", "1:8: listen: expected a list of listeners, found nothing"),
        Row("listen: []", "1:9: listen: expected at least one listener, found an empty list"),
        Row("listen: [127.0.0.1:8080]", "1:10: listen[0]: expected a mapping, found \"127.0.0.1:8080\""),
        Row("listen:\n  - address: example.com:80", "2:14: listen[0].address: \(address) \"example.com:80\""),
        Row(
            "listen: [{ address: unix:/a, mode: 0800 }]",
            "1:36: listen[0].mode: expected permissions such as \"0660\", found \"0800\""),
        Row(
            "listen: [{ address: 127.0.0.1:80, mode: \"0660\" }]",
            "1:41: listen[0].mode: expected with an address such as unix:/path only"),
        Row(
            "listen: [{ address: 0.0.0.0:1, admin: true }]",
            "1:39: listen[0].admin: expected with tls, or on loopback: anyone on the path to 0.0.0.0:1 could read the credentials"
        ),
        Row("listen: [{ address: 0.0.0.0:1, ipv6_only: true }]", "1:43: listen[0].ipv6_only: expected with [::] only"),
        Row("listen:\n  - address: 127.0.0.1", "2:14: listen[0].address: \(address) \"127.0.0.1\""),
        Row("listen:\n  - address: 127.0.0.1:65536", "2:14: listen[0].address: \(address) \"127.0.0.1:65536\""),
        Row("listen:\n  - address: 256.0.0.1:80", "2:14: listen[0].address: \(address) \"256.0.0.1:80\""),
        Row("listen:\n  - address: ::1:8080", "2:14: listen[0].address: \(address) \"::1:8080\""),
        Row("listen:\n  - address: \"[::g]:80\"", "2:14: listen[0].address: \(address) \"[::g]:80\""),
        Row("listen:\n  - address: unix:admin.sock", "2:14: listen[0].address: \(address) \"unix:admin.sock\""),
        Row("listen:\n  - address: 127.0.0.1:+80", "2:14: listen[0].address: \(address) \"127.0.0.1:+80\""),
        Row(
            "listen:\n  - address: 127.0.0.1:8080\n  - address: \"127.0.0.1:8080\"",
            "3:14: listen[1].address: expected another address, found 127.0.0.1:8080, where listen[0] listens"),
        Row("listen:\n  - {}", "2:5: listen[0].address: \(address) nothing"),
        Row("listen:\n  - path_prefix: /b", "2:5: listen[0].address: \(address) nothing"),
        Row("listen:\n  - address:", "2:13: listen[0].address: \(address) nothing"),
        Row(
            "listen: [{ address: \"[::1]:80\" }, { address: \"[0:0::1]:80\" }]",
            "1:46: listen[1].address: expected another address, found [::1]:80, where listen[0] listens"),
        Row(
            "listen: [{ path_prefix: broker, address: \"[::1]:80\" }]",
            "1:25: listen[0].path_prefix: \(prefix) \"broker\""),
        Row(
            "listen: [{ path_prefix: /broker/, address: \"[::1]:80\" }]",
            "1:25: listen[0].path_prefix: \(prefix) \"/broker/\""),
        Row(
            "listen: [{ path_prefix: \"/a b\", address: \"[::1]:80\" }]",
            "1:25: listen[0].path_prefix: \(prefix) \"/a b\""),
        Row(
            "listen: [{ address: unix:/run/a }]\nadmin: { socket: /run/a }",
            "2:18: admin.socket: expected a path where no listener is, found \"/run/a\""),
        Row(
            "admin: { socket: /\(String(repeating: "s", count: 107)) }",
            "1:18: admin.socket: expected a path of at most 107 bytes, found \"/sssssssssssssssssssssssssssssssssssssss…\""
        ),
    ]

    static let numbers: [Row] = [
        Row(
            "limits:\n  connections: 0",
            "2:16: limits.connections: expected a whole number from 1 to 10000000, found \"0\""),
        Row(
            "limits:\n  connections: unlimited",
            "2:16: limits.connections: expected a whole number from 1 to 10000000, found \"unlimited\""),
        Row(
            "limits:\n  connections: -1",
            "2:16: limits.connections: expected a whole number from 1 to 10000000, found \"-1\""),
        Row(
            "limits:\n  connections: \"10\"",
            "2:16: limits.connections: expected a whole number from 1 to 10000000, found \"10\" in quotes, which make it text"
        ),
        Row(
            "limits:\n  connections: 1e5",
            "2:16: limits.connections: expected a whole number from 1 to 10000000, found \"1e5\""),
        Row(
            "limits:\n  connections: 99999999999999999999999",
            "2:16: limits.connections: expected a whole number from 1 to 10000000, found \"99999999999999999999999\""),
        Row(
            "limits:\n  connections_per_address: some",
            "2:28: limits.connections_per_address: expected a whole number from 1 to 1000000000, or unlimited, found \"some\""
        ),
        Row("limits:\n  handshake_timeout: 10", "2:22: limits.handshake_timeout: \(duration) \"10\""),
        Row("limits:\n  handshake_timeout: 0s", "2:22: limits.handshake_timeout: \(duration) \"0s\""),
        Row("limits:\n  handshake_timeout: 1.5s", "2:22: limits.handshake_timeout: \(duration) \"1.5s\""),
        Row(
            "limits:\n  handshake_timeout: 9223372036854775807d",
            "2:22: limits.handshake_timeout: \(duration) \"9223372036854775807d\""),
        Row(
            "limits:\n  request_head: 255",
            "2:17: limits.request_head: expected a size such as 1MiB, from 256 to 1MiB, found \"255\""),
        Row(
            "limits:\n  message: 0", "2:12: limits.message: expected a size such as 1MiB, from 1 to 256MiB, found \"0\""
        ),
        Row(
            "limits:\n  message: 257MiB",
            "2:12: limits.message: expected a size such as 1MiB, from 1 to 256MiB, found \"257MiB\""),
        Row(
            "limits:\n  message: 1MB",
            "2:12: limits.message: expected a size such as 1MiB, from 1 to 256MiB, found \"1MB\""),
        Row(
            "limits:\n  message: lots",
            "2:12: limits.message: expected a size such as 1MiB, from 1 to 256MiB, found \"lots\""),
        Row(
            "limits:\n  message: 9223372036854775807TiB",
            "2:12: limits.message: expected a size such as 1MiB, from 1 to 256MiB, found \"9223372036854775807TiB\""),
        Row(
            "limits:\n  topic: 65536",
            "2:10: limits.topic: expected a size such as 1KiB, from 1 to 65535, found \"65536\""),
        Row(
            "limits:\n  topic_levels: 0",
            "2:17: limits.topic_levels: expected a whole number from 1 to 1024, found \"0\""),
        Row(
            "limits:\n  pending: 1023",
            "2:12: limits.pending: expected a size such as 1MiB, from 1KiB to 1GiB, found \"1023\""),
        Row(
            "limits:\n  pending_age: soon",
            "2:16: limits.pending_age: expected a duration such as 25s, from 10ms to 7d, or unlimited, found \"soon\""),
        Row(
            "limits:\n  publish_rate: 10/m",
            "2:17: limits.publish_rate: expected a whole number from 1 to 1000000000 a second, or unlimited, found \"10/m\""
        ),
        Row(
            "keepalive: { interval: never }",
            "1:24: keepalive.interval: expected a duration such as 25s, from 10ms to 7d, or 0 for none, found \"never\""
        ),
        Row("keepalive: { timeout: 0 }", "1:23: keepalive.timeout: \(duration) \"0\""),
        Row("keepalive: { timeout: 8d }", "1:23: keepalive.timeout: \(duration) \"8d\""),
        Row(
            "reactors: { count: 0 }",
            "1:20: reactors.count: expected a whole number from 1 to 256, or auto, found \"0\""),
        Row(
            "reactors: { count: all }",
            "1:20: reactors.count: expected a whole number from 1 to 256, or auto, found \"all\""),
        Row(
            "store: { maximum_size: 1KiB }",
            "1:24: store.maximum_size: expected a size such as 1MiB, from 1MiB to 64TiB, found \"1KiB\""),
        Row(
            "store: { maximum_size: unlimited }",
            "1:24: store.maximum_size: expected a size such as 1MiB, from 1MiB to 64TiB, found \"unlimited\""),
        Row(
            "retained: { maximum_bytes: 17GiB }",
            "1:28: retained.maximum_bytes: expected at most store.maximum_size (16GiB), found \"17GiB\""),
    ]

    static let lists: [Row] = [
        Row(
            "origins: same-host",
            "1:10: origins: expected a list, each same-origin, same-host, any, null, or a pattern such as "
                + "https://*.example.com, found \"same-host\""
        ),
        Row("origins: [same-host, example.com]", "1:22: origins[1]: \(origin) \"example.com\""),
        Row("origins: [https://a.*.com]", "1:11: origins[0]: \(origin) \"https://a.*.com\""),
        Row("origins: [https://example.com/]", "1:11: origins[0]: \(origin) \"https://example.com/\""),
        Row("origins: [[any]]", "1:11: origins[0]: \(origin) a list"),
        Row("hosts: example.com", "1:8: hosts: \(hosts), found \"example.com\""),
        Row("hosts: { a: b }", "1:8: hosts: \(hosts), found a mapping"),
        Row("hosts: [a, \"b:80\"]", "1:12: hosts[1]: \(host), found \"b:80\""),
        Row("hosts: [\"a.*.com\"]", "1:9: hosts[0]: \(host), found \"a.*.com\""),
        Row("hosts: [\"*\"]", "1:9: hosts[0]: \(host), found \"*\""),
        Row("hosts: [~]", "1:9: hosts[0]: \(host), found nothing"),
        Row("origins: [~]", "1:11: origins[0]: \(origin) nothing"),
        Row(
            "access: { anonymous: { publish: \"#\" } }",
            "1:33: access.anonymous.publish: expected a list of topic filters ([] for none), found \"#\""),
        Row(
            "access: { anonymous: { publish: } }",
            "1:33: access.anonymous.publish: expected a list of topic filters ([] for none), found nothing"),
        Row(
            "access: { anonymous: { publish: [a, \"b/#/c\"] } }",
            "1:37: access.anonymous.publish[1]: \(filter) \"b/#/c\": The wildcard '#' in level 2 must stand alone, and in the last level of the filter."
        ),
        Row(
            "access: { anonymous: { subscribe: [\"\"] } }",
            "1:36: access.anonymous.subscribe[0]: \(filter) \"\": A topic or filter must not be empty."),
        Row("access: { anonymous: { subscribe: [~] } }", "1:36: access.anonymous.subscribe[0]: \(filter) nothing"),
        Row(
            "limits: { topic: 3 }\naccess: { anonymous: { publish: [four] } }",
            "2:34: access.anonymous.publish[0]: \(filter) \"four\": The topic or filter has 4 bytes; at most 3 are allowed."
        ),
    ]

    static let refusedYAML: [Row] = [
        Row(
            "log: { level: debug", "2:1: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'"
        ),
        Row(
            "log:\n\tlevel: debug",
            "2:1: not valid YAML: while scanning for the next token, found character that cannot start any token"),
        Row("log: level: debug", "1:11: not valid YAML: mapping values are not allowed in this context"),
        Row(
            "log:\n  level: debug\n format: text",
            "3:2: not valid YAML: while parsing a block mapping, did not find expected key"),
        Row("data_dir: \"open", "1:16: not valid YAML: while scanning a quoted scalar, found unexpected end of stream"),
        Row(
            "data_dir: \"\\ud800\"",
            "1:14: not valid YAML: while parsing a quoted scalar, found invalid Unicode character escape code"),
        Row("data_dir: \"a\\0b\"", "1:11: data_dir: expected text on one line, found a control character"),
        Row("data_dir: |\n  a\n  b", "1:11: data_dir: expected text on one line, found a control character"),
        Row("data_dir: \u{7}", "1:11: not valid YAML: control characters are not allowed"),
        Row("data_dir: a\0b", "1:12: expected text, found a NUL byte"),
        Row("log: &a { level: info }", "1:6: log: expected a plain value, found an anchor or a tag"),
        Row("data_dir: !!str a", "1:11: data_dir: expected a plain value, found an anchor or a tag"),
        Row("log: *a", "1:6: log: expected a plain value, found an alias"),
        Row("? [a]\n: b", "1:3: expected a key, found a list"),
        Row(
            "log: {}\nmetrics: {}\nlog: {}",
            "3:1: log: expected each key once, found it a second time (first in line 1)"),
        Row("log: {}\n---\nlog: {}", "2:1: expected one document, found a second one"),
        Row("log: {}\n...\n---\nlog: {}", "3:1: expected one document, found a second one"),
        Row("origins: " + String(repeating: "[", count: 17), "1:26: expected at most 16 levels, found a deeper one"),
        Row("# ä\ndata_dir: ä\u{1}", "2:12: not valid YAML: control characters are not allowed"),
        Row(String(repeating: " ", count: 1 << 20) + "\n", "1:1: expected at most 1MiB, found a larger file"),
        Row(
            "origins: [" + String(repeating: "a,", count: 100_000) + "]",
            "1:200005: expected at most 100000 values, found more"),
    ]

    static func secured(_ tls: String) -> String { "listen:\n  - address: 127.0.0.1:8080\n    tls: \(tls)" }

    static let history: [Row] = [
        Row("history: 5", "1:10: history: expected a list of rules ([] for none), found \"5\""),
        Row("history: [5]", "1:11: history[0]: expected a mapping, found \"5\""),
        Row(
            "history: [{ messages: 5 }]",
            "1:11: history[0].filter: expected a topic filter such as \"chat/#\", found nothing"),
        Row(
            "history: [{ filter: a+, messages: 5 }]",
            "1:21: history[0].filter: expected a topic filter such as \"chat/#\", found \"a+\": "
                + "The wildcard '+' in level 1 must fill the whole level."),
        Row(
            "history: [{ filter: a }]", "1:11: history[0]: expected messages, age or bytes, found none of them"),
        Row(
            "history: [{ filter: a, age: 5 }]",
            "1:29: history[0].age: expected a duration such as 25s, from 1s to 3650d, or unlimited, found \"5\""),
        Row(
            "history: [{ filter: a, messages: -1 }]",
            "1:34: history[0].messages: expected a whole number from 1 to 1000000000000, or unlimited, found \"-1\""),
        Row(
            "history: [{ filter: a, bytes: much }]",
            "1:31: history[0].bytes: expected a size such as 1MiB, from 1 to 64TiB, or unlimited, found \"much\""),
        Row(
            "history:\n  - { filter: a, age: 1h }\n  - { filter: a, age: 2h }",
            "3:15: history[1].filter: expected another filter, found that of history[0]"),
        Row(
            "history: [{ filter: a, message: 1, age: 1h }]",
            "1:24: history[0].message: unknown key, did you mean \"messages\"?"),
    ]

    static let unavailable: [Row] = [
        Row(
            "listen:\n  - proxy_protocol: true\n    address: 127.0.0.1:8080",
            "2:3: listen[0].proxy_protocol: expected with trusted_proxies only, which is empty"),
        Row(
            "trusted_proxies: [10.0.0.1]\nlisten:\n  - { address: 127.0.0.1:8080, proxy_protocol: true, forwarded: forwarded }",
            "3:3: listen[0].forwarded: expected without proxy_protocol, which names the client of a connection"),
    ]

    private static let engine = "{ addresses: [\"127.0.0.1:1\"] }"

    static let partitions: [Row] = [
        Row(
            "cluster:\n  partitions: 2\n  engines: [\(engine)]\n  name: a",
            "2:15: cluster.partitions: expected an engine in cluster.engines for each of 2 partitions, found 1"),
        Row(
            "cluster:\n  engine: \(engine)\n  engines: [\(engine)]\n  name: a",
            "2:11: cluster.engine: expected engine or engines, found both of them"),
        Row(
            "cluster:\n  partitions: 2\n  engines: [\(engine), { timeout: 2s }]\n  name: a",
            "3:12: cluster.engines[1]: expected addresses or sentinels, found none of them"),
    ]

    private static func issuer(_ members: String) -> String {
        "access:\n  jwt:\n    - { issuer: a, audience: b, \(members) }"
    }

    private static let secret = String(repeating: "s", count: 32)

    static let jwt: [Row] = [
        Row(
            "access:\n  jwt: { keys: k.json }",
            "2:8: access.jwt: expected a list of issuers ([] for none), found a mapping"),
        Row("access:\n  jwt: [{ keys: \"https://a/b\" }]", "2:9: access.jwt[0]: expected issuer and audience"),
        Row(issuer("leeway: 1s"), "3:7: access.jwt[0]: expected keys or secret, found none of them"),
        Row(
            issuer("keys: \"file:k\", secret: \"\(secret)\""),
            "3:7: access.jwt[0]: expected keys or secret, found both of them"),
        Row(
            issuer("keys: \"file:k\", algorithms: [HS256]"),
            "3:7: access.jwt[0]: expected no HS256, HS384 or HS512 with keys: they take a secret"),
        Row(
            issuer("secret: \"\(secret)\", algorithms: [ES256]"),
            "3:7: access.jwt[0]: expected only HS256, HS384 or HS512 with a secret"),
        Row(issuer("secret: short"), "3:7: access.jwt[0]: expected a secret of 32 bytes at least"),
        Row(
            issuer("keys: \"http://example.com/keys\""),
            "3:39: access.jwt[0].keys: expected file:PATH, https://… or, on this machine, http://127.0.0.1:PORT/…, "
                + "found \"http://example.com/keys\""),
        Row(
            issuer("keys: \"http://localhost:1@example.com/keys\""),
            "3:39: access.jwt[0].keys: expected file:PATH, https://… or, on this machine, http://127.0.0.1:PORT/…, "
                + "found \"http://***@example.com/keys\""),
        Row(
            issuer("keys: \"https://a:b@example.com/keys\""),
            "3:39: access.jwt[0].keys: expected file:PATH, https://… or, on this machine, http://127.0.0.1:PORT/…, "
                + "found \"https://***@example.com/keys\""),
        Row(
            issuer("keys: \"http://127.0.0.1.example.com/keys\""),
            "3:39: access.jwt[0].keys: expected file:PATH, https://… or, on this machine, http://127.0.0.1:PORT/…, "
                + "found \"http://127.0.0.1.example.com/keys\""),
        Row(
            "access: { jwt: [{ issuer: a, audience: b, keys: \"file:k\" }, { issuer: a, audience: c, keys: \"file:l\" }] }",
            "1:61: access.jwt[1]: expected each issuer once"),
    ]

    static let access: [Row] = [
        Row(
            "access: { rules: [{ publish: [a] }] }",
            "1:19: access.rules[0]: expected user, role or everyone: true, found none of them"),
        Row(
            "access: { rules: [{ everyone: true, publish: [\"a/{name}\"] }] }",
            "1:47: access.rules[0].publish[0]: expected a topic filter such as \"sensors/{user}/#\", found \"a/{name}\": "
                + "There is no placeholder {name}; the placeholders are {user}, {client}, {address} and {claim.PATH}."),
        Row(
            "access: { anonymous: { subscribe: [\"{user}/#\"] } }",
            "1:36: access.anonymous.subscribe[0]: \(filter) \"{user}/#\": "
                + "An anonymous client has no values for placeholders."),
        Row(
            "access: { rules: [{ user: a/b, publish: [a] }] }",
            "1:27: access.rules[0].user: expected a name, found \"a/b\""),
        Row(
            "access: { rules: [{ user: a, address: [10.0.0.1/8] }] }",
            "1:40: access.rules[0].address[0]: expected an address or a network such as 10.0.0.0/8, found \"10.0.0.1/8\""
        ),
        Row(
            "access: { rules: [{ user: a, listener: nowhere }] }",
            "1:40: access.rules[0].listener: expected the address of a listener, found \"nowhere\""),
        Row(
            "access: { rules: [{ user: a, deny: x }] }",
            "1:36: access.rules[0].deny: expected a list of topic filters ([] for none), or a mapping of publish and "
                + "subscribe, found \"x\""),
        Row(
            "access: { rules: [{ user: a, admin: [root] }] }",
            "1:38: access.rules[0].admin[0]: expected one of read, write, operate, found \"root\""),
        Row(
            "access: { query_tokens: all }",
            "1:25: access.query_tokens: expected one of short, any, none, found \"all\""),
        Row(
            "origins: [any]\naccess: { cookie: { name: c } }",
            "2:27: access.cookie.name: expected no cookie with origins: [any]"),
        Row(
            "listen: [{ address: \"0.0.0.0:80\" }]\naccess: { cookie: { name: c } }",
            "2:27: access.cookie.name: expected no cookie while a listener beyond loopback has no TLS: 0.0.0.0:80"),
    ]
}
