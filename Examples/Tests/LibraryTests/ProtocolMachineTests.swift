import Testing
import WSTransport
import WSTransportTesting

/// The machine without I/O, driven step by step by another package.
@Suite("The protocol without I/O", .timeLimit(.minutes(5)))
struct ProtocolMachineTests {
    private typealias Frame = ProtocolMachine.Frame
    private typealias Event = ProtocolMachine.Event
    private static let key: UInt32 = 0x37FA_213D

    /// Feeds `bytes` in two parts; the events and the answers.
    private static func feed(
        _ machine: ProtocolMachine, _ bytes: [UInt8], cutAt cut: Int
    ) -> (events: [Event], output: [UInt8]) {
        let events = machine.receive(bytes[..<cut]) + machine.receive(bytes[cut...])
        return (events, machine.takeOutput())
    }

    /// The frames of a peer, with all kinds of events, and what a machine has to make of them.
    private static func script(for role: ProtocolMachine.Role) -> (bytes: [UInt8], events: [Event], answers: [Frame]) {
        let (theirs, ours): (UInt32?, UInt32?) = role == .server ? (key, nil) : (nil, key)
        let long = [UInt8](repeating: 0x61, count: 200)
        let frames = [
            Frame(.text, Array("häuser".utf8), maskingKey: theirs),
            Frame(.text, Array("hä".utf8.prefix(2)), isFinal: false, maskingKey: theirs),
            Frame(.ping, [1, 2], maskingKey: theirs),
            Frame(.continuation, Array("hä".utf8.dropFirst(2)), maskingKey: theirs),
            Frame(.binary, long, maskingKey: theirs),
            Frame(.pong, [3], maskingKey: theirs),
            Frame(.close, [0x0F, 0xA0] + Array("bye".utf8), maskingKey: theirs),
            Frame(.text, Array("too late".utf8), maskingKey: theirs),
        ]
        let events: [Event] = [
            .text("häuser"), .ping([1, 2]), .text("hä"), .binary(long), .pong([3]), .closed(4000, reason: "bye"),
        ]
        let answers = [
            Frame(.pong, [1, 2], maskingKey: ours),
            Frame(.close, [0x0F, 0xA0] + Array("bye".utf8), maskingKey: ours),
        ]
        return (frames.flatMap(\.bytes), events, answers)
    }

    @Test(arguments: [ProtocolMachine.Role.client, .server])
    func readsBytesCutAnywhere(role: ProtocolMachine.Role) {
        let script = Self.script(for: role)
        for cut in 0...script.bytes.count {
            let machine = ProtocolMachine(role, maskingKey: Self.key)
            let (events, output) = Self.feed(machine, script.bytes, cutAt: cut)
            #expect(events == script.events, "cut at \(cut)")
            #expect(Frame.frames(in: output) == script.answers && machine.readyState == .closed)
        }
        let machine = ProtocolMachine(role)
        #expect(script.bytes.flatMap { machine.receive([$0]) } == script.events)
    }

    /// Both machines, from the request on, with every cut of each side's bytes.
    @Test(arguments: [false, true])
    func talkToEachOther(isCompressed: Bool) throws {
        let compression = isCompressed ? CompressionOptions(minimum: 0) : nil
        let text = String(repeating: "hello ", count: 20)
        var (cut, most) = (0, 1)
        while cut <= most {
            let client = try ProtocolMachine(
                client: "ws://example.com/chat?x=1",
                options: ConnectOptions(
                    protocols: ["v1", "v2"], perMessageDeflate: compression, headers: ["X-Test": "yes"],
                    cookies: [(name: "session", value: "known")]),
                key: "dGhlIHNhbXBsZSBub25jZQ==")
            let server = try ProtocolMachine(
                server: UpgradeOptions(perMessageDeflate: compression, protocols: ["v2", "v1"]))
            let request = client.takeOutput()
            most = max(most, request.count)
            #expect(Self.feed(client, [], cutAt: 0).events.isEmpty && client.readyState == .connecting)
            let asked = Self.feed(server, request, cutAt: min(cut, request.count))
            #expect(asked.events == [.opened] && server.target == "/chat?x=1" && server.fields.first("x-test") == "yes")
            #expect(server.fields.first("Cookie") == "session=known")
            // A server may send at once: its first frames may arrive with its response.
            try server.send("first")
            let response = asked.output + server.takeOutput()
            #expect(Self.feed(client, response, cutAt: min(cut, response.count)).events == [.opened, .text("first")])
            // RFC 6455 §1.3.
            #expect(client.fields.first("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            #expect(client.subprotocol == "v2" && server.subprotocol == "v2")
            #expect(client.compresses == isCompressed && server.compresses == isCompressed)
            try client.send(text)
            try client.send([1, 2, 3])
            try client.ping([7])
            try client.close(4001, reason: "done")
            let said = client.takeOutput()
            #expect(isCompressed == (said.count < text.utf8.count))
            let heard = Self.feed(server, said, cutAt: min(cut, said.count))
            #expect(
                heard.events == [.text(text), .binary([1, 2, 3]), .ping([7]), .closed(4001, reason: "done")])
            #expect(client.receive(heard.output) == [.closed(4001, reason: "done")])
            #expect(client.readyState == .closed && client.receiveEnd().isEmpty)
            cut += 1
        }
    }

    @Test func reportsViolations() throws {
        let rows: [(ProtocolMachine.Role, Frame, CloseCode, String)] = [
            (.server, Frame(.text, [0x61]), 1002, "frame from a client is not masked"),
            (.client, Frame(.text, [0x61], maskingKey: 1), 1002, "frame from a server is masked"),
            (.client, Frame(.text, [0xFF]), 1007, "text is not UTF-8"),
            (.client, Frame(.binary, [UInt8](repeating: 0, count: 11)), 1009, "message above the limit"),
            (.client, Frame(Opcode(rawValue: 3)), 1002, "reserved opcode"),
            (.client, Frame(.ping, isFinal: false), 1002, "fragmented control frame"),
            (.client, Frame(.text, isCompressed: true), 1002, "reserved bit set without an extension"),
        ]
        for (role, frame, code, reason) in rows {
            let machine = ProtocolMachine(role, maxPayload: 10)
            #expect(machine.receive(frame.bytes) == [.violation(code, reason: reason)])
            let answer = try #require(Frame.frames(in: machine.takeOutput()).first)
            #expect(
                answer.type == .close
                    && answer.payload.prefix(2) == [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 255)])
            #expect((answer.maskingKey != nil) == (role == .client))
            #expect(throws: WS.Error.invalidState(.closed)) { try machine.send("late") }
        }
    }

    @Test func refusesAHandshake() throws {
        let server = try ProtocolMachine(server: UpgradeOptions(origins: .list(["https://example.com"])))
        let client = try ProtocolMachine(
            client: "ws://example.com/", options: ConnectOptions(origin: "https://elsewhere.example"))
        let message = "The origin https://elsewhere.example is not on the list of allowed origins."
        let refusal = Event.handshakeFailed(.refused(status: 403, body: Array(message.utf8)))
        #expect(server.receive(client.takeOutput()) == [refusal])
        #expect(client.receive(server.takeOutput()) == [refusal])
        let plain = try ProtocolMachine(server: UpgradeOptions())
        let events = plain.receive(Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
        #expect(events == [.handshakeFailed(.refused(status: 426, body: Array("this is a WebSocket endpoint".utf8)))])
        #expect(String(decoding: plain.takeOutput(), as: UTF8.self).hasPrefix("HTTP/1.1 426 Upgrade Required\r\n"))
        let wrong = try ProtocolMachine(client: "ws://example.com/")
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        #expect(
            wrong.receive(Array(answer.utf8))
                == [.handshakeFailed(.invalidAnswer("missing Sec-WebSocket-Accept header."))])
        let lost = try ProtocolMachine(client: "ws://example.com/")
        #expect(lost.receiveEnd() == [.handshakeFailed(.connectionLost)])
        #expect(throws: WS.Error.self) { try ProtocolMachine(client: "nonsense") }
        #expect(throws: WS.Error.self) { try ProtocolMachine(server: UpgradeOptions(protocols: ["a b"])) }
    }
}
