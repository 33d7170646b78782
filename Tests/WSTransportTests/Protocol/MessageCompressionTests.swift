import Testing

@testable import WSTransport

@Suite("RFC 7692 §7.2.1: compression from one side to the other")
struct MessageCompressionTests {
    /// Both ends of a connection with the same agreement, each with its own pool.
    private struct Ends: ~Copyable {
        let sender: MessageCompression
        var receiver: WebSocketMachine

        init(_ parameters: DeflateParameters, to role: WebSocketMachine.Role, _ options: CompressionOptions) {
            sender = MessageCompression(
                parameters, role: role == .server ? .client : .server, options: options, pool: DeflatePool())
            let compression = MessageCompression(parameters, role: role, options: options, pool: DeflatePool())
            receiver = .make(role, maximumMessageSize: 1 << 20, compression: compression)
        }
    }

    /// Messages that compress well, badly and not at all, of every length that matters.
    private static func payload(_ random: inout SplitMix) -> [UInt8] {
        let count =
            [0, 1, 10, 100, 125, 126, 4095, 4096, 16_383, 16_384, 65_535, 65_536, 200_000].randomElement(using: &random)
            ?? 0
        switch Int.random(in: 0..<3, using: &random) {
        case 0: return [UInt8](repeating: .random(in: .min ... .max, using: &random), count: count)
        case 1: return (0..<count).map { _ in .random(in: .min ... .max, using: &random) }
        default:
            let words = (0..<20).map { _ in Array("word \(UInt16.random(in: 0...999, using: &random)) ".utf8) }
            var bytes: [UInt8] = []
            while bytes.count < count { bytes += words.randomElement(using: &random) ?? [0] }
            return Array(bytes.prefix(count))
        }
    }

    @Test(arguments: 0..<200)
    func roundTripsInRandomPieces(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let role: WebSocketMachine.Role = seed % 2 == 0 ? .server : .client
        var options = CompressionOptions()
        options.minimum = 0
        options.level = Int.random(in: 1...9, using: &random)
        var parameters = DeflateParameters()
        parameters.serverNoContextTakeover = .random(using: &random)
        parameters.clientNoContextTakeover = .random(using: &random)
        parameters.serverWindowBits = (9...15).randomElement(using: &random)
        parameters.clientWindowBits = (9...15).randomElement(using: &random)
        var ends = Ends(parameters, to: role, options)
        for _ in 0..<6 {
            let payload = Self.payload(&random)
            let compressed = payload.withUnsafeBytes { ends.sender.deflate($0) }
            let body = compressed ?? payload
            let cut = Int.random(in: 0...body.count, using: &random)
            let key = role == .server ? MaskingKey(word: .random(in: .min ... .max, using: &random)) : nil
            var frames: [UInt8] = []
            FrameEncoder.appendFrame(
                .binary, Array(body[..<cut]), isFinal: false, isCompressed: compressed != nil, maskingKey: key,
                to: &frames)
            FrameEncoder.appendFrame(.continuation, Array(body[cut...]), maskingKey: key, to: &frames)
            var outcomes: [Outcome] = []
            var start = 0
            while start < frames.count {
                let end = min(frames.count, start + Int.random(in: 1...30_000, using: &random))
                outcomes += ends.receiver.receive(Array(frames[start..<end]))
                start = end
            }
            #expect(outcomes == [.message(.binary, payload)])
        }
    }

    private static func compression(
        _ parameters: DeflateParameters = DeflateParameters(), role: WebSocketMachine.Role = .server,
        minimum: Int = 0
    ) -> MessageCompression {
        var options = CompressionOptions()
        options.minimum = minimum
        return MessageCompression(parameters, role: role, options: options, pool: DeflatePool())
    }

    private static func hexadecimal(_ bytes: [UInt8]?) -> String? {
        bytes.map { $0.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined() }
    }

    /// The output of zlib is that of the RFC, the second time with a reference to the first.
    @Test func agreesWithTheExamplesOfTheRFC() {
        let compression = Self.compression()
        let hello = Array("Hello".utf8)
        #expect(Self.hexadecimal(hello.withUnsafeBytes { compression.deflate($0) }) == "f248cdc9c90700")
        #expect(Self.hexadecimal(hello.withUnsafeBytes { compression.deflate($0) }) == "f200110000")
    }

    /// RFC 7692 §7.2.3.6: zlib has no output for a second flush in a row.
    @Test func compressesAnEmptyMessageToAZeroByte() {
        let compression = Self.compression()
        let empty: [UInt8] = []
        for _ in 0..<3 { #expect(empty.withUnsafeBytes { compression.deflate($0) } == [0]) }
    }

    @Test func doesNotCompressSmallMessages() {
        let compression = Self.compression(minimum: 100)
        let payload = [UInt8](repeating: 7, count: 100)
        #expect(payload.withUnsafeBytes { compression.deflate($0) } != nil)
        #expect(payload[1...].withUnsafeBytes { compression.deflate($0) } == nil)
    }

    @Test func doesNotCompressMessagesThatWouldGrow() {
        var parameters = DeflateParameters()
        parameters.serverNoContextTakeover = true
        var random = SplitMix(seed: 1)
        let noise = (0..<1000).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        #expect(noise.withUnsafeBytes { Self.compression(parameters).deflate($0) } == nil)
        let short: [UInt8] = [1, 2]
        #expect(short.withUnsafeBytes { Self.compression(parameters).deflate($0) } == nil)
    }

    /// zlib cannot, and need not.
    @Test func doesNotCompressWithAWindowOf8Bits() {
        var parameters = DeflateParameters()
        parameters.clientWindowBits = 8
        let compression = Self.compression(parameters, role: .client)
        #expect([UInt8](repeating: 7, count: 1000).withUnsafeBytes { compression.deflate($0) } == nil)
        #expect(compression.sharedWindowBits == nil)
    }

    @Test func sharesMessagesOnlyWithoutContextTakeover() {
        var parameters = DeflateParameters()
        #expect(Self.compression(parameters).sharedWindowBits == nil)
        parameters.serverNoContextTakeover = true
        #expect(Self.compression(parameters).sharedWindowBits == 15)
        #expect(Self.compression(parameters, role: .client).sharedWindowBits == nil)
        parameters.serverWindowBits = 11
        #expect(Self.compression(parameters).sharedWindowBits == 11)
    }

    /// The agreed window is kept: a repetition beyond it costs its full length.
    @Test(arguments: 9...14)
    func staysWithinItsWindow(bits: Int) throws {
        var random = SplitMix(seed: 2)
        let block = (0..<1 << bits).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        let twice = block + block
        let pool = DeflatePool()
        #expect(twice.withUnsafeBytes { pool.deflate($0, windowBits: bits, level: 9) } == nil)
        let wide = try #require(twice.withUnsafeBytes { pool.deflate($0, windowBits: 15, level: 9) })
        #expect(wide.count < block.count * 3 / 2)
    }

    @Test func stopsInflatingABombAtTheLimit() throws {
        let bomb = try #require(
            [UInt8](repeating: 0, count: 64 << 20).withUnsafeBytes {
                DeflatePool().deflate($0, windowBits: 15, level: 1)
            })
        #expect(bomb.count < 1 << 20)
        var frame: [UInt8] = []
        FrameEncoder.appendFrame(.binary, bomb, isCompressed: true, maskingKey: FrameScript.key, to: &frame)
        let compression = Self.compression()
        var machine = WebSocketMachine.make(.server, maximumMessageSize: 1 << 20, compression: compression)
        var outcomes: [Outcome] = []
        for start in stride(from: 0, to: frame.count, by: 1000) {
            outcomes += machine.receive(Array(frame[start..<min(frame.count, start + 1000)]))
            #expect(machine.bufferedBytes <= 1 << 20 + 14)
        }
        #expect(outcomes.map(\.withoutFrame) == [.failed(.messageTooBig, frame: [])])
    }
}
