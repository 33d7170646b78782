import Testing

@testable import WSTransport

/// Frames of a connection with permessage-deflate and the resulting events.
struct DeflateVector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let frames: [String]
    let events: [String]
    let maximumMessageSize: Int?
    let keepsContext: Bool?

    var testDescription: String { name }

    static let all: [DeflateVector] = Vectors.load("deflate")

    func machine(_ role: WebSocketMachine.Role, pool: DeflatePool = DeflatePool()) -> WebSocketMachine {
        var parameters = DeflateParameters()
        parameters.serverNoContextTakeover = keepsContext != true
        parameters.clientNoContextTakeover = keepsContext != true
        let compression = MessageCompression(parameters, role: role, options: CompressionOptions(), pool: pool)
        return .make(role, maximumMessageSize: maximumMessageSize ?? 1 << 20, compression: compression)
    }

    func expected(_ role: WebSocketMachine.Role) throws -> [Outcome] {
        try events.map { event in try #require(Outcome(event, receiver: role)) }
    }
}

@Suite("RFC 7692 §6, §7.2: compressed frames, split anywhere")
struct DeflateVectorTests {
    static let roles = [WebSocketMachine.Role.server, .client]

    @Test(arguments: DeflateVector.all, roles)
    func readsWhole(_ vector: DeflateVector, as role: WebSocketMachine.Role) throws {
        var machine = vector.machine(role)
        let outcomes = machine.receive(FrameScript(receiver: role).bytes(vector.frames))
        #expect(try outcomes.map(\.withoutFrame) == vector.expected(role))
        #expect(machine.bufferedBytes == 0)
        #expect(machine.isMidMessage == false)
    }

    @Test(arguments: DeflateVector.all, roles)
    func readsByteByByte(_ vector: DeflateVector, as role: WebSocketMachine.Role) throws {
        var machine = vector.machine(role)
        var outcomes: [Outcome] = []
        for byte in FrameScript(receiver: role).bytes(vector.frames) {
            outcomes += machine.receive([byte])
            #expect(machine.bufferedBytes <= (vector.maximumMessageSize ?? 1 << 20) + 14)
        }
        #expect(try outcomes.map(\.withoutFrame) == vector.expected(role))
        #expect(machine.bufferedBytes == 0)
    }

    @Test(arguments: DeflateVector.all, roles)
    func readsSplitAnywhere(_ vector: DeflateVector, as role: WebSocketMachine.Role) throws {
        let bytes = FrameScript(receiver: role).bytes(vector.frames)
        let expected = try vector.expected(role)
        let pool = DeflatePool()
        for cut in Vectors.cuts(of: bytes.count) {
            var machine = vector.machine(role, pool: pool)
            let outcomes = machine.receive(Array(bytes[..<cut])) + machine.receive(Array(bytes[cut...]))
            #expect(outcomes.map(\.withoutFrame) == expected, "cut at \(cut)")
        }
    }

    /// Two connections of one reactor, whose messages are under way at the same time.
    @Test(arguments: roles)
    func connectionsSharingAPoolDoNotInterfere(role: WebSocketMachine.Role) throws {
        let pool = DeflatePool()
        let script = FrameScript(receiver: role)
        var first = DeflateVector.all[0].machine(role, pool: pool)
        var second = DeflateVector.all[0].machine(role, pool: pool)
        #expect(first.receive(script.frame("41 f248cd")).isEmpty)
        #expect(second.receive(script.frame("41 000500faff4865")).isEmpty)
        let hello = Outcome.message(.text, Array("Hello".utf8))
        #expect(first.receive(script.frame("80 c9c90700")) == [hello])
        #expect(second.receive(script.frame("80 6c6c6f00")) == [hello])
        #expect(first.receive(script.frame("c1 f248cdc9c90700")) == [hello])
    }

    @Test(arguments: roles)
    func rejectsRSV1WithoutTheExtension(role: WebSocketMachine.Role) {
        var machine = WebSocketMachine.make(role)
        let outcomes = machine.receive(FrameScript(receiver: role).frame("c1 f248cdc9c90700"))
        #expect(outcomes.map(\.withoutFrame) == [.failed(.protocolError, frame: [])])
    }

    @Test(arguments: roles)
    func closingDiscardsAnIncompleteMessage(role: WebSocketMachine.Role) {
        var machine = DeflateVector.all[0].machine(role)
        let script = FrameScript(receiver: role)
        #expect(machine.receive(script.frame("41 f248cd")).isEmpty)
        _ = machine.close(.normal)
        #expect(machine.bufferedBytes == 0)
        #expect(machine.receive(script.bytes(["80 06", "c1 06"])).isEmpty)
        #expect(machine.receive(script.frame("88")) == [.close(code: nil, reason: "", reply: [])])
    }
}
