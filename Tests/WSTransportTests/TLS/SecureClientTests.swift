import Foundation
import Testing
import WSTransport

@Suite("wss: a client and a local server", .timeLimit(.minutes(10)))
struct SecureClientTests {
    private static func server() throws -> LoopbackServer {
        try .webSockets(tls: .server(TestAuthority.server.get()))
    }

    private static func options() throws -> ClientOptions {
        var options = ClientOptions()
        options.tls = try .client(TestAuthority.shared.get().trust)
        return options
    }

    @Test func sendsAndReceives() async throws {
        let server = try Self.server()
        let client = try await WS.connect(server.endpoint, path: "/", options: Self.options())
        for count in [0, 1, 16_384, 65_536, 300_000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            try await client.send(bytes)
            #expect(try await client.receive()?.bytes == bytes)
        }
        #expect(await client.end() == CloseEvent(code: .normal, reason: "", wasClean: true))
    }

    /// 40 MB are more than any socket's buffers: the server must wait, and nothing is lost or out of order.
    @Test func makesTheServerWait() async throws {
        let server = try Self.server()
        var options = try Self.options()
        options.maximumHeld = 100_000
        let client = try await WS.connect(server.endpoint, path: "/", options: options)
        try await client.send("flood 800 50000")
        for number in 0..<800 {
            let bytes = try await client.receive()?.bytes
            #expect(bytes?.count == 50_000 && bytes?.first == UInt8(truncatingIfNeeded: number))
        }
    }

    /// A client that reads nothing gets a CLOSE after the data on its way, whatever was dropped.
    @Test func sendsTheCloseToASlowReaderAfterDropping() async throws {
        let server = try Self.server()
        var options = try Self.options()
        options.maximumHeld = 1
        let client = try await WS.connect(server.endpoint, path: "/", options: options)
        // One turn's 100 MB exceed the server's limit of unsent bytes, 64 MiB, when it is checked: in the next turn.
        let other = try await WS.connect(server.endpoint, path: "/", options: Self.options())
        for _ in 0..<2 {
            try await other.send("flood-first 2000 50000")
            try await other.send("unsent-to-first")
            _ = try await other.receive()
        }
        var count = 0
        do {
            while let message = try await client.receive() {
                #expect(message.bytes.count == 50_000)
                count += 1
            }
            Issue.record("it ended in order")
        } catch let error as WS.Error {
            #expect("\(error)".hasPrefix("the connection was closed with code 1013: "))
            #expect(client.closeEvent?.code == .tryAgainLater && count < 4000)
        }
    }

    private static func error(_ endpoint: Endpoint, _ options: ClientOptions) async -> ConnectError? {
        await WS.failure(to: WebSocketURL(endpoint: endpoint, path: "/"), options)
    }

    @Test func refusesAnUntrustedServer() async throws {
        let server = try Self.server()
        #expect(
            await Self.error(server.endpoint, ClientOptions())
                == .insecure(.untrusted("unable to get local issuer certificate")))
        let expired = try TestAuthority.shared.get().sign("expired-2", "IP:127.0.0.1", days: -1)
        let late = try LoopbackServer.webSockets(tls: .server(expired))
        #expect(await Self.error(late.endpoint, try Self.options()) == .insecure(.untrusted("certificate has expired")))
    }

    /// `wss:` with authorities as bytes, from a server whose certificate is given as bytes, too.
    @Test func trustsOnlyTheAuthoritiesInBytes() async throws {
        let files = try TestAuthority.server.get()
        func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
        let identity = TLSIdentity(certificatePEM: try bytes(files.certificate), keyPEM: try bytes(files.key))
        let routing: Routing = [
            "/": ws.upgrade(.patient) { socket in socket.onmessage = { try? await socket.send($0) } }
        ]
        let server = try HTTPSServer(port: 0, identity: identity, handler: routing)
        try server.start()
        let url = "wss://127.0.0.1:\(server.port)/"
        var options = ConnectOptions.patient
        options.tls = try .client(.authorities(bytes(TestAuthority.shared.get().path("ca.pem"))))
        try await ws.withSocket(url, options: options) { socket in
            try await socket.send("hello")
            #expect(try await socket.receive()?.data == .text("hello"))
        }
        let other = try TestAuthority()
        options.tls = try .client(.authorities(bytes(other.path("ca.pem"))))
        let reason = "the certificate is not accepted: unable to get local issuer certificate"
        await #expect(throws: WS.HandshakeError.insecure(reason)) { try await ws.open(url, options: options) }
        await server.stop()
    }

    @Test func refusesAServerWithoutTLS() async throws {
        let plain = try LoopbackServer.answering { _ in Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8) }
        let endpoint = Endpoint.internet(host: "127.0.0.1", port: plain.port, isSecure: true)
        var options = try Self.options()
        options.handshakeTimeout = 200_000_000
        // A ClientHello is not a request, so this server sends nothing.
        #expect(await Self.error(endpoint, options) == .timedOut)
    }

    /// TLS 1.3 clients are done before the server has seen their certificate.
    @Test func reportsAMissingClientCertificate() async throws {
        let authorities = try TestAuthority.shared.get().path("ca.pem")
        let context = try TLSContext.server(TestAuthority.server.get(), clientAuthorities: authorities)
        let server = try LoopbackServer.webSockets(tls: context)
        #expect(
            await Self.error(server.endpoint, try Self.options())
                == .insecure(.refusedByPeer("tlsv13 alert certificate required")))
    }

    @Test func aTLSPortExplainsItselfToPlainClients() async throws {
        let server = try Self.server()
        let endpoint = Endpoint.internet(host: "127.0.0.1", port: server.port)
        guard case .refused(status: 400, let body) = await Self.error(endpoint, ClientOptions()) else {
            Issue.record("expected a refusal")
            return
        }
        #expect(String(decoding: body, as: UTF8.self).contains("https://"))
    }
}
