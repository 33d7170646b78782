import Testing

@testable import WSTransport

@Suite("RFC 6454, RFC 6455 §10.2: which pages a server accepts")
struct OriginPolicyTests {
    @Test(arguments: [
        ("https://a.com", "a.com", true), ("http://a.com:81", "A.com:80", true), ("http://b.com", "a.com", false),
        ("http://localhost:5173", "127.0.0.1:80", true), ("http://localhost", "a.com", false),
        ("null", "a.com", false), ("http://a.com.b.com", "a.com", false), ("http://a.com", "", false),
    ])
    func sameHostComparesHosts(origin: String, host: String, isAllowed: Bool) {
        #expect(OriginPolicy.sameHost.allows(origin, host: host) == isAllowed)
    }

    @Test(arguments: [
        ("https://a.com", true), ("https://A.com:443", true), ("http://a.com", false), ("https://a.com:444", false),
        ("https://x.b.com:8443", true), ("https://b.com:8443", false), ("https://x.b.com", false), ("null", true),
        ("https://c.com", false),
    ])
    func aListMayHaveOriginsPatternsAndNull(origin: String, isAllowed: Bool) {
        // The last two are not origins, and admit no page.
        let policy = OriginPolicy.list(["https://a.com", "https://*.b.com:8443", "null", "any", "same-host"])
        #expect(policy.allows(origin, host: "c.com") == isAllowed)
    }

    @Test func aRequestWithoutAnOriginIsAllowed() {
        for policy in [OriginPolicy.sameHost, .any, .list([]), OriginPolicy { _, _ in false }] {
            #expect(policy.allows(nil, host: "a.com"))
        }
    }

    @Test func aCustomPolicyGetsTheFieldsAsSent() {
        let policy = OriginPolicy { origin, host in origin == "HTTP://A" && host == "B:80" }
        #expect(policy.allows("HTTP://A", host: "B:80") && !policy.allows("http://a", host: "B:80"))
    }

    /// Credentials are for pages of one origin that a rule names, and for the server's own.
    @Test(arguments: [
        (["any"], "https://a.com", false, false), (["https://a.com"], "https://a.com", true, true),
        (["https://*.com"], "https://a.com", false, false), (["any", "https://a.com"], "https://a.com", true, true),
        (["same-origin"], "https://s.com", false, true), (["same-origin"], "http://localhost:1", false, false),
    ])
    func allowsCredentialsOnlyToNamedOrigins(rules: [String], origin: String, isNamed: Bool, isExact: Bool) throws {
        let policy = OriginPolicy(try rules.map { try #require(OriginPolicy.Rule($0)) })
        let host = origin.contains("localhost") ? "localhost" : "s.com"
        let page = OriginPolicy.Page(origin: origin, host: host, isSecure: true)
        #expect(policy.decision(on: page) == (isNamed ? .allowedWithCredentials : .allowed))
        #expect(policy.allowsExactly(page) == isExact)
    }
}
