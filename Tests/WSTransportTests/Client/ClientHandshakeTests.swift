import Foundation
import Testing
import WSTransport

@Suite("RFC 6455 §4.1: the client's opening handshake", .timeLimit(.minutes(10)))
struct ClientHandshakeTests {
    private static func error(
        _ endpoint: Endpoint, path: String = "/", timeout: Int64 = 60_000_000_000
    ) async -> ConnectError? {
        var options = ClientOptions()
        options.handshakeTimeout = timeout
        return await WS.failure(to: WebSocketURL(endpoint: endpoint, path: path), options)
    }

    private static func accepted(_ head: HTTPRequestHead) -> String {
        let key = Handshake.acceptKey(for: head.fields.first("Sec-WebSocket-Key") ?? "")
        return "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(key)\r\n\r\n"
    }

    @Test func keepsFramesThatArriveWithTheResponse() async throws {
        let server = try LoopbackServer.answering { head in
            Array(Self.accepted(head).utf8) + FrameEncoder.frame(.text, Array("one".utf8))
                + FrameEncoder.frame(.text, Array("two".utf8)) + FrameEncoder.closeFrame(.goingAway)
        }
        let client = try await WS.connect(server.endpoint, path: "/")
        #expect(try await client.receive()?.text == "one")
        #expect(try await client.receive()?.text == "two")
        #expect(try await client.receive() == nil)
        #expect(client.closeEvent?.code == .goingAway)
    }

    @Test func skipsInterimResponses() async throws {
        let server = try LoopbackServer.answering { head in
            Array(("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + Self.accepted(head)).utf8)
                + FrameEncoder.frame(.text, Array("one".utf8))
        }
        let client = try await WS.connect(server.endpoint, path: "/")
        #expect(try await client.receive()?.text == "one")
    }

    @Test func reportsTheServersRefusal() async throws {
        let server = try LoopbackServer.webSockets()
        #expect(
            await Self.error(server.endpoint, path: "/closed")
                == .refused(status: 403, body: Array("Not for you.\n".utf8)))
    }

    @Test(arguments: [
        ("HTTP/1.1 404 Not Found\r\n\r\n", ConnectError.refused(status: 404, body: [])),
        ("HTTP/1.1 302 \r\nContent-Length: 2\r\n\r\nab", .refused(status: 302, body: [97, 98])),
        ("HTTP/1.1 500 \r\nContent-Length: 900\r\n\r\ncut off", .refused(status: 500, body: [])),
        ("HTTP/1.1 500 \r\nContent-Length: 99999999999999999999\r\n\r\n", .refused(status: 500, body: [])),
        ("HTTP/1.1 500 \r\nContent-Length: -5\r\n\r\n", .refused(status: 500, body: [])),
        (
            "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
            .invalidAnswer("invalid Sec-WebSocket-Accept header.")
        ),
        ("HTTP/1.1 101 \r\nConn", .connectionLost),
    ])
    func rejectsInvalidResponses(answer: String, expected: ConnectError) async throws {
        let server = try LoopbackServer.answering { _ in Array(answer.utf8) }
        #expect(await Self.error(server.endpoint) == expected)
    }

    @Test func refusesAnotherProtocol() async throws {
        let server = try LoopbackServer.answering { _ in Array("220 mail.example.com ESMTP\r\n\r\n".utf8) }
        guard case .invalidAnswer = await Self.error(server.endpoint) else {
            Issue.record("expected an invalid answer")
            return
        }
    }

    @Test func timesOut() async throws {
        let server = try LoopbackServer.answering { _ in nil }
        #expect(await Self.error(server.endpoint, timeout: 50_000_000) == .timedOut)
    }

    @Test func reportsUnreachableServers() async throws {
        let port = try LoopbackServer.webSockets().port
        #expect(
            await Self.error(.internet(host: "127.0.0.1", port: port))
                == .unreachable(Errno(rawValue: ECONNREFUSED)))
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        #expect(await Self.error(.unix(path: path)) == .unreachable(Errno(rawValue: ENOENT)))
        let long = String(repeating: "x", count: 108)
        guard case .unusablePath = await Self.error(.unix(path: long)) else {
            Issue.record("expected a path that is too long")
            return
        }
    }

    @Test func resolvesHostNames() async throws {
        let server = try LoopbackServer.webSockets()
        let client = try await WS.connect(.internet(host: "localhost", port: server.port), path: "/")
        try await client.send("there")
        #expect(try await client.receive()?.text == "there")
    }
}
