import Testing

@testable import WSTransport

/// Frames and the resulting events.
struct FrameVector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let frames: [String]
    let events: [String]
    let maximumMessageSize: Int?

    var testDescription: String { name }

    static let all: [FrameVector] = Vectors.load("frames")

    func machine(_ role: WebSocketMachine.Role) -> WebSocketMachine {
        .make(role, maximumMessageSize: maximumMessageSize ?? 1 << 20)
    }

    func expected(_ role: WebSocketMachine.Role) throws -> [Outcome] {
        try events.map { event in try #require(Outcome(event, receiver: role)) }
    }
}

@Suite("RFC 6455 §5: frames, split anywhere")
struct FrameVectorTests {
    static let roles = [WebSocketMachine.Role.server, .client]

    @Test(arguments: FrameVector.all, roles)
    func readsWhole(_ vector: FrameVector, as role: WebSocketMachine.Role) throws {
        var machine = vector.machine(role)
        let outcomes = machine.receive(FrameScript(receiver: role).bytes(vector.frames))
        #expect(try outcomes.map(\.withoutFrame) == vector.expected(role))
        #expect(machine.bufferedBytes == 0)
        #expect(machine.isMidMessage == false)
    }

    @Test(arguments: FrameVector.all, roles)
    func readsByteByByte(_ vector: FrameVector, as role: WebSocketMachine.Role) throws {
        var machine = vector.machine(role)
        let outcomes = FrameScript(receiver: role).bytes(vector.frames).flatMap { byte in machine.receive([byte]) }
        #expect(try outcomes.map(\.withoutFrame) == vector.expected(role))
        #expect(machine.bufferedBytes == 0)
        #expect(machine.isMidMessage == false)
    }

    @Test(arguments: FrameVector.all, roles)
    func readsSplitAnywhere(_ vector: FrameVector, as role: WebSocketMachine.Role) throws {
        let bytes = FrameScript(receiver: role).bytes(vector.frames)
        let expected = try vector.expected(role)
        for cut in Vectors.cuts(of: bytes.count) {
            var machine = vector.machine(role)
            let outcomes = machine.receive(Array(bytes[..<cut])) + machine.receive(Array(bytes[cut...]))
            #expect(outcomes.map(\.withoutFrame) == expected, "cut at \(cut)")
        }
    }

    @Test(arguments: 0..<200)
    func readsRandomMessagesInRandomPieces(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let role = Self.roles[Int(seed % 2)]
        var frames: [UInt8] = []
        var expected: [Outcome] = []
        for _ in 0..<20 {
            let payload = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                UInt8.random(in: .min ... .max, using: &random)
            }
            let key = role == .server ? MaskingKey(word: .random(in: .min ... .max, using: &random)) : nil
            if payload.count <= 125 && Bool.random(using: &random) {
                FrameEncoder.appendFrame(.ping, payload, maskingKey: key, to: &frames)
                expected.append(.ping(payload))
                continue
            }
            let cut = Int.random(in: 0...payload.count, using: &random)
            FrameEncoder.appendFrame(.binary, Array(payload[..<cut]), isFinal: false, maskingKey: key, to: &frames)
            FrameEncoder.appendFrame(.pong, [1], maskingKey: key, to: &frames)
            FrameEncoder.appendFrame(.continuation, Array(payload[cut...]), maskingKey: key, to: &frames)
            expected += [.pong([1]), .message(.binary, payload)]
        }
        var machine = WebSocketMachine.make(role)
        var outcomes: [Outcome] = []
        var start = 0
        while start < frames.count {
            let end = min(frames.count, start + Int.random(in: 1...200, using: &random))
            outcomes += machine.receive(Array(frames[start..<end]))
            start = end
        }
        #expect(outcomes == expected)
    }
}

/// A small generator whose seed is a test's argument (Steele, Lea, Flood 2014).
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
