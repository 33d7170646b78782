import Testing

@testable import Broker
@testable import WSTransport

@Suite("Settings: addresses, origins, refusal to listen")
struct SettingsTests {
    @Test(arguments: [
        ("127.0.0.1:8080", "127.0.0.1:8080", true), ("127.255.3.1:1", "127.255.3.1:1", true),
        ("[::1]:80", "[::1]:80", true),
        ("[0:0:0:0:0:0:0:1]:080", "[::1]:80", true), ("[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", true),
        ("unix:/run/broker.sock", "unix:/run/broker.sock", true), ("0.0.0.0:0", "0.0.0.0:0", false),
        ("localhost:9000", "127.0.0.1:9000", true), ("LocalHost:0", "127.0.0.1:0", true),
        (":9000", "127.0.0.1:9000", true), ("[::]:8080", "[::]:8080", false), ("128.0.0.1:80", "128.0.0.1:80", false),
        ("[2001:DB8::7]:80", "[2001:db8::7]:80", false),
        ("systemd", "systemd", true), ("systemd:web.sock", "systemd:web.sock", true),
        ("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.1]:80", false), ("10.127.0.1:80", "10.127.0.1:80", false),
    ])
    func readsAddresses(text: String, canonical: String, isLoopback: Bool) throws {
        let address = try #require(ListenAddress(text))
        #expect(address.description == canonical)
        #expect(address.isLoopback == isLoopback)
        #expect(ListenAddress(address.description) == address)
    }

    @Test(arguments: [
        "", ":", "*:80", "localhost", "localhost:", "example.com:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:٣",
        "127.1:80", "127.0.0.01.1:80", "[::1]", "[::1:80", "::1]:80", "[]:80", "[127.0.0.1]:80", "[fe80::1%lo]:80",
        "[::1]]:80",
        "systemd:", "systemd:a:b", "systemd:a b", "Systemd", "systemd:" + String(repeating: "a", count: 256),
        "unix:", "unix:/", "unix:a", "unix:/a\0b", "127.0.0.1\0:80", "unix:/" + String(repeating: "a", count: 107),
    ])
    func rejectsMalformedAddresses(text: String) {
        #expect(ListenAddress(text) == nil)
    }

    /// A rule, an origin, the host it connects to, and whether it may.
    @Test(arguments: [
        ("any", "https://evil.example", "a.com", true), ("any", "null", "a.com", true),
        ("same-host", "https://a.com", "a.com", true), ("same-host", "http://a.com:3000", "a.com:8080", true),
        ("same-host", "http://A.com", "a.COM:80", true), ("same-host", "http://[::1]:5", "[::1]:8080", true),
        ("same-host", "https://b.com", "a.com", false), ("same-host", "null", "a.com", false),
        ("same-host", "null", "null", false), ("same-host", "https://a.com.evil.example", "a.com", false),
        ("same-host", "https://a.com/", "a.com", false), ("same-host", "https://a.com@b.com", "a.com", false),
        ("same-host", "https://a.com", "", false), ("same-host", "", "", false),
        ("same-host", "http://localhost:3000", "127.0.0.1:8080", true),
        ("same-host", "http://localhost", "a.com", false),
        ("same-origin", "http://a.com", "a.com", true), ("same-origin", "http://A.com:8080", "a.COM:8080", true),
        ("same-origin", "http://a.com", "a.com:80", true), ("same-origin", "http://a.com", "a.com:8080", false),
        ("same-origin", "https://a.com", "a.com", true), ("same-origin", "https://a.com", "a.com:80", false),
        ("same-origin", "https://a.com:8443", "a.com:8443", true), ("same-origin", "ftp://a.com", "a.com", false),
        ("same-origin", "http://b.com", "a.com", false), ("same-origin", "null", "a.com", false),
        ("same-origin", "http://localhost:5173", "127.0.0.1:8080", true),
        ("same-origin", "http://[::1]", "localhost", true),
        ("same-origin", "https://x.localhost", "127.3.2.1", true),
        ("same-origin", "http://127.0.0.1.a.com", "localhost", false),
        ("same-origin", "http://localhost:3000", "a.com", false), ("same-origin", "http://127.1", "localhost", false),
        ("same-origin", "http://xlocalhost", "localhost", false), ("null", "null", "a.com", true),
        ("null", "file://", "a.com", true), ("null", "http://a.com", "a.com", false),
        ("https://a.com", "https://a.com", "x", true), ("https://a.com", "https://a.com:443", "x", true),
        ("https://a.com:443", "https://A.com", "x", true), ("https://a.com", "http://a.com", "x", false),
        ("https://a.com", "https://a.com:444", "x", false), ("https://a.com", "https://b.a.com", "x", false),
        ("https://*.a.com", "https://b.a.com", "x", true), ("https://*.a.com", "https://c.b.a.com", "x", true),
        ("https://*.a.com", "https://a.com", "x", false), ("https://*.a.com", "https://ba.com", "x", false),
        ("https://*.a.com", "https://*.a.com", "x", false), ("https://*.a.com", "https://b.a.com:8443", "x", false),
        ("https://*.a.com:8443", "https://b.a.com:8443", "x", true), ("http://[::1]:81", "http://[::1]:81", "x", true),
        ("http://[::1]:81", "http://[::1]:82", "x", false), ("https://a.com", "https://a.com\0", "x", false),
    ])
    func decidesOnOrigins(rule: String, origin: String, host: String, isAllowed: Bool) throws {
        let rule = try #require(OriginPolicy.Rule(rule))
        #expect(rule.allows(OriginPolicy.Page(origin: origin, host: host, isSecure: false)) == isAllowed)
        #expect(OriginPolicy.Rule(rule.description) == rule)
    }

    @Test(arguments: [
        "", "Any", "a.com", "https://", "https://*", "https://*.", "https://*.*.com", "https://a*.com",
        "https://a.com/", "://a.com",
        "https://a.com:", "https://a.com:x", "https://a.com:65536", "https://a b.com", "1://a.com", "https://ä.com",
        "https://[::1",
        "https://a:b:1",
    ])
    func rejectsMalformedOrigins(text: String) {
        #expect(OriginPolicy.Rule(text) == nil)
    }

    @Test func refusesToListenBeyondLoopbackForAnonymousPublishers() throws {
        var settings = Settings()
        #expect(settings.refusalToListen() == nil)
        settings.listen.append(Settings.Listener(address: .unix(path: "/run/b")))
        #expect(settings.refusalToListen() == nil)
        settings.listen.append(Settings.Listener(address: .internet(host: "0.0.0.0", port: 80)))
        #expect(
            settings.refusalToListen() == """
                refusing to listen on 0.0.0.0:80, beyond loopback, where nobody may do anything: \
                say in access.rules and access.anonymous who may do what
                """)
        settings.access.rules = [Settings.Access.Rule()]
        #expect(settings.refusalToListen() == nil, "only authenticated clients have rights")
        settings.access.rules = []
        settings.access.anonymousAnywhere = true
        #expect(settings.refusalToListen() == nil)
        settings.access.anonymousAnywhere = false
        settings.access.anonymous.publish = []
        #expect(settings.refusalToListen() == nil)
        settings.access.anonymous.publish = ["a"]
        #expect(
            settings.refusalToListen() == """
                refusing to listen on 0.0.0.0:80, beyond loopback, while anonymous clients may publish: \
                set access.anonymous.publish to [], or say access.anonymous_anywhere: true
                """)
        settings.access.anonymous.publish = nil
        settings.access.anonymous.subscribe = ["a"]
        #expect(settings.refusalToListen() == nil, "rights must be explicit there")
    }

    @Test func theDefaultsAllowEverythingOnLoopbackOnly() {
        var access = Settings.Access()
        #expect(access.publishBeyondLoopback.isEmpty && access.subscribeBeyondLoopback.isEmpty)
        #expect(access.anonymous.publishOnLoopback == ["#"])
        #expect(access.anonymous.subscribeOnLoopback == ["#", "$SYS/#"])
        access.anonymous.publish = []
        #expect(access.subscribeBeyondLoopback.isEmpty)
        access.anonymous.subscribe = ["news/#"]
        #expect(access.subscribeBeyondLoopback == ["news/#"])
        access.anonymous = Settings.Access.Anonymous()
        access.anonymousAnywhere = true
        #expect(access.publishBeyondLoopback == ["#"] && access.subscribeBeyondLoopback == ["#", "$SYS/#"])
    }

    @Test func findsTheAdminSocketInTheDataDirectory() {
        var settings = Settings()
        #expect(settings.adminSocketPath == "./data/admin.sock")
        settings.dataDirectory = "/var/lib/broker/"
        #expect(settings.adminSocketPath == "/var/lib/broker/admin.sock")
        settings.admin.socket = "/run/a.sock"
        #expect(settings.adminSocketPath == "/run/a.sock")
    }

    @Test func ordersLogLevelsByUrgency() {
        #expect(Settings.Log.Level.allCases.sorted() == [.error, .warning, .info, .debug])
    }

    /// What a rule allows (publishing, subscribing) and denies, and whether that leaves nothing.
    static let rules: [([String], [String], [String], [String], Bool)] = [
        (["a/{user}/#"], [], ["a/#"], [], true), (["a/{user}/#"], [], ["a/{user}/#"], [], true),
        (["a/b"], ["c/d"], ["a/+"], ["#"], true), (["a/b"], ["c/d"], ["a/+"], [], false),
        (["a/#"], [], ["a/b"], [], false), (["a/{user}"], [], ["a/bob"], [], false), ([], [], ["#"], ["#"], false),
    ]

    @Test(arguments: rules)
    func warnsOfARuleThatAllowsNothing(
        publish: [String], subscribe: [String], noPublish: [String], noSubscribe: [String], isIdle: Bool
    ) {
        var rule = Settings.Access.Rule()
        (rule.publish, rule.subscribe) = (publish, subscribe)
        (rule.deny.publish, rule.deny.subscribe) = (noPublish, noSubscribe)
        var settings = Settings()
        settings.access.rules = [Settings.Access.Rule(), rule]
        let warning = "access.rules[1] allows nothing: its deny covers all that it allows"
        #expect(settings.ruleWarnings == (isIdle ? [warning] : []))
        settings.access.rules[1].admin = [.read]
        #expect(settings.ruleWarnings.isEmpty, "it gives something else")
    }
}
