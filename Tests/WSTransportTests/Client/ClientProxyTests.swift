import Testing
import WSTransport

@Suite("RFC 9110 §9.3.6: a client behind a proxy", .timeLimit(.minutes(10)))
struct ClientProxyTests {
    private let log = RequestLog()

    private static func options(_ proxy: LoopbackServer, credentials: String = "") throws -> ClientOptions {
        var options = ClientOptions()
        options.proxy = try ClientProxy(parsing: "http://\(credentials)127.0.0.1:\(proxy.port)")
        return options
    }

    private static func error(_ text: String, _ options: ClientOptions) async throws -> ConnectError? {
        await WS.failure(to: try WebSocketURL(parsing: text), options)
    }

    @Test func connectsThroughTheProxy() async throws {
        let server = try LoopbackServer.webSockets()
        let proxy = try TestProxy.server(log: log)
        // The proxy resolves the name, not the client.
        let url = try WebSocketURL(parsing: "ws://no-such-host.invalid:\(server.port)/")
        let client = try await WS.connect(url, options: Self.options(proxy))
        try await client.send("through")
        #expect(try await client.receive()?.text == "through")
        #expect(await client.end().wasClean)
        let request = try #require(log.all.first)
        #expect(request.method == "CONNECT")
        #expect(request.target == "no-such-host.invalid:\(server.port)")
        #expect(request.fields.first("Host") == request.target)
        #expect(request.fields.first("Proxy-Authorization") == nil)
    }

    @Test func speaksTLSInsideTheTunnel() async throws {
        let server = try LoopbackServer.webSockets(tls: .server(TestAuthority.server.get()))
        let proxy = try TestProxy.server(log: log)
        var options = try Self.options(proxy)
        options.tls = try .client(TestAuthority.shared.get().trust)
        let client = try await WS.connect(
            WebSocketURL(parsing: "wss://localhost:\(server.port)/"), options: options)
        let bytes = [UInt8](repeating: 7, count: 100_000)
        try await client.send(bytes)
        #expect(try await client.receive()?.bytes == bytes)
        // The server is verified, by its own name.
        #expect(
            try await Self.error("wss://other.invalid:\(server.port)/", options)
                == .insecure(.untrusted("hostname mismatch")))
        #expect(log.all.map(\.target) == ["localhost:\(server.port)", "other.invalid:\(server.port)"])
    }

    @Test func authenticatesAtTheProxy() async throws {
        let server = try LoopbackServer.answering { TestAnswer.opening($0) }
        let proxy = try TestProxy.server(authorization: "Basic dTpwQHc=", log: log)
        let url = "ws://server:\(server.port)/"
        let options = try Self.options(proxy, credentials: "u:p%40w@")
        let client = try await WS.connect(WebSocketURL(parsing: url), options: options)
        #expect(try await client.receive()?.text == "open")
        #expect(
            try await Self.error(url, Self.options(proxy))
                == .proxyRefused(status: 407, body: Array("Who?\r\n".utf8)))
    }

    @Test func reportsTheProxysRefusal() async throws {
        let proxy = try TestProxy.server(log: log)
        // A port without a listener.
        let port = try LoopbackServer.webSockets().port
        #expect(
            try await Self.error("ws://server:\(port)/", Self.options(proxy))
                == .proxyRefused(status: 502, body: Array("no\r\n".utf8)))
    }

    @Test func reportsAnUnreachableProxy() async throws {
        let gone = try TestProxy.server(log: log).port
        var options = ClientOptions()
        options.proxy = ClientProxy(endpoint: .internet(host: "127.0.0.1", port: gone))
        #expect(try await Self.error("ws://server/", options) == .proxyFailed("Connection refused"))
        options.proxy = ClientProxy(endpoint: .internet(host: "no-such-host.invalid", port: 1))
        guard case .proxyFailed = try await Self.error("ws://server/", options) else {
            Issue.record("expected a proxy that is not found")
            return
        }
    }

    @Test(arguments: [
        ("SSH-2.0-x\r\n\r\n", ConnectError.proxyFailed("its answer is not that of a proxy")),
        ("", .proxyFailed("it hung up")),
        ("HTTP/1.1 403 \r\nContent-Length: 9\r\n\r\ncut", .proxyRefused(status: 403, body: [])),
        ("HTTP/1.1 101 \r\n\r\n", .proxyFailed("it hung up")),
    ])
    func rejectsServersThatAreNotProxies(answer: String, expected: ConnectError) async throws {
        let proxy = try LoopbackServer.driving { Parrot(stream: $0, words: answer) }
        #expect(try await Self.error("ws://server/", Self.options(proxy)) == expected)
    }

    @Test func rejectsEarlyBytesFromTheProxy() async throws {
        let server = try LoopbackServer.webSockets()
        let proxy = try TestProxy.server(log: log, greeting: "HTTP/1.1 101 \r\n\r\n")
        #expect(
            try await Self.error("ws://server:\(server.port)/", Self.options(proxy))
                == .proxyFailed("bytes came before the server's"))
    }

    @Test func timesOut() async throws {
        let proxy = try LoopbackServer.answering { _ in nil }
        var options = try Self.options(proxy)
        options.handshakeTimeout = 50_000_000
        #expect(try await Self.error("ws://server/", options) == .timedOut)
    }

    @Test func refusesUnixSockets() async throws {
        var options = ClientOptions()
        options.proxy = ClientProxy(endpoint: .internet(host: "127.0.0.1", port: 1))
        await #expect(throws: ConnectError.self) {
            try await WS.connect(.unix(path: "/x"), path: "/", options: options)
        }
    }
}

/// Gives each request the same answer.
private final class Parrot: StreamDriver {
    private let stream: StreamConnection
    private let words: String

    init(stream: StreamConnection, words: String) {
        self.stream = stream
        self.words = words
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        stream.send(Array(words.utf8))
        stream.finish()
        return bytes.count
    }

    func receivedEnd() { stream.finish() }
    func deadlinePassed() {}
    func fellBehind() {}
    func drained() {}
    func overflowed() {}
    func closed() {}
}
