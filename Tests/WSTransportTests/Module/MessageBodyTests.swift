import Testing

@testable import WSTransport

/// A message that a socket has received keeps a few bytes in place, and more in an array; nobody can tell.
@Suite("ws.Message: a received body, small or large")
struct MessageBodyTests {
    private static let sizes = [0, 1, 63, 64, 65, 1000]

    private static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(ascii: "a") + UInt8($0 % 26) } }

    private static func received(_ type: Opcode, _ bytes: [UInt8]) -> WebSocketMessage {
        var body = MessageBody()
        bytes.withUnsafeBytes { body.fill($0) }
        return WebSocketMessage(type, body, masked: true, compress: false, stream: nil)
    }

    @Test(arguments: sizes)
    func hasItsBytes(count: Int) throws {
        let bytes = Self.bytes(count)
        let message = Self.received(.binary, bytes)
        #expect(message.length == count)
        let (type, body) = try message.sendable
        #expect(type == .binary && body.count == count && body.withBytes { Array($0) } == bytes)
        #expect(message.data == .binary(bytes))
        #expect(message.body == bytes)
        #expect(message.body == bytes)
        #expect(message.length == count)
        #expect(try message.sendable.1.withBytes { Array($0) } == bytes)
        #expect(Self.received(.text, bytes).data == .text(String(decoding: bytes, as: UTF8.self)))
        #expect(Self.received(.binary, bytes).bodyIfAny == bytes)
    }

    @Test(arguments: sizes)
    func isReadAndWritten(count: Int) {
        let bytes = Self.bytes(count)
        let message = Self.received(.binary, bytes)
        #expect(message.read(1) == (count > 0 ? [bytes[0]] : nil))
        #expect(message.read(0) == (count > 1 ? [] : nil))
        #expect(message.readAll() == (count > 1 ? Array(bytes.dropFirst()) : nil))
        #expect(message.read() == nil)
        message.write([1, 2, 3])
        #expect(message.read() == [1, 2, 3])
        message.rewind()
        #expect(message.read() == bytes + [1, 2, 3])
        #expect(message.length == count + 3)
        message.body = [9]
        #expect(message.body == [9])
        let appended = Self.received(.text, bytes)
        appended.write("é")
        #expect(appended.body == bytes + Array("é".utf8))
    }

    @Test func isAbsentUntilItIsWritten() {
        let message = WebSocketMessage()
        #expect(message.data == nil && message.body == [] && message.length == 0 && message.bodyIfAny == nil)
        message.write([])
        #expect(message.data == .binary([]) && message.bodyIfAny == [])
        // An empty message has a body.
        #expect(Self.received(.text, []).data == .text(""))
        message.clear()
        #expect(message.data == nil)
    }
}
