import Testing
import WSTransport

@Suite("RFC 9110 §15.4: redirects of a client", .timeLimit(.minutes(10)))
struct ClientRedirectTests {
    private let log = RequestLog()

    /// Opens a WebSocket at `/there`, and answers other requests with `answer`.
    private func server(
        tls: TLSContext? = nil, _ answer: @escaping (HTTPRequestHead) -> [UInt8] = { _ in [] }
    ) throws -> LoopbackServer {
        try .answering(tls: tls) { [log] head in
            log.append(head)
            return head.path == "/there" ? TestAnswer.opening(head) : answer(head)
        }
    }

    private static func options(_ maximum: Int = 3) -> ClientOptions {
        var options = ClientOptions()
        options.maximumRedirects = maximum
        return options
    }

    private static func error(_ endpoint: Endpoint, _ options: ClientOptions) async -> ConnectError? {
        await WS.failure(to: WebSocketURL(endpoint: endpoint, path: "/start/here"), options)
    }

    @Test(arguments: [301, 302, 303, 307, 308], ["/there", "../there?x"])
    func followsRedirectsIfAllowed(status: Int, location: String) async throws {
        let server = try server { _ in TestAnswer.redirect(status, to: location) }
        let client = try await WS.connect(server.endpoint, path: "/start/here", options: Self.options(1))
        #expect(try await client.receive()?.text == "open")
        #expect(log.all.map(\.path) == ["/start/here", "/there"])
        #expect(await Self.error(server.endpoint, ClientOptions()) == .refused(status: status, body: []))
    }

    @Test func followsNoOtherStatuses() async throws {
        for status in [300, 304, 305, 399] {
            let server = try server { _ in TestAnswer.redirect(status, to: "/there") }
            #expect(await Self.error(server.endpoint, Self.options()) == .refused(status: status, body: []))
        }
    }

    @Test func limitsTheNumberOfRedirects() async throws {
        let server = try server { head in TestAnswer.redirect(302, to: head.path == "/a" ? "/b" : "/a") }
        #expect(await Self.error(server.endpoint, Self.options(5)) == .invalidRedirect("there were 5 before it"))
        #expect(log.all.count == 6)
    }

    @Test(arguments: [
        ("ftp://h/", ConnectError.invalidRedirect("expected ws://HOST/PATH or wss://HOST/PATH")),
        ("ws://h:0/", .invalidRedirect("expected a port from 1 to 65535")),
    ])
    func rejectsInvalidLocations(location: String, expected: ConnectError) async throws {
        let server = try server { _ in TestAnswer.redirect(302, to: location) }
        #expect(await Self.error(server.endpoint, Self.options()) == expected)
    }

    @Test func requiresALocation() async throws {
        let server = try server { _ in Array("HTTP/1.1 302 \r\n\r\n".utf8) }
        #expect(await Self.error(server.endpoint, Self.options()) == .invalidRedirect("it names no place"))
    }

    /// Credentials are sent to the same host and port only.
    @Test(arguments: [true, false])
    func sendsNoCredentialsToAnotherHost(isElsewhere: Bool) async throws {
        let other = try server()
        let server = try server { _ in
            let place = isElsewhere ? "ws://127.0.0.1:\(other.port)/there" : "/there"
            return TestAnswer.redirect(307, to: place, "Set-Cookie: jar=3; Path=/")
        }
        var options = Self.options()
        options.fields = ["Cookie": "field=1", "X-Mine": "yes"]
        options.cookies = [("given", "2")]
        options.cookieJar = CookieJar()
        let url = try WebSocketURL(parsing: "ws://me:pw@127.0.0.1:\(server.port)/start")
        _ = try await WS.connect(url, options: options)
        #expect(log.values(of: "Authorization") == ["Basic bWU6cHc=", isElsewhere ? nil : "Basic bWU6cHc="])
        // The jar's cookies belong to the host, whatever its port (RFC 6265 §8.5).
        let kept = isElsewhere ? "jar=3" : "field=1; given=2; jar=3"
        #expect(log.values(of: "Cookie") == ["field=1; given=2", kept])
        #expect(log.values(of: "X-Mine") == ["yes", "yes"])

        options.fields = ["Authorization": "Bearer t"]
        options.cookieJar = nil
        _ = try await WS.connect(url, options: options)
        #expect(log.values(of: "Authorization").suffix(2) == ["Bearer t", isElsewhere ? nil : "Bearer t"])
    }

    @Test func refusesARedirectOutOfTLS() async throws {
        let tls = try TLSContext.server(TestAuthority.server.get())
        let plain = try server()
        let secure = try server(tls: tls) { _ in
            TestAnswer.redirect(302, to: "http://127.0.0.1:\(plain.port)/there")
        }
        var options = Self.options()
        options.tls = try .client(TestAuthority.shared.get().trust)
        #expect(await Self.error(secure.endpoint, options) == .invalidRedirect("it leads out of TLS"))
        #expect(log.all.count == 1)
        // The other direction is allowed.
        let first = try server { _ in TestAnswer.redirect(301, to: "https://127.0.0.1:\(secure.port)/there") }
        let client = try await WS.connect(first.endpoint, path: "/", options: options)
        #expect(try await client.receive()?.text == "open")
    }
}
