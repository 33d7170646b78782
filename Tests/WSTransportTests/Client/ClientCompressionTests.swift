import Testing
import WSTransport

@Suite("RFC 7692: compression between client and server", .timeLimit(.minutes(10)))
struct ClientCompressionTests {
    private static func options(context isKept: Bool, windowBits: Int, minimum: Int = 0) -> CompressionOptions {
        var options = CompressionOptions()
        options.minimum = minimum
        options.serverNoContextTakeover = !isKept
        options.clientNoContextTakeover = !isKept
        options.serverWindowBits = windowBits
        options.clientWindowBits = windowBits
        return options
    }

    @Test(arguments: [true, false], [9, 12, 15])
    func echoesEveryPayload(context isKept: Bool, windowBits: Int) async throws {
        let compression = Self.options(context: isKept, windowBits: windowBits)
        let server = try LoopbackServer.webSockets(compression: compression)
        var options = ClientOptions()
        options.webSocket.compression = compression
        let client = try await WS.connect(server.endpoint, path: "/", options: options)
        let sent: [[UInt8]] = [
            [], [1], [UInt8](repeating: 7, count: 100_000), (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* $0) },
            [],
            [UInt8](repeating: 7, count: 100_000),
        ]
        for bytes in sent { try await client.send(bytes) }
        for bytes in sent { #expect(try await client.receive()?.bytes == bytes) }
        try await client.send("grüße")
        #expect(try await client.next() == ReceivedMessage(opcode: .text, bytes: Array("grüße".utf8)))
        #expect(await client.end() == CloseEvent(code: .normal, reason: "", wasClean: true))
    }

    /// Either side may lack the extension.
    @Test(arguments: [true, false])
    func worksUncompressedIfOneSideLacksIt(server has: Bool) async throws {
        let server = try LoopbackServer.webSockets(compression: has ? CompressionOptions() : nil)
        var options = ClientOptions()
        options.webSocket.compression = has ? nil : CompressionOptions()
        let client = try await WS.connect(server.endpoint, path: "/", options: options)
        let bytes = [UInt8](repeating: 7, count: 1000)
        try await client.send(bytes)
        #expect(try await client.receive()?.bytes == bytes)
    }

    @Test(arguments: ["permessage-deflate; colour", "permessage-deflate; client_max_window_bits", "other", "a b"])
    func failsTheHandshakeOnAnInvalidExtension(answer: String) async throws {
        let server = try LoopbackServer.answering { head in
            let key = Handshake.acceptKey(for: head.fields.first("Sec-WebSocket-Key") ?? "")
            return Array(
                """
                HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(key)\r\n\
                Sec-WebSocket-Extensions: \(answer)\r\n\r\n
                """.utf8)
        }
        var options = ClientOptions()
        options.webSocket.compression = CompressionOptions()
        do throws(ConnectError) {
            _ = try await WS.connect(server.endpoint, path: "/", options: options)
            Issue.record("it connected")
        } catch {
            guard case .invalidAnswer = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    /// The inflated size counts, for the client as well.
    @Test func closesOnAMessageThatInflatesBeyondTheLimit() async throws {
        let server = try LoopbackServer.webSockets(compression: CompressionOptions())
        var options = ClientOptions()
        options.webSocket.compression = CompressionOptions()
        options.webSocket.maximumMessage = 10_000
        let client = try await WS.connect(server.endpoint, path: "/", options: options)
        try await client.send([UInt8](repeating: 7, count: 10_000))
        #expect(try await client.receive()?.bytes.count == 10_000)
        try await client.send([UInt8](repeating: 7, count: 10_001))
        await #expect(throws: WS.Error.self) { try await client.receive() }
        #expect(client.closeEvent?.code == .messageTooBig)
    }
}
