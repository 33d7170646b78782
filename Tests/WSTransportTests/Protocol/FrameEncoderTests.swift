import Testing

@testable import WSTransport

@Suite("RFC 6455 §5.2, §5.3: encoding and masking frames")
struct FrameEncoderTests {
    @Test(arguments: [
        (0, "8200"), (125, "827d"), (126, "827e007e"), (65_535, "827effff"), (65_536, "827f0000000000010000"),
    ])
    func writesTheShortestLength(payloadLength: Int, header: String) {
        var bytes: [UInt8] = []
        FrameEncoder.appendHeader(.binary, payloadLength: payloadLength, to: &bytes)
        #expect(bytes == Vectors.bytes(header))
        #expect(bytes.count == FrameEncoder.headerLength(payloadLength: payloadLength))
        #expect(bytes.count + 4 == FrameEncoder.headerLength(payloadLength: payloadLength, isMasked: true))
    }

    @Test func agreesWithTheExamplesOfTheRFC() {
        let hello = Array("Hello".utf8)
        #expect(FrameEncoder.frame(.text, hello) == Vectors.bytes("810548656c6c6f"))
        let key = MaskingKey(0x37, 0xFA, 0x21, 0x3D)
        #expect(FrameEncoder.frame(.text, hello, maskingKey: key) == Vectors.bytes("818537fa213d7f9f4d5158"))
        var fragments: [UInt8] = []
        FrameEncoder.appendFrame(.text, Array("Hel".utf8), isFinal: false, to: &fragments)
        FrameEncoder.appendFrame(.continuation, Array("lo".utf8), to: &fragments)
        #expect(fragments == Vectors.bytes("010348656c80026c6f"))
    }

    @Test func writesNothingIfTheHeaderDoesNotFit() {
        var bytes = [UInt8](repeating: 0xAA, count: 3)
        let written = bytes.withUnsafeMutableBytes { FrameEncoder.writeHeader(.text, payloadLength: 126, into: $0) }
        #expect(written == 0 && bytes == [0xAA, 0xAA, 0xAA])
    }

    @Test func truncatesAReasonBetweenCharacters() {
        let frame = FrameEncoder.closeFrame(.normal, reason: String(repeating: "€", count: 50))
        #expect(frame.count == 2 + 2 + 123 && frame[1] == 125)
        let shorter = FrameEncoder.closeFrame(.normal, reason: "a" + String(repeating: "€", count: 50))
        #expect(shorter.count == 2 + 2 + 121)
    }

    @Test(arguments: [nil, CloseCode.noStatusReceived, .abnormal, CloseCode(rawValue: 999)])
    func sendsNoCloseCodeThatMustNotBeSent(code: CloseCode?) {
        #expect(FrameEncoder.closeFrame(code, reason: "why") == [0x88, 0x00])
    }

    @Test(arguments: 0..<40)
    func masksEveryLengthAndOffset(count: Int) {
        let key = MaskingKey(1, 2, 0, 0xFF)
        for offset in 0..<9 {
            let plain = (0..<offset + count + 3).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            var masked = plain
            masked.withUnsafeMutableBytes { bytes in
                key.apply(to: UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + count]))
            }
            let expected = plain.indices.map { index in
                (offset..<offset + count).contains(index)
                    ? plain[index] ^ key.bytes[(index - offset) % 4] : plain[index]
            }
            #expect(masked == expected, "\(count) bytes at \(offset)")
        }
    }

    @Test func advancesTheKey() {
        let key = MaskingKey(1, 2, 3, 4)
        #expect((0...5).map { key.advanced(by: $0).bytes[0] } == [1, 2, 3, 4, 1, 2])
        #expect(key.advanced(by: 3).bytes == [4, 1, 2, 3])
    }

    @Test func classifiesOpcodes() {
        let all = (0..<16).map { Opcode(rawValue: $0) }
        #expect(all.filter { !$0.isReserved } == [.continuation, .text, .binary, .close, .ping, .pong])
        #expect(all.filter(\.isControl).map(\.rawValue) == Array(8...15))
    }
}
