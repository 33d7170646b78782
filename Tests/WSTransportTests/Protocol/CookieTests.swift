import Testing

@testable import WSTransport

@Suite("RFC 6265: cookies")
struct CookieTests {
    private static let now: Int64 = 1_800_000_000

    private static func scope(_ host: String, _ path: String = "/a/b", secure: Bool = true) -> Cookie.Scope {
        let isAddress = SocketAddress(host: host, port: 0) != nil
        return Cookie.Scope(host: host, isAddress: isAddress, path: path, isSecure: secure)
    }

    private static func cookie(_ text: String, _ scope: Cookie.Scope = scope("www.example.com")) -> Cookie? {
        Cookie(parsing: text, from: scope, now: now)
    }

    @Test(arguments: [
        ("a=b", "a", "b"), (" a = b ; path=/", "a", "b"), ("a=\"b c\"", "a", "\"b c\""), ("a=", "a", ""),
        ("a=b=c", "a", "b=c"), ("a=b;;;", "a", "b"), ("a=b; =x; y", "a", "b"), ("ä=ö", "ä", "ö"),
    ])
    func parsesNameAndValue(text: String, name: String, value: String) throws {
        let cookie = try #require(Self.cookie(text))
        #expect(cookie.name == name)
        #expect(cookie.value == value)
        #expect(cookie.domain == "www.example.com" && cookie.isHostOnly && !cookie.isSecure && cookie.expires == nil)
    }

    @Test(arguments: [
        "", ";", "a", "=b", " =b", "a\r\n=b", "a=\u{1}", "a=b; Domain=example.org", "a=b; domain=ple.com",
    ])
    func ignoresInvalidCookies(text: String) {
        #expect(Self.cookie(text) == nil)
    }

    @Test(arguments: [
        (["a=b; c=d"], ["a": "b", "c": "d"]), (["a=b;c=d;"], ["a": "b", "c": "d"]),
        (["a=b", "c=d"], ["a": "b", "c": "d"]),
        (["a=1; a=2", "a=3"], ["a": "1"]), (["a=b=c; =x; y; z="], ["a": "b=c", "": "x", "z": ""]),
        (["a=b;\u{301}=\u{301}; c=d"], ["a": "b", "\u{301}": "\u{301}", "c": "d"]), ([], [:]),
    ])
    func readsThoseOfARequest(lines: [String], cookies: [String: String]) {
        #expect(ServerRequest.cookies(in: lines) == cookies)
    }

    @Test func limitsItsSize() {
        #expect(Self.cookie("a=" + String(repeating: "x", count: 4095)) != nil)
        #expect(Self.cookie("a=" + String(repeating: "x", count: 4096)) == nil)
    }

    @Test(arguments: [
        ("Domain=example.com", "example.com", false), ("domain=.EXAMPLE.com", "example.com", false),
        ("Domain=www.example.com", "www.example.com", false), ("Domain=", "www.example.com", true),
    ])
    func matchesDomains(attribute: String, domain: String, isHostOnly: Bool) throws {
        let cookie = try #require(Self.cookie("a=b; \(attribute)"))
        #expect(cookie.domain == domain)
        #expect(cookie.isHostOnly == isHostOnly)
        #expect(cookie.matches(Self.scope("www.example.com")))
        #expect(cookie.matches(Self.scope("api.example.com")) == (domain == "example.com"))
        #expect(cookie.matches(Self.scope("x.www.example.com")) == !isHostOnly)
        #expect(!cookie.matches(Self.scope("badexample.com")))
        #expect(!cookie.matches(Self.scope("example.com.org")))
    }

    /// No server can set a cookie for all names below `com`, nor for the neighbours of an address.
    @Test func rejectsForeignDomains() {
        #expect(Self.cookie("a=b; Domain=com") == nil)
        #expect(Self.cookie("a=b; Domain=0.0.1", Self.scope("127.0.0.1")) == nil)
        #expect(Self.cookie("a=b; Domain=127.0.0.1", Self.scope("127.0.0.1"))?.isHostOnly == true)
        #expect(Self.cookie("a=b; Domain=localhost", Self.scope("localhost"))?.isHostOnly == true)
    }

    @Test(arguments: [
        ("/", "/x", true), ("/a", "/a", true), ("/a", "/a/b", true), ("/a", "/ab", false), ("/a/", "/a/b", true),
        ("/a/", "/a", false), ("/a/b", "/a", false),
    ])
    func matchesPaths(path: String, request: String, isSent: Bool) {
        #expect(Self.cookie("a=b; Path=\(path)")?.matches(Self.scope("www.example.com", request)) == isSent)
    }

    @Test(arguments: [("/a/b", "/a"), ("/a", "/"), ("/", "/"), ("/a/b/", "/a/b")])
    func derivesTheDefaultPath(request: String, path: String) {
        #expect(Self.cookie("a=b", Self.scope("h.example", request))?.path == path)
        #expect(Self.cookie("a=b; Path=x", Self.scope("h.example", request))?.path == path)
    }

    @Test func secureCookiesStayInTLS() throws {
        let cookie = try #require(Self.cookie("a=b; Secure"))
        #expect(cookie.matches(Self.scope("www.example.com")))
        #expect(!cookie.matches(Self.scope("www.example.com", secure: false)))
        #expect(Self.cookie("a=b; Secure", Self.scope("www.example.com", secure: false)) == nil)
    }

    @Test(arguments: [
        ("__Secure-a=b", false), ("__Secure-a=b; Secure", true), ("__host-a=b; Secure", false),
        ("__Host-a=b; Secure; Path=/", true), ("__Host-a=b; Secure; Path=/; Domain=example.com", false),
    ])
    func enforcesNamePrefixes(text: String, isTaken: Bool) {
        #expect((Self.cookie(text) != nil) == isTaken)
    }

    private static let latest: Int64 = now + 400 * 86_400
    private static let ends: [(String, Int64?)] = [
        ("Max-Age=60", 1_800_000_060), ("Max-Age=0", .min), ("Max-Age=-5", .min), ("Max-Age=6x", nil),
        ("Max-Age=99999999999999999999", latest),
        ("Expires=Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Expires=Sun, 06 Nov 1994 08:49:37 GMT; Max-Age=60", 1_800_000_060), ("Expires=never", nil),
        ("Expires=Fri, 01 Jan 2100 00:00:00 GMT", latest),
    ]

    @Test(arguments: ends)
    func computesItsExpiry(attribute: String, expected: Int64?) {
        #expect(Self.cookie("a=b; \(attribute)")?.expires == expected)
    }

    private static let dates: [(String, Int64?)] = [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777), ("6 nov 1994 8:49:37x", 784_111_777),
        ("1994 November 6, 08:49:37", 784_111_777), ("06 1994 November, 08:49:37", 784_111_777),
        ("Thu, 01-Jan-70 00:00:00 GMT", 0), ("31 Dec 2069 23:59:59", 3_155_759_999),
        ("6 Nov 69 08:49:37", 3_150_953_377), ("06 Nov 1994 24:00:00", nil), ("06 Nov 1994", nil),
        ("32 Nov 1994 08:49:37", nil), ("6 Nov 1600 08:49:37", nil), ("", nil), ("06 Now 1994 08:49:37", nil),
        ("06 Nov 1994 08:60:37", nil),
    ]

    /// §5.1.1: every form of a date that servers write.
    @Test(arguments: dates)
    func parsesDates(text: String, expected: Int64?) {
        #expect(CookieDate.parse(text) == expected)
    }
}
