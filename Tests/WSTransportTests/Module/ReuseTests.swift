import Synchronization
import Testing

@testable import WSTransport

/// A message that nobody refers to any more becomes the next one, which nobody may notice.
@Suite("ws.Message: a message that is used again", .timeLimit(.minutes(10)))
struct ReuseTests {
    private struct Weak: Sendable {
        weak var message: WebSocketMessage?
        let text: String
    }

    /// What a closure keeps of its messages.
    private struct Kept: Sendable {
        var strong: [(message: WebSocketMessage, text: String)] = []
        var weak: [Weak] = []

        /// The texts of messages that have changed.
        var changed: [String] {
            strong.filter { $0.message.data?.text != $0.text }.map(\.text)
                + weak.filter { $0.message.map(Self.text) ?? $0.text != $0.text }.map(\.text)
        }

        private static func text(of message: WebSocketMessage) -> String { message.data?.text ?? "" }
    }

    /// What of a message is not as in one that has just been received; empty if nothing.
    private static func differences(_ message: WebSocketMessage, _ text: String) -> [String] {
        let checks = [
            ("type", message.type == .text), ("masked", message.masked), ("compress", !message.compress),
            ("sent", !message.sent), ("ended", !message.isEnded), ("value", message.value.isEmpty),
            ("params", message.params.isEmpty), ("error", message.lastError.isEmpty),
            ("size", message.maxSize == WebSocketMessage.defaultMaxSize), ("length", message.length == text.utf8.count),
            ("stream", message.stream != nil), ("data", message.data == .text(text)),
            ("response", message.response.data == nil),
        ]
        return checks.filter { !$0.1 }.map { "\(text): \($0.0)" }
    }

    /// Changes everything that can be changed.
    private static func change(_ message: WebSocketMessage) throws {
        message.body = [UInt8](repeating: 0xFF, count: message.length % 2 == 0 ? 10 : 1000)
        _ = message.read(5)
        (message.type, message.masked, message.compress) = (.binary, false, true)
        (message.value, message.params, message.lastError) = ("value", ["param"], "error")
        message.response.write("response")
        try message.setMaxSize(1)
        message.end()
    }

    /// Reads until a message says `end`; keeps some messages, and changes others.
    private static func read(_ socket: WebSocket) async throws {
        var (kept, found, number) = (Kept(), [String](), 0)
        for try await message in socket.messages {
            let text = String(decoding: message.read() ?? [], as: UTF8.self)
            found += differences(message, text)
            switch number % 5 {
            case 0: kept.strong.append((message, text))
            case 1: kept.weak.append(Weak(message: message, text: text))
            case 2: try change(message)
            default: break
            }
            number += 1
            try await socket.send(text == "end" ? "\(found + kept.changed)" : text)
        }
    }

    private static func harness() throws -> EchoServer {
        try EchoServer { routing, _ in
            routing.append("/read", ws.upgrade(.patient) { socket in try await read(socket) })
        }
    }

    /// Some are small, and one in ten is not.
    private static let texts = (0..<300).map { "\($0)" + String(repeating: "x", count: $0 % 10 == 0 ? 200 : $0 % 60) }

    @Test func givesEachMessageItsOwnContentIfTheyComeOneByOne() async throws {
        let harness = try Self.harness()
        let socket = try await ws.open(harness.url + "/read", options: .patient)
        for text in Self.texts {
            try await socket.send(text)
            #expect(try await socket.receive()?.data?.text == text)
        }
        try await socket.send("end")
        #expect(try await socket.receive()?.data?.text == "[]")
    }

    @Test func givesEachMessageItsOwnContentIfTheyComeTogether() async throws {
        let harness = try Self.harness()
        let socket = try await ws.open(harness.url + "/read", options: .patient)
        for text in Self.texts + ["end"] { try await socket.send(text) }
        var read = 0
        for try await message in socket.messages where read < Self.texts.count {
            #expect(message.data?.text == Self.texts[read])
            read += 1
            if read == Self.texts.count { break }
        }
        #expect(try await socket.receive()?.data?.text == "[]")
    }

    /// Two copies of an iterator refer to the same message, so it does not change.
    @Test func keepsTheMessageOfACopiedIterator() async throws {
        let (server, client) = try await WS.connectedPair(UpgradeOptions(), ConnectOptions())
        for text in ["one", "two", "three"] { try await client.send(text) }
        var iterator = server.messages.makeAsyncIterator()
        weak let first = try await iterator.next(isolation: nil)
        var copy = iterator
        #expect(try await copy.next(isolation: nil)?.data?.text == "two")
        #expect(first?.data?.text ?? "one" == "one")
        #expect(try await iterator.next(isolation: nil)?.data?.text == "three")
        #expect(first?.data?.text ?? "one" == "one")
    }

    private static func core() -> SocketCore {
        SocketCore(link: ReactorLink(remote: nil), limits: .init(), isClient: false, subprotocol: "")
    }

    private static func message(_ bytes: [UInt8], on remote: Remote, _ core: SocketCore) -> WebSocketMessage {
        bytes.withUnsafeBytes { remote.message(from: ReceivedBytes(.binary, $0, isCompressed: false), to: core) }
    }

    /// What a reactor keeps becomes the next message, and keeps nothing else alive.
    @Test func keepsAMessageWithoutItsSocket() throws {
        let remote = try Remote()
        remote.enter()
        defer { remote.leave() }
        var core: SocketCore? = Self.core()
        weak let known = core
        var message = core.map { Self.message([1], on: remote, $0) }
        let identity = message.map(ObjectIdentifier.init)
        WebSocketMessage.takeSole(&message).map(remote.keep)
        core = nil
        #expect(known == nil)
        let (one, two) = (Self.message([2], on: remote, Self.core()), Self.message([3], on: remote, Self.core()))
        #expect(ObjectIdentifier(one) == identity && one.body == [2] && two.body == [3])
    }

    @Test func takesNoMessageThatIsReferredTo() throws {
        let remote = try Remote()
        var messages = (0..<3).map { Self.message([$0], on: remote, Self.core()) as WebSocketMessage? }
        let strong = messages[0]
        weak let weak = messages[1]
        unowned let unowned = try #require(messages[2])
        #expect(weak?.body == [1] && unowned.body == [2])
        #expect(messages.indices.allSatisfy { WebSocketMessage.takeSole(&messages[$0]) == nil })
        #expect(strong?.body == [0] && weak?.body == nil)
    }
}
