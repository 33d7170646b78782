import Testing

@testable import WSTransport

@Suite("RFC 3986 §2.1: percent-encoding")
struct PercentCodingTests {
    @Test(arguments: [
        ("", ""), ("abc", "abc"), ("a%20b", "a b"), ("%23%2f%2F", "#//"), ("a+b", "a+b"), ("%e2%82%AC", "€"),
        ("€", "€"),
        ("%25", "%"), ("%00", "\0"), ("%", nil), ("%2", nil), ("%2g", nil), ("%g2", nil), ("a%", nil), ("%%20", nil),
        ("% 20", nil), ("%ff", nil), ("%c0%af", nil), ("%ed%a0%80", nil), ("%e2%82", nil), ("%+2", nil),
    ])
    func decodes(text: String, expected: String?) {
        #expect(PercentCoding.decode(text) == expected)
    }

    @Test(
        arguments: [
            ("", []), ("a=1", ["a:1"]), ("a", ["a:"]), ("a=", ["a:"]), ("=1", [":1"]), ("a=b=c", ["a:b=c"]),
            ("a=1&b=2&a=3", ["a:1", "b:2", "a:3"]), ("&&a=1&", ["a:1"]), ("a+b=c+d%2B", ["a b:c d+"]),
            ("%26=%3D", ["&:="]), ("a=%", nil), ("%ff=a", nil),
            // An accent that would be a part of the character before it.
            ("a&\u{301}=\u{301}", ["a:", "\u{301}:\u{301}"]),
        ] as [(String, [String]?)])
    func decodesQueries(query: String, expected: [String]?) {
        #expect(PercentCoding.decodeQuery(query)?.map { "\($0.name):\($0.value)" } == expected)
    }

    @Test func encodesAllButUnreservedCharacters() {
        #expect(PercentCoding.encode("aZ09-._~ /#€+[@`{") == "aZ09-._~%20%2F%23%E2%82%AC%2B%5B%40%60%7B")
        #expect(PercentCoding.encodePath("/a b/#") == "/a%20b/%23")
    }

    @Test(arguments: 0..<100)
    func roundTrips(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let scalars = (0..<50).compactMap { _ in Unicode.Scalar(UInt32.random(in: 0...0x2_0000, using: &random)) }
        let text = String(String.UnicodeScalarView(scalars))
        #expect(PercentCoding.decode(PercentCoding.encode(text)) == text)
        #expect(PercentCoding.decode(PercentCoding.encodePath(text)) == text)
    }
}
