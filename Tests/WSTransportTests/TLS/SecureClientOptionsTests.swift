import Testing

@testable import WSTransport

@Suite("wss: which servers a client accepts, and what it presents", .timeLimit(.minutes(10)))
struct SecureClientOptionsTests {
    private static func trusting() throws -> ClientOptions {
        var options = ClientOptions()
        options.tls = try .client(TestAuthority.shared.get().trust)
        return options
    }

    private static func error(_ text: String, _ options: ClientOptions) async throws -> ConnectError? {
        await WS.failure(to: try WebSocketURL(parsing: text), options)
    }

    @Test func verifiesTheServersName() async throws {
        let other = try TestAuthority.shared.get().sign("other-name", "DNS:other.example")
        let server = try LoopbackServer.webSockets(tls: .server(other))
        var options = try Self.trusting()
        #expect(
            try await Self.error("wss://localhost:\(server.port)", options)
                == .insecure(.untrusted("hostname mismatch")))
        #expect(
            try await Self.error("wss://127.0.0.1:\(server.port)", options)
                == .insecure(.untrusted("IP address mismatch")))
        options.serverName = "other.example"
        #expect(try await Self.error("wss://localhost:\(server.port)", options) == nil)
    }

    /// The name that was given for one server does not apply to another.
    @Test func usesTheGivenNameForTheFirstServerOnly() async throws {
        let other = try TestAuthority.shared.get().sign("other-name-2", "DNS:other.example")
        let last = try LoopbackServer.webSockets(tls: .server(other))
        let first = try LoopbackServer.answering(tls: .server(other)) { _ in
            TestAnswer.redirect(302, to: "wss://localhost:\(last.port)/")
        }
        var options = try Self.trusting()
        options.serverName = "other.example"
        options.maximumRedirects = 1
        #expect(
            try await Self.error("wss://localhost:\(first.port)", options)
                == .insecure(.untrusted("hostname mismatch")))
    }

    @Test func skipsVerificationOnlyIfConfigured() async throws {
        let expired = try TestAuthority.shared.get().sign("expired-3", "DNS:other.example", days: -1)
        let server = try LoopbackServer.webSockets(tls: .server(expired))
        let url = "wss://localhost:\(server.port)"
        #expect(try await Self.error(url, Self.trusting()) == .insecure(.untrusted("hostname mismatch")))
        var named = try Self.trusting()
        named.serverName = "other.example"
        #expect(try await Self.error(url, named) == .insecure(.untrusted("certificate has expired")))
        let stranger = try TestAuthority()
        var options = ClientOptions()
        options.tls = try .client(stranger.trust)
        #expect(
            try await Self.error(url, options) == .insecure(.untrusted("unable to get local issuer certificate")))
        options.tls = try .client(.anyone)
        #expect(try await Self.error(url, options) == nil)
    }

    @Test func presentsItsCertificate() async throws {
        let authority = try TestAuthority.shared.get()
        let context = try TLSContext.server(TestAuthority.server.get(), clientAuthorities: authority.path("ca.pem"))
        let server = try LoopbackServer.webSockets(tls: context)
        var options = ClientOptions()
        options.tls = try .client(authority.trust, identity: authority.sign("client", "DNS:client"))
        #expect(try await Self.error("wss://localhost:\(server.port)", options) == nil)
        let other = try TestAuthority()
        options.tls = try .client(authority.trust, identity: other.sign("strange", "DNS:client"))
        #expect(
            try await Self.error("wss://localhost:\(server.port)", options)
                == .insecure(.refusedByPeer("tlsv1 alert unknown ca")))
    }

    @Test func resumesItsSessions() async throws {
        let log = EventLog()
        let server = try LoopbackServer.driving(tls: .server(TestAuthority.server.get())) {
            Greeter(stream: $0, log: log)
        }
        let options = try Self.trusting()
        for _ in 0..<3 {
            // The data after the handshake has arrived, and with it the ticket.
            let client = try await WS.connect(
                WebSocketURL(parsing: "wss://localhost:\(server.port)"), options: options)
            #expect(try await client.receive()?.text == "open")
        }
        // Another name is another server, and another context another client.
        _ = try await WS.connect(WebSocketURL(parsing: "wss://127.0.0.1:\(server.port)"), options: options)
        _ = try await WS.connect(WebSocketURL(parsing: "wss://localhost:\(server.port)"), options: Self.trusting())
        #expect(log.all == ["full", "resumed", "resumed", "full", "full"])
    }
}

/// Opens a WebSocket for every client, and notes how its TLS session was established.
private final class Greeter: StreamDriver {
    private let stream: StreamConnection
    private let log: EventLog

    init(stream: StreamConnection, log: EventLog) {
        self.stream = stream
        self.log = log
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        guard let (head, count) = try? HTTPHeadParser.parse(UnsafeRawBufferPointer(bytes), maximumHeadSize: 16384)
        else { return 0 }
        log.add(stream.tls?.session?.isResumed == true ? "resumed" : "full")
        stream.send(TestAnswer.opening(head))
        return count
    }

    func receivedEnd() { stream.finish() }
    func deadlinePassed() {}
    func fellBehind() {}
    func drained() {}
    func overflowed() {}
    func closed() {}
}
