import Testing
import WSTransport

@Suite(
    "RFC 6455 §4.1, RFC 6265, RFC 7617: fields of a client's request besides the handshake", .timeLimit(.minutes(10)))
struct ClientRequestTests {
    private let log = RequestLog()

    private func server(_ lines: String...) throws -> LoopbackServer {
        try .answering { [log] head in
            log.append(head)
            return TestAnswer.opening(head, lines.joined(separator: "\r\n"))
        }
    }

    private static func url(_ server: LoopbackServer, _ user: String = "", path: String = "/") throws -> WebSocketURL {
        try WebSocketURL(parsing: "ws://\(user)127.0.0.1:\(server.port)\(path)")
    }

    @Test func sendsPathAndQuery() async throws {
        let server = try server("X: y")
        _ = try await WS.connect(Self.url(server, path: "/a%20b?c=ü"))
        #expect(log.all.map(\.target) == ["/a%20b?c=%C3%BC"])
        #expect(log.values(of: "Host") == ["127.0.0.1:\(server.port)"])
        #expect(log.values(of: "Authorization") == [nil])
    }

    @Test func sendsUserAndPassword() async throws {
        let server = try server("X: y")
        _ = try await WS.connect(Self.url(server, "me:p%3Aw@"))
        var options = ClientOptions()
        options.credentials = BasicCredentials(user: "you", password: "")
        _ = try await WS.connect(Self.url(server, "me:pw@"), options: options)
        options.fields = ["authorization": "Bearer t"]
        _ = try await WS.connect(Self.url(server, "me:pw@"), options: options)
        #expect(log.values(of: "Authorization") == ["Basic bWU6cDp3", "Basic eW91Og==", "Bearer t"])
        #expect(log.all.allSatisfy { $0.fields.all("Authorization").count == 1 })
    }

    @Test func sendsCookiesInOneField() async throws {
        let server = try server("Set-Cookie: s=1; Path=/a\r\nSet-Cookie: t=2; Secure")
        var options = ClientOptions()
        options.fields = ["Cookie": "f=0"]
        options.cookies = [("g", "1"), ("h", "2")]
        options.cookieJar = CookieJar()
        for path in ["/a", "/a/b", "/other"] {
            _ = try await WS.connect(Self.url(server, path: path), options: options)
        }
        #expect(log.values(of: "Cookie") == ["f=0; g=1; h=2", "f=0; g=1; h=2; s=1", "f=0; g=1; h=2"])
        #expect(log.all.allSatisfy { $0.fields.all("Cookie").count == 1 })
    }

    @Test func keepsTheCookiesOfARefusal() async throws {
        let server = try LoopbackServer.answering { _ in
            Array("HTTP/1.1 401 \r\nSet-Cookie: challenge=1\r\n\r\n".utf8)
        }
        var options = ClientOptions()
        options.cookieJar = CookieJar()
        await #expect(throws: ConnectError.refused(status: 401, body: [])) {
            try await WS.connect(Self.url(server), options: options)
        }
        #expect(options.cookieJar?.cookies(at: 0).map(\.name) == ["challenge"])
    }

    @Test(arguments: [
        ("Host", "x"), ("upgrade", "x"), ("Connection", "close"), ("sec-websocket-key", "x"),
        ("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Protocol", "x"), ("Sec-WebSocket-Extensions", "x"),
        ("Content-Length", "1"), ("Transfer-Encoding", "chunked"), ("Origin", "x"), ("a b", "x"), ("", "x"),
        ("X", "a\r\nHost: b"), ("X", "a\0"), ("Proxy-Authorization", "x"),
    ])
    func rejectsFieldsOfTheHandshake(name: String, value: String) async throws {
        let server = try server("X: y")
        var options = ClientOptions()
        options.origin = "https://example.com"
        options.fields.append(name, value)
        do throws(ConnectError) {
            _ = try await WS.connect(server.endpoint, path: "/", options: options)
            Issue.record("expected an error")
        } catch {
            guard case .invalidOption(let reason) = error else { throw error }
            #expect(reason.contains(name.isEmpty ? "\"\"" : name))
        }
        #expect(log.all.isEmpty, "nothing was asked")
    }

    @Test(arguments: [["a b"], [""], ["a", "a"]])
    func rejectsInvalidSubprotocols(subprotocols: [String]) async throws {
        var options = ClientOptions()
        options.subprotocols = subprotocols
        await #expect(throws: ConnectError.self) {
            try await WS.connect(.unix(path: "/nowhere"), path: "/", options: options)
        }
    }

    @Test func stopsWhenItsTaskIsCancelled() async throws {
        let server = try LoopbackServer.answering { [log] head in
            log.append(head)
            return nil
        }
        let url = try Self.url(server)
        let task = Task { () -> ConnectError? in
            do throws(ConnectError) {
                _ = try await WS.connect(url)
                return nil
            } catch {
                return error
            }
        }
        await log.wait(for: 1)
        task.cancel()
        #expect(await task.value == .cancelled)
        let isCancelled = EchoServer.Notes()
        let late = Task { () -> Bool in
            await isCancelled.wait(for: 1)
            return (try? await WS.connect(url)) == nil
        }
        late.cancel()
        isCancelled.add("")
        #expect(await late.value)
        #expect(log.all.count == 1)
    }
}
