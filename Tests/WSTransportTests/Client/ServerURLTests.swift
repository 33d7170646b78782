import Testing
import WSTransport

@Suite("URLs of servers")
struct ServerURLTests {
    @Test(arguments: [
        ("http://127.0.0.1:8080", Endpoint.internet(host: "127.0.0.1", port: 8080), ""),
        ("ws://example.com", .internet(host: "example.com", port: 80), ""),
        ("WS://h:1/", .internet(host: "h", port: 1), ""),
        ("http://h:65535/a/b%20c//", .internet(host: "h", port: 65535), "/a/b%20c"),
        ("http://[::1]:9", .internet(host: "::1", port: 9), ""),
        ("http://[fe80::1]/p", .internet(host: "fe80::1", port: 80), "/p"),
        ("https://h", .internet(host: "h", port: 443, isSecure: true), ""),
        ("WSS://[::1]:1/p", .internet(host: "::1", port: 1, isSecure: true), "/p"),
        ("https://h:80", .internet(host: "h", port: 80, isSecure: true), ""),
        ("unix:/run/broker/admin.sock", .unix(path: "/run/broker/admin.sock"), ""),
        ("unix:///run/x", .unix(path: "/run/x"), ""),
        ("unix:data/x", .unix(path: "data/x"), ""),
    ])
    func parses(text: String, endpoint: Endpoint, prefix: String) throws {
        let url = try ServerURL(parsing: text)
        #expect(url.endpoint == endpoint)
        #expect(url.pathPrefix == prefix)
    }

    @Test(arguments: [
        ("", ServerURL.ParseError.unknownScheme), ("https:h", .unknownScheme), ("h:80", .unknownScheme),
        ("ftp://h", .unknownScheme), ("http:/h", .unknownScheme),
        ("http://", .malformedHost), ("http://:80", .malformedHost), ("http://a b", .malformedHost),
        ("http://u@h", .malformedHost), ("http://[::1", .malformedHost), ("http://[1.2.3.4]", .malformedHost),
        ("http://h:", .malformedPort), ("http://h:0", .malformedPort), ("http://h:65536", .malformedPort),
        ("http://h:+80", .malformedPort), ("http://h:8x", .malformedPort), ("http://[::1]9", .malformedPort),
        ("http://h/a?b", .malformedPath), ("http://h/#b", .malformedPath), ("http://h/ä", .malformedPath),
        ("http://h/a\r\nX: y", .malformedPath), ("unix:", .malformedPath), ("unix:/a\0b", .malformedPath),
    ])
    func refuses(text: String, expected: ServerURL.ParseError) {
        #expect(throws: expected) { try ServerURL(parsing: text) }
    }

    @Test func describesEndpoints() {
        #expect(Endpoint.internet(host: "::1", port: 80).description == "[::1]:80")
        #expect(Endpoint.internet(host: "h", port: 1).description == "h:1")
        #expect(Endpoint.unix(path: "/a").description == "/a")
    }
}
