import Testing

@testable import Broker
@testable import WSTransport

@Suite("The client's address behind proxies")
struct ForwardedPathTests {
    static let trusted = ["10.0.0.0/8", "::1", "fd00::/8"].compactMap(Settings.TrustedProxy.init)

    @Test(arguments: [
        ("192.0.2.7", "192.0.2.7:0"), ("192.0.2.7:5512", "192.0.2.7:5512"), ("2001:db8::1", "[2001:db8::1]:0"),
        ("[2001:db8::1]", "[2001:db8::1]:0"), ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ("::ffff:10.0.0.1", "10.0.0.1:0"),
        ("[2001:db8::1]:_hidden", "[2001:db8::1]:0"),
    ])
    func readsAddresses(text: String, expected: String) {
        #expect(ForwardedPath.address(text)?.description == expected)
    }

    @Test(arguments: [
        "", "evil", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:99999", "[::1",
        "[::1]x",
        "[1.2.3.4]", "::1::", "1.2.3.4 ", "01.2.3.4", "1.2.3.4, 5.6.7.8", "unix",
    ])
    func rejectsMalformedAddresses(text: String) { #expect(ForwardedPath.address(text) == nil) }

    @Test(arguments: [
        (["192.0.2.7"], "192.0.2.7"), (["192.0.2.7", "10.0.0.1"], "192.0.2.7"),
        (["6.6.6.6", "192.0.2.7", "10.0.0.2", "10.0.0.1"], "192.0.2.7"),
        // Anything that is not an address ends the search; only the trusted proxy that passed it on is known.
        (["1.2.3.4", "evil", "10.0.0.1"], "10.0.0.1"), (["1.2.3.4", "", "10.0.0.2", "10.0.0.1"], "10.0.0.2"),
        (["1.2.3.4", "evil"], nil), ([], nil), (["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
        (["2001:db8::9", "[fd00::1]:99"], "2001:db8::9"),
    ])
    func takesTheRightmostUntrustedAddress(hops: [String], expected: String?) {
        let client = ForwardedPath.client(of: hops) { Self.trusted.contains(host: $0.host) }
        #expect(client?.host == expected)
    }

    @Test func readsXForwardedFor() {
        var fields: HTTPFields = ["X-Forwarded-For": "6.6.6.6, 192.0.2.7", "X-Forwarded-Proto": "http, HTTPS"]
        fields.append("X-Forwarded-For", "10.0.0.1")
        fields.append("X-Forwarded-Host", "evil.test")
        let found = ForwardedPath.found(in: fields, .xForwardedFor, Self.trusted)
        #expect(found.client?.host == "192.0.2.7" && found.scheme == "https")
        #expect(ForwardedPath.found(in: fields, .forwarded, Self.trusted).client == nil)
        #expect(ForwardedPath.found(in: fields, .none, Self.trusted).client == nil)
    }

    /// Text from a client cannot swallow the proxy's addition.
    @Test(arguments: ["\"", "\"6.6.6.6", "a\\", "\"\\", "6.6.6.6\"", ",\u{301}", "\u{301}", "\"\u{301}", "\r", "["])
    func aClientCannotHideWhatItsProxyAdds(text: String) {
        for kind in [Settings.Forwarded.xForwardedFor, .forwarded] {
            let isPlain = kind == .xForwardedFor
            for added in isPlain ? ["203.0.113.9"] : ["for=203.0.113.9", "for=\"203.0.113.9:80\";by=_a"] {
                let name = isPlain ? "X-Forwarded-For" : "Forwarded"
                for invented in isPlain ? [text] : [text, "for=" + text, "for=6.6.6.6;proto=\"" + text] {
                    var apart: HTTPFields = [name: invented]
                    apart.append(name, added)
                    for fields in [[name: invented + ", " + added], [name: invented + "," + added], apart] {
                        let found = ForwardedPath.found(in: fields, kind, Self.trusted)
                        #expect(found.client?.host == "203.0.113.9", "\(fields)")
                    }
                }
            }
        }
        var scheme: HTTPFields = ["X-Forwarded-Proto": text + ", https"]
        scheme.append("X-Forwarded-For", "203.0.113.9")
        #expect(ForwardedPath.found(in: scheme, .xForwardedFor, Self.trusted).scheme == "https")
    }

    @Test(arguments: [
        ("for=192.0.2.7;proto=https;by=203.0.113.43", "192.0.2.7", "https"),
        (
            "for=6.6.6.6, for=\"[2001:db8:cafe::17]:4711\";Proto=HTTP, for=10.0.0.1;proto=http", "2001:db8:cafe::17",
            "http"
        ),
        ("For=\"192.0.2.7:80\"", "192.0.2.7", nil), ("for=\"_a,for=6.6.6.6\"", nil, nil),
        ("for=6.6.6.6, for=unknown, for=10.0.0.1", "10.0.0.1", nil), ("for=\"\\1.2.3.4\"", "1.2.3.4", nil),
        ("proto=https", nil, "https"), ("for=6.6.6.6,", nil, nil), ("host=evil.test;proto=ftp", nil, nil),
        ("", nil, nil),
    ])
    func readsForwarded(value: String, client: String?, scheme: String?) {
        let found = ForwardedPath.found(in: ["Forwarded": value], .forwarded, Self.trusted)
        #expect(found.client?.host == client && found.scheme == scheme)
    }

    @Test func trustsUnixSocketsOnlyIfListed() {
        #expect(!Self.trusted.contains(host: nil))
        #expect([Settings.TrustedProxy("unix")].compactMap { $0 }.contains(host: nil))
        #expect(![Settings.TrustedProxy("unix")].compactMap { $0 }.contains(host: "127.0.0.1"))
        #expect(Settings.TrustedProxy("10.0.0.1/8") == nil && Settings.TrustedProxy("proxy.lan") == nil)
    }
}
