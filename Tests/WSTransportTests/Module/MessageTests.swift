import Testing
import WSTransport

@Suite("ws.Message: one message over a raw stream")
struct MessageTests {
    private static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.utf8.filter { $0 != UInt8(ascii: " ") }
        return stride(from: 0, to: digits.count, by: 2).map { offset in
            UInt8(String(decoding: digits[offset..<offset + 2], as: UTF8.self), radix: 16) ?? 0
        }
    }

    struct Vector: CustomTestStringConvertible, Sendable {
        let name: String
        let bytes: [UInt8]
        let type: Opcode
        let data: WebSocketMessage.Data
        var masked = false
        var compress = false

        init(
            _ name: String, _ hexadecimal: String, _ type: Opcode, _ data: WebSocketMessage.Data, masked: Bool = false,
            compress: Bool = false
        ) {
            self.name = name
            bytes = MessageTests.bytes(hexadecimal)
            self.type = type
            self.data = data
            self.masked = masked
            self.compress = compress
        }

        var testDescription: String { name }
    }

    private static let hello = Array("Hello".utf8)

    /// RFC 6455 §5.7 and RFC 7692 §7.2.3, with the lengths that take 2 and 8 bytes.
    static let vectors: [Vector] = [
        Vector("text", "81 05 48656c6c6f", .text, .text("Hello")),
        Vector("masked text", "81 85 37fa213d 7f9f4d5158", .text, .text("Hello"), masked: true),
        Vector("ping", "89 05 48656c6c6f", .ping, .binary(hello)),
        Vector("masked pong", "8a 85 37fa213d 7f9f4d5158", .pong, .binary(hello), masked: true),
        Vector("fragmented", "01 03 48656c 80 02 6c6f", .text, .text("Hello")),
        Vector("compressed", "c1 07 f248cdc9c90700", .text, .text("Hello"), compress: true),
        Vector("compressed, fragmented", "41 03 f248cd 80 04 c9c90700", .text, .text("Hello"), compress: true),
        Vector("stored block", "c1 0b 000500faff48656c6c6f00", .text, .text("Hello"), compress: true),
        Vector("BFINAL", "c1 08 f348cdc9c9070000", .text, .text("Hello"), compress: true),
        Vector("two blocks", "c1 0d f248 0500 0000ffff cac9c90700", .text, .text("Hello"), compress: true),
        Vector(
            "200 bytes", "82 7e 00c8" + String(repeating: "ab", count: 200), .binary,
            .binary([UInt8](repeating: 0xAB, count: 200))),
        Vector(
            "200,000 bytes", "82 7f 0000000000030d40" + String(repeating: "cd", count: 200_000), .binary,
            .binary([UInt8](repeating: 0xCD, count: 200_000))),
        Vector("empty text", "81 00", .text, .text("")),
        Vector("empty binary", "82 00", .binary, .binary([])),
        Vector("close", "88 02 03e8", .close, .binary([3, 0xE8])),
    ]

    @Test(arguments: vectors)
    func readsFrames(vector: Vector) async throws {
        let message = WebSocketMessage()
        let stream = MemoryStream(vector.bytes + [0x81, 0x01, 0x78])
        try await message.readFrom(stream)
        #expect(message.type == vector.type && message.data == vector.data)
        #expect(message.masked == vector.masked && message.compress == vector.compress)
        #expect(message.stream === stream)
        #expect(stream.read(nil) == [0x81, 0x01, 0x78], "no byte of the next message is taken")
    }

    /// Bytes that arrive one by one have the same result.
    @Test(arguments: vectors.filter { $0.bytes.count < 100 })
    func readsByteByByte(vector: Vector) async throws {
        let message = WebSocketMessage()
        try await message.readFrom(DrippingStream(vector.bytes))
        #expect(message.type == vector.type && message.data == vector.data)
    }

    @Test(arguments: [
        ("81 05 48656c6c", WS.Error.endOfStream), ("01 03 48656c", .endOfStream), ("", .endOfStream),
        ("81", .endOfStream),
        ("82 7e 00", .endOfStream), ("80 00", .protocolViolation(1002, "continuation without a message")),
        ("85 00", .protocolViolation(1002, "reserved opcode")),
        ("a1 00", .protocolViolation(1002, "reserved bit set without an extension")),
        ("01 01 61 81 01 62", .protocolViolation(1002, "new message inside a fragmented one")),
        ("01 01 61 80 81 00000000 62", .protocolViolation(1002, "frame from a server is masked")),
        ("01 81 00000000 61 80 01 62", .protocolViolation(1002, "frame from a client is not masked")),
        ("09 00", .protocolViolation(1002, "fragmented control frame")),
        ("89 7e 007e", .protocolViolation(1002, "control frame above 125 bytes")),
        ("82 7e 0001", .protocolViolation(1002, "payload length not in its shortest form")),
        ("82 7f 8000000000000000", .protocolViolation(1002, "payload length with its highest bit set")),
        ("81 01 ff", .protocolViolation(1007, "text is not UTF-8")),
        ("c1 02 ffff", .protocolViolation(1007, "compressed data is corrupt")),
        ("01 01 61 88 02 03e9", .closed(1001, reason: "")),
    ])
    func rejectsInvalidFrames(hexadecimal: String, error: WS.Error) async throws {
        await #expect(throws: error) {
            try await WebSocketMessage().readFrom(MemoryStream(Self.bytes(hexadecimal)))
        }
    }

    @Test func answersAPingBetweenFragments() async throws {
        let stream = MemoryStream(
            Self.bytes("01 83 00000000 48656c 89 81 00000000 70 8a 80 00000000 80 82 00000000 6c6f"))
        let message = WebSocketMessage()
        try await message.readFrom(stream)
        #expect(message.data == .text("Hello"))
        #expect(stream.read(nil) == Self.bytes("8a 01 70"), "the answer of the role that gets masked frames")
    }

    @Test(arguments: [10, 100, 125, 126, 65_535, 65_536], [false, true])
    func roundTrips(size: Int, compress: Bool) async throws {
        for masked in [false, true] {
            let stream = MemoryStream()
            let sent = WebSocketMessage(type: WS.BINARY, masked: masked, compress: compress)
            sent.write((0..<size).map { UInt8(truncatingIfNeeded: $0 / 7) })
            #expect(!sent.sent)
            try await sent.sendTo(stream)
            #expect(sent.sent)
            let got = WebSocketMessage()
            try await got.readFrom(stream)
            #expect(got.body == sent.body && got.type == .binary && got.masked == masked)
            #expect(got.compress == compress)
            #expect(stream.read(nil) == nil)
        }
    }

    @Test func masksEachFrameWithAnotherKey() async throws {
        let stream = MemoryStream()
        let message = WebSocketMessage("Hello")
        var keys: Set<[UInt8]> = []
        for _ in 0..<64 {
            try await message.sendTo(stream)
            keys.insert(Array((stream.read(nil) ?? []).dropFirst(2).prefix(4)))
        }
        #expect(keys.count > 60)
    }

    @Test func enforcesItsLimitExactly() async throws {
        let message = WebSocketMessage(maxSize: 5)
        try await message.readFrom(MemoryStream(Self.bytes("81 05 48656c6c6f")))
        #expect(message.length == 5)
        for hexadecimal in ["81 06 48656c6c6f6f", "01 03 48656c 80 03 6c6f6f", "81 7f 7fffffffffffffff"] {
            await #expect(throws: WS.Error.messageTooBig) {
                try await WebSocketMessage(maxSize: 5).readFrom(MemoryStream(Self.bytes(hexadecimal)))
            }
        }
        // A kilobyte of compressed zeros is limited by its inflated size.
        let stream = MemoryStream()
        let zeros = WebSocketMessage(compress: true)
        zeros.body = [UInt8](repeating: 0, count: 1024)
        try await zeros.sendTo(stream)
        await #expect(throws: WS.Error.messageTooBig) { try await WebSocketMessage(maxSize: 1023).readFrom(stream) }
        #expect(throws: WS.Error.outOfRange) { try message.setMaxSize(-1) }
        try message.setMaxSize(0)
        try await message.readFrom(MemoryStream([0x82, 0]))
        await #expect(throws: WS.Error.messageTooBig) { try await message.readFrom(MemoryStream([0x82, 1, 0])) }
    }

    @Test func hasABodyWithACursor() {
        let message = WebSocketMessage()
        #expect(message.type == WS.BINARY && message.masked && !message.compress && message.maxSize == 67_108_864)
        #expect(message.data == nil && message.length == 0 && message.read() == nil && message.readAll() == nil)
        message.write("abc")
        message.write([100, 101])
        #expect(message.read(2) == [97, 98] && message.readAll() == [99, 100, 101] && message.read() == nil)
        message.rewind()
        #expect(message.read(100) == [97, 98, 99, 100, 101])
        #expect(message.data == .binary([97, 98, 99, 100, 101]) && message.length == 5)
        message.body = []
        #expect(message.data == .binary([]), "an empty body is one")
        message.type = WS.TEXT
        #expect(message.data == .text(""))
    }

    @Test func clearingResetsEverything() {
        let message = WebSocketMessage(type: WS.TEXT, masked: false, compress: true, maxSize: 9)
        message.write("x")
        message.value = "v"
        message.params = ["p"]
        message.lastError = "e"
        message.end()
        let response = message.response
        message.clear()
        #expect(message.type == WS.BINARY && message.data == nil && message.value.isEmpty && message.params.isEmpty)
        #expect(message.lastError.isEmpty && !message.isEnded && message.response !== response)
        #expect(!message.masked && message.compress && message.maxSize == 9)
    }

    @Test func doesNotCompressControlFrames() {
        #expect(WebSocketMessage(type: WS.TEXT, compress: true).compress)
        #expect(!WebSocketMessage(type: WS.PING, compress: true).compress)
    }

    @Test func makesItsResponse() {
        let ping = WebSocketMessage(type: WS.PING, maxSize: 7)
        #expect(ping.response.type == WS.PONG && !ping.response.masked && ping.response.maxSize == 7)
        #expect(ping.response === ping.response && ping.response.response === ping.response)
        #expect(WebSocketMessage("text").response.type == WS.TEXT)
    }

    @Test func rejectsAnOversizedControlFrame() async throws {
        let ping = WebSocketMessage(type: WS.PING)
        ping.body = [UInt8](repeating: 0, count: 126)
        await #expect(throws: WS.Error.controlTooLong) { try await ping.sendTo(MemoryStream()) }
    }

    @Test func theConstantsHaveTheirDocumentedValues() {
        let opcodes = [ws.CONTINUE, ws.TEXT, ws.BINARY, ws.CLOSE, ws.PING, ws.PONG]
        #expect(opcodes.map(\.rawValue) == [0, 1, 2, 8, 9, 10])
        let states = [ws.CONNECTING, ws.OPEN, ws.CLOSING, ws.CLOSED]
        #expect(states.map(\.rawValue) == [0, 1, 2, 3] && ws.CONNECTING < ws.CLOSED)
    }
}

/// Gives one byte at a time.
private final class DrippingStream: ByteStream {
    private let inner: MemoryStream
    init(_ bytes: [UInt8]) { inner = MemoryStream(bytes) }
    func read(_ maximum: Int?) async throws -> [UInt8]? { inner.read(1) }
    func write(_ bytes: [UInt8]) async throws { try inner.write(bytes) }
    func flush() async throws {}
    func close() async { inner.close() }
}
