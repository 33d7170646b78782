import Testing

@testable import Broker
@testable import WSTransport

@Suite("RFC 7692 in the broker: a message is compressed once for all its subscribers")
struct CompressedFormTests {
    static var forms: [any FrameForm] { [TopicForm(), JSONForm(hasOperation: true), JSONForm(hasOperation: false)] }

    private static let lane = Lane(number: 0)

    private static func deflated(_ form: any FrameForm, windowBits: Int, _ options: CompressionOptions?) -> DeflatedForm
    {
        DeflatedForm(of: form, windowBits: windowBits, DeflatedForm.Compression(options))
    }

    private static func options(minimum: Int) -> CompressionOptions {
        var options = CompressionOptions()
        options.minimum = minimum
        return options
    }

    private static func message(_ text: String) throws -> Message {
        Message(topic: try Topic("a/b"), payload: Array(text.utf8), kind: .text, seq: 7, time: 1)
    }

    private static func makeReactor() throws -> Reactor {
        try Reactor(index: 0, counters: ReactorCounters(), remote: Remote())
    }

    private static func bytes(of segment: Segment?, on reactor: Reactor) -> [UInt8] {
        segment.map { Array(reactor.chunk(of: $0).bytes(from: Int($0.offset), count: Int($0.count))) } ?? []
    }

    /// The one message that a client with permessage-deflate makes of `frame`.
    private static func message(in frame: [UInt8]) -> [UInt8]? {
        let compression = MessageCompression(
            DeflateParameters(), role: .client, options: CompressionOptions(), pool: DeflatePool())
        var machine = WebSocketMachine(role: .client, maximumMessageSize: 1 << 20, compression: compression)
        var input = frame
        return input.withUnsafeMutableBytes { bytes in
            var offset = 0
            guard let event = machine.next(bytes, &offset), case .message(_, let payload) = event else { return nil }
            return switch payload {
            case .input(let range): Array(bytes[range])
            case .assembled(let whole): whole
            }
        }
    }

    @Test func choosesTheLaneByWindowSize() {
        let lanes = SocketLanes(plain: Lane(number: 1), wide: Lane(number: 2), narrow: Lane(number: 3))
        #expect(lanes.lane(windowBits: nil) == lanes.plain)
        #expect(lanes.lane(windowBits: 15) == lanes.wide)
        for bits in 9...14 { #expect(lanes.lane(windowBits: bits) == lanes.narrow) }
    }

    @Test(arguments: 0..<3)
    func compressesLongMessages(number: Int) throws {
        let form = Self.forms[number]
        let reactor = try Self.makeReactor()
        let message = try Self.message(String(repeating: "again and ", count: 400))
        let plain = Self.bytes(of: form.encode(message, into: reactor, lane: Self.lane), on: reactor)
        #expect(plain[0] & 0x40 == 0)
        for bits in [15, 9] {
            let deflated = Self.deflated(form, windowBits: bits, Self.options(minimum: 1000))
            let frame = Self.bytes(of: deflated.encode(message, into: reactor, lane: Self.lane), on: reactor)
            #expect(frame[0] == plain[0] | 0x40)
            #expect(frame.count < 250)
            #expect(Self.message(in: frame) == Self.message(in: plain))
        }
    }

    @Test(arguments: 0..<3)
    func leavesOtherMessagesUncompressed(number: Int) throws {
        let form = Self.forms[number]
        let reactor = try Self.makeReactor()
        let message = try Self.message("again and again and again")
        let plain = Self.bytes(of: form.encode(message, into: reactor, lane: Self.lane), on: reactor)
        for bits in [15, 9] {
            for compression in [Self.options(minimum: 1000), nil] {
                let segment = Self.deflated(form, windowBits: bits, compression)
                    .encode(message, into: reactor, lane: Self.lane)
                #expect(Self.bytes(of: segment, on: reactor) == plain)
            }
        }
    }
}
