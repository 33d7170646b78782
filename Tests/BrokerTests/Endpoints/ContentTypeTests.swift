import Testing

@testable import Broker

@Suite("Payloads over HTTP: kinds, types, times to live, forms of a stream")
struct ContentTypeTests {
    /// A content type, a body, and the kind it makes.
    static let kinds: [(String?, String, Message.Kind)] = [
        (nil, "text", .text), (nil, "{}", .text), (nil, "", .text), ("", "x", .text),
        ("text/plain", "x", .text), ("text/html; charset=utf-8", "x", .text), ("TEXT/PLAIN", "x", .text),
        ("application/json", "{\"a\":1}", .json), ("application/json", " 21.5\n", .json),
        ("Application/JSON ; charset=utf-8", "[]", .json), ("application/problem+json", "{}", .json),
        ("application/json", "{", .text), ("application/json", "{} {}", .text), ("application/json", "", .text),
        ("application/xml", "<a/>", .text), ("image/svg+xml", "<svg/>", .text),
        ("application/octet-stream", "x", .binary),
        ("image/png", "x", .binary), ("application/jsonx", "{}", .binary),
    ]

    /// The content type that `curl -d` always sends does not count.
    @Test(
        arguments: [
            ("text/plain", true), ("application/x-www-form-urlencoded", false), (nil, false),
            ("Application/X-WWW-Form-URLEncoded ; charset=utf-8", false), ("application/x-www-form-urlencoded2", true),
        ] as [(String?, Bool)])
    func ignoresTheFormContentType(type: String?, isStated: Bool) {
        #expect(ContentType.stated(type) == (isStated ? type : nil))
    }

    @Test(arguments: kinds)
    func choosesTheKindOfABody(type: String?, body: String, kind: Message.Kind) {
        #expect(ContentType.kind(of: Array(body.utf8), type: type) == kind)
    }

    @Test(arguments: [nil, "text/plain", "application/json", "application/xml"])
    func treatsInvalidUTF8AsBinary(type: String?) {
        #expect(ContentType.kind(of: [0x22, 0xFF, 0x22], type: type) == .binary)
    }

    @Test func eachKindHasAContentType() {
        #expect(ContentType.type(of: .text) == "text/plain; charset=utf-8")
        #expect(ContentType.type(of: .json) == "application/json")
        #expect(ContentType.type(of: .binary) == "application/octet-stream")
    }

    @Test(arguments: [
        (nil, true), ("image/png", true), (String(repeating: "x", count: 256), true), ("a b; c=\"~\"", true),
        ("", false), (String(repeating: "x", count: 257), false), ("a\r\nb", false), ("a\u{0}", false),
        ("tëxt/plain", false), ("a\tb", false), ("a\u{7F}", false),
    ])
    func rejectsTypesThatNoHeaderFieldCanCarry(type: String?, isFine: Bool) {
        #expect((Result { try ContentType.check(type) }.error == nil) == isFine)
    }

    @Test(arguments: [
        (1, 1000), (0.5, 500), (0.0001, 1), (1.0005, 1001), (3_155_760_000, 3_155_760_000_000),
    ])
    func convertsTimesToLiveToMilliseconds(seconds: Double, milliseconds: Int64) throws {
        #expect(try Lifetime.milliseconds(seconds: seconds) == milliseconds)
    }

    @Test(arguments: [0, -1, -0.0, 3_155_760_001, .infinity, -.infinity, .nan, 1e300])
    func rejectsInvalidTimesToLive(seconds: Double) {
        #expect(throws: Refusal.self) { try Lifetime.milliseconds(seconds: seconds) }
    }

    @Test(arguments: [(0, "0"), (-1, "-1"), (301, "301"), (0.25, "0.25"), (1e300, "1e+300"), (.infinity, "inf")])
    func showsSecondsAsClientsWriteThem(seconds: Double, text: String) {
        #expect(Lifetime.text(seconds: seconds) == text)
    }

    /// An `Accept` field, and whether server-sent events are preferred.
    static let accept: [(String, Bool)] = [
        ("", false), ("*/*", false), ("text/*", false), ("text/event-stream", true), ("TEXT/Event-Stream", true),
        ("application/json", false), ("application/x-ndjson", false), ("text/html, text/event-stream;q=0.1", true),
        ("text/event-stream, application/json", true), ("application/json, text/event-stream", true),
        ("text/event-stream;q=0.5, application/json", false),
        ("text/event-stream ; q=0.5,application/json;q=0.4", true),
        ("text/event-stream;q=0", false), ("text/event-stream;q=0.0, */*", false),
        ("text/event-stream; charset=utf-8; q=0.3, application/ndjson;q=0.2", true), ("text/event-stream;q=x", true),
        ("text/event-stream;q=0x0", true),
        (",,;,", false), ("text/event-streams", false),
    ]

    @Test(arguments: accept)
    func prefersEvents(field: String, isPreferred: Bool) {
        #expect(Accept.prefersEvents(field) == isPreferred)
    }

    @Test(arguments: [
        ("", false), ("*", false), ("identity", false), ("gzip", true), ("deflate, GZIP;q=0.5, br", true),
        ("gzip;q=0", false), ("gzip ; q=0.0", false), ("x-gzip", false), ("br, gzip", true),
    ])
    func allowsGzip(field: String, isAllowed: Bool) {
        #expect(Accept.allowsGzip(field) == isAllowed)
    }
}
