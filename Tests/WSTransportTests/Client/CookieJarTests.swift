import Testing
import WSTransport

@Suite("RFC 6265 §5.3, §5.4: a client's cookies")
struct CookieJarTests {
    private static let now: Int64 = 1_800_000_000
    private let jar = CookieJar()

    private static func scope(_ host: String, _ path: String = "/") -> Cookie.Scope {
        Cookie.Scope(host: host, isAddress: false, path: path, isSecure: true)
    }

    private func set(_ texts: String..., host: String = "h.example", at now: Int64 = now) {
        var fields = HeaderFields()
        for text in texts { fields.append("set-cookie", text) }
        jar.store(fields, from: Self.scope(host), now: now)
    }

    @Test func sendsLongerPathsFirstThenOlderOnes() {
        set("a=1", "b=2; Path=/x/y", "c=3; Path=/x", "d=4; Path=/other")
        set("a=5")
        #expect(jar.fieldValue(for: Self.scope("h.example", "/x/y"), now: Self.now) == "b=2; c=3; a=5")
        #expect(jar.fieldValue(for: Self.scope("h.example", "/x"), now: Self.now) == "c=3; a=5")
        #expect(jar.fieldValue(for: Self.scope("other.example"), now: Self.now) == nil)
    }

    @Test func removesExpiredCookies() {
        set("a=1; Max-Age=60", "b=2")
        #expect(jar.fieldValue(for: Self.scope("h.example"), now: Self.now + 59) == "a=1; b=2")
        #expect(jar.fieldValue(for: Self.scope("h.example"), now: Self.now + 60) == "b=2")
        set("b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(jar.cookies(at: Self.now).map(\.name) == ["a"])
        jar.removeAll()
        #expect(jar.cookies(at: Self.now).isEmpty)
    }

    @Test func limitsTheNumberOfCookies() {
        for number in 0..<60 { set("n\(number)=1") }
        #expect(jar.cookies(at: Self.now).map(\.name) == (10..<60).map { "n\($0)" })
        for number in 0..<3100 { set("a=1", host: "h\(number).example") }
        let kept = jar.cookies(at: Self.now)
        #expect(kept.count == CookieJar.maximum)
        #expect(kept.last?.domain == "h3099.example")
    }
}
