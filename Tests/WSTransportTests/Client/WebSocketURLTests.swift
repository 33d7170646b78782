import Testing

@testable import WSTransport

@Suite("RFC 6455 §3: URLs of WebSockets")
struct WebSocketURLTests {
    private static func internet(_ host: String, _ port: UInt16, secure: Bool = false) -> Endpoint {
        .internet(host: host, port: port, isSecure: secure)
    }

    @Test(arguments: [
        ("ws://h", internet("h", 80), "/"), ("wss://h", internet("h", 443, secure: true), "/"),
        ("WS://EXAMPLE.com:8080/Chat", internet("example.com", 8080), "/Chat"),
        ("http://h/a", internet("h", 80), "/a"), ("https://h/a", internet("h", 443, secure: true), "/a"),
        ("ws://h?q", internet("h", 80), "/?q"), ("ws://h/a?b=c&d?e/f", internet("h", 80), "/a?b=c&d?e/f"),
        ("ws://[::1]:9/x", internet("::1", 9), "/x"), ("wss://[FE80::1]", internet("fe80::1", 443, secure: true), "/"),
        ("ws://h/grüße und<mehr>", internet("h", 80), "/gr%C3%BC%C3%9Fe%20und%3Cmehr%3E"),
        ("ws://h/%c3%bc%23", internet("h", 80), "/%c3%bc%23"), ("ws://h/a?x=ü", internet("h", 80), "/a?x=%C3%BC"),
        ("ws://h:80/../a", internet("h", 80), "/../a"), ("unix:/run/s:/a?b", .unix(path: "/run/s"), "/a?b"),
        ("ws+unix:///run/s", .unix(path: "/run/s"), "/"),
    ])
    func parses(text: String, endpoint: Endpoint, target: String) throws {
        let url = try WebSocketURL(parsing: text)
        #expect(url.endpoint == endpoint)
        #expect(url.target == target)
        #expect(url.credentials == nil)
    }

    @Test(arguments: [
        ("ws://u@h", "u", ""), ("ws://u:p@h:1/x", "u", "p"), ("ws://u:@h", "u", ""), ("ws://:p@h", "", "p"),
        ("wss://a%40b:p%3Aq%2Fr@h", "a@b", "p:q/r"), ("ws://u:p@q@h", "u", "p@q"), ("ws://ü:%C3%BC@h", "ü", "ü"),
    ])
    func parsesUserAndPassword(text: String, user: String, password: String) throws {
        let url = try WebSocketURL(parsing: text)
        #expect(url.credentials?.user == user)
        #expect(url.credentials?.password == password)
        #expect(!url.description.contains("@"), "what is shown has no password")
    }

    @Test func writesBasicCredentials() {
        // RFC 7617 §2 and §2.1.
        #expect(
            BasicCredentials(user: "Aladdin", password: "open sesame")?.fieldValue
                == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        #expect(BasicCredentials(user: "test", password: "123£")?.fieldValue == "Basic dGVzdDoxMjPCow==")
        #expect(BasicCredentials(user: "a:b", password: "") == nil)
        #expect(BasicCredentials(user: "a", password: "b\r\n") == nil)
    }

    @Test(arguments: [
        ("", WebSocketURL.ParseError.unknownScheme), ("h", .unknownScheme), ("ftp://h", .unknownScheme),
        ("ws:h", .unknownScheme), ("ws:/h", .unknownScheme), ("1ws://h", .unknownScheme), ("//h/a", .unknownScheme),
        ("ws://", .malformedHost), ("ws:///a", .malformedHost), ("ws://a b", .malformedHost),
        ("ws://münchen.example", .malformedHost), ("ws://[::1", .malformedHost), ("ws://[h]", .malformedHost),
        ("ws://[fe80::1%25eth0]", .malformedHost), ("ws://%68", .malformedHost), ("ws://u@", .malformedHost),
        ("ws://h:", .malformedPort), ("ws://h:0", .malformedPort), ("ws://h:65536", .malformedPort),
        ("ws://h:-1", .malformedPort), ("ws://::1/", .malformedHost),
        ("ws://h/#", .fragment), ("ws://h#a", .fragment), ("ws://h/a?b#c", .fragment),
        ("ws://h/a\r\nX: y", .malformedPath), ("ws://h/\0", .malformedPath), ("ws://h/%", .malformedPath),
        ("ws://h/%4", .malformedPath), ("ws://h/%4g", .malformedPath), ("ws://h/%%41", .malformedPath),
        ("ws://u%3Av:p@h", .malformedUser), ("ws://u%0A@h", .malformedUser), ("ws://u%@h", .malformedUser),
        ("ws://u%FF@h", .malformedUser),
    ])
    func refuses(text: String, expected: WebSocketURL.ParseError) {
        #expect(throws: expected) { try WebSocketURL(parsing: text) }
    }

    /// RFC 3986 §5.4, as far as a WebSocket's URL can have it.
    @Test(arguments: [
        ("ws://other/x", "ws://other/x"), ("//other:1/x", "ws://other:1/x"), ("/x?y", "ws://a/x?y"),
        ("g", "ws://a/b/c/g"), ("./g", "ws://a/b/c/g"), ("g/", "ws://a/b/c/g/"), ("?y", "ws://a/b/c/d?y"),
        ("", "ws://a/b/c/d?q"), ("g?y", "ws://a/b/c/g?y"), ("..", "ws://a/b/"), ("../g", "ws://a/b/g"),
        ("../../../g", "ws://a/g"), ("/./g", "ws://a/g"), ("g/./h", "ws://a/b/c/g/h"), (".", "ws://a/b/c/"),
        ("https://h/#part", "wss://h/"), ("ü", "ws://a/b/c/%C3%BC"), ("#part", "ws://a/b/c/d?q"),
    ])
    func resolvesReferences(reference: String, expected: String) throws {
        #expect(try WebSocketURL(parsing: "ws://a/b/c/d?q").resolving(reference).description == expected)
    }

    @Test func rejectsInvalidReferences() throws {
        let url = try WebSocketURL(parsing: "ws://a/b")
        #expect(throws: WebSocketURL.ParseError.unknownScheme) { try url.resolving("mailto:x@y") }
        #expect(throws: WebSocketURL.ParseError.malformedPath) { try url.resolving("/\u{1}") }
    }

    @Test(arguments: [
        ("http://p:3128", ClientProxy(endpoint: internet("p", 3128))),
        ("HTTP://[::1]/", ClientProxy(endpoint: internet("::1", 80))),
        (
            "http://u:p@p:1",
            ClientProxy(endpoint: internet("p", 1), credentials: BasicCredentials(user: "u", password: "p"))
        ),
    ])
    func parsesProxies(text: String, expected: ClientProxy) throws {
        #expect(try ClientProxy(parsing: text) == expected)
    }

    @Test(arguments: [
        ("p:3128", ClientProxy.ParseError.unknownScheme), ("https://p", .unknownScheme),
        ("http://", .malformedAddress), ("http://p:0", .malformedAddress), ("http://u%@p", .malformedUser),
        ("http://p/x", .surplus), ("http://p?x", .surplus), ("http://p/#", .surplus),
    ])
    func rejectsInvalidProxies(text: String, expected: ClientProxy.ParseError) {
        #expect(throws: expected) { try ClientProxy(parsing: text) }
    }
}
