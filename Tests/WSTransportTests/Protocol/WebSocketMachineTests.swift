import Testing

@testable import WSTransport

@Suite("RFC 6455 §5.1, §7: masking, closing, failing")
struct WebSocketMachineTests {
    private let toServer = FrameScript(receiver: .server)
    private let toClient = FrameScript(receiver: .client)

    private func failure(_ code: CloseCode, _ reason: String, key: MaskingKey? = nil) -> Outcome {
        .failed(code, frame: FrameEncoder.closeFrame(code, reason: reason, maskingKey: key))
    }

    @Test func serverRefusesUnmaskedFrames() {
        var machine = WebSocketMachine.make(.server)
        let expected = failure(.protocolError, "frame from a client is not masked")
        #expect(machine.receive(toClient.frame("81 61")) == [expected])
        #expect(machine.state == .closed)
    }

    @Test func clientRefusesMaskedFrames() {
        var machine = WebSocketMachine.make(.client)
        let expected = failure(.protocolError, "frame from a server is masked", key: FrameScript.key)
        #expect(machine.receive(toServer.frame("81 61")) == [expected])
    }

    @Test func rejectsAtTheFirstInvalidByte() {
        var machine = WebSocketMachine.make(.server)
        #expect(machine.receive([0xC1]) == [failure(.protocolError, "reserved bit set without an extension")])
        machine = .make(.server)
        #expect(machine.receive([0x81]).isEmpty)
        #expect(machine.receive([0x05]) == [failure(.protocolError, "frame from a client is not masked")])
        machine = .make(.server)
        #expect(machine.receive([0x89, 0xFE]) == [failure(.protocolError, "control frame above 125 bytes")])
    }

    @Test func rejectsAnOversizedMessageByItsHeader() {
        var machine = WebSocketMachine.make(.server, maximumMessageSize: 16)
        #expect(machine.receive(toServer.frame("82=1000000")) == [failure(.messageTooBig, "message above the limit")])
        #expect(machine.bufferedBytes == 0)
    }

    @Test func refusesTooManyFragments() {
        var machine = WebSocketMachine.make(.server, maximumFragments: 2)
        #expect(machine.receive(toServer.bytes(["02 61", "80 62", "02", "00"])) == [.message(.binary, [0x61, 0x62])])
        #expect(machine.receive(toServer.frame("80")) == [failure(.messageTooBig, "message of too many fragments")])
    }

    /// Lengths around those of the words that are unmasked at once, and around those of headers.
    @Test(arguments: [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 125, 126, 127, 1000, 65_535, 65_536])
    func readsAMessageWholeOrInPieces(count: Int) {
        for first in ["81", "82"] {
            for last in [UInt8(ascii: "z"), 0xFF] {
                var payload = (0..<count).map { UInt8($0 % 26) + 97 }
                if count > 0 { payload[count - 1] = last }
                let word = payload.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                for (role, script) in [(WebSocketMachine.Role.server, toServer), (.client, toClient)] {
                    let frame = script.frame("\(first) \(word)")
                    var whole = WebSocketMachine.make(role)
                    var cut = WebSocketMachine.make(role)
                    let outcomes = whole.receive(frame)
                    #expect(outcomes == cut.receive(Array(frame[..<1])) + cut.receive(Array(frame[1...])))
                    let isValid = last < 0x80 || first == "82" || count == 0
                    #expect(isValid == (whole.state == .open))
                    if isValid { #expect(outcomes == [.message(first == "81" ? .text : .binary, payload)]) }
                }
            }
        }
    }

    @Test func discardsEverythingAfterAFailure() {
        var machine = WebSocketMachine.make(.server)
        #expect(machine.receive(toServer.bytes(["83", "88 03e8", "81 61"])).count == 1)
        #expect(machine.receive(toServer.bytes(["88 03e8"])).isEmpty)
        #expect(machine.close(.normal) == nil)
    }

    @Test func closesOnce() {
        var machine = WebSocketMachine.make(.server)
        #expect(machine.close(.goingAway, reason: "bye") == [0x88, 5, 0x03, 0xE9, 0x62, 0x79, 0x65])
        #expect(machine.state == .closing)
        #expect(machine.close(.normal) == nil)
    }

    @Test func masksItsOwnFramesAsAClient() {
        var machine = WebSocketMachine.make(.client)
        let expected = FrameEncoder.closeFrame(.normal, maskingKey: FrameScript.key)
        #expect(machine.close(.normal) == expected)
        #expect(expected == [0x88, 0x82, 0x37, 0xFA, 0x21, 0x3D, 0x03 ^ 0x37, 0xE8 ^ 0xFA])
    }

    @Test func completesTheHandshakeItBegan() {
        var machine = WebSocketMachine.make(.server)
        _ = machine.close(.normal)
        #expect(machine.receive(toServer.frame("88 03e9")) == [.close(code: .goingAway, reason: "", reply: [])])
        #expect(machine.state == .closed)
    }

    @Test func reportsNothingButTheCloseWhileClosing() {
        var machine = WebSocketMachine.make(.server, maximumMessageSize: 4)
        #expect(machine.receive(toServer.bytes(["01 c3"])).isEmpty)
        _ = machine.close(.normal)
        #expect(machine.bufferedBytes == 0)
        #expect(machine.receive(toServer.bytes(["00 ff*9", "89 61", "8a 61", "80", "82 2a*300"])).isEmpty)
        #expect(machine.bufferedBytes == 0)
        #expect(machine.receive(toServer.frame("88")) == [.close(code: nil, reason: "", reply: [])])
    }

    @Test func failsWithoutASecondCloseWhileClosing() {
        var machine = WebSocketMachine.make(.server)
        _ = machine.close(.normal)
        #expect(machine.receive(toServer.bytes(["80 61"])) == [.failed(.protocolError, frame: [])])
        #expect(machine.state == .closed)
    }

    @Test func closesInTheMiddleOfAFrame() {
        var machine = WebSocketMachine.make(.server)
        let frame = toServer.frame("82 2a*10")
        #expect(machine.receive(Array(frame[..<9])).isEmpty)
        #expect(machine.isMidMessage == true)
        #expect(machine.bufferedBytes == 3)
        _ = machine.close(.normal)
        #expect(machine.receive(Array(frame[9...])).isEmpty)
        #expect(machine.isMidMessage == false)
    }

    @Test func unmasksInPlaceWithoutCopying() {
        var machine = WebSocketMachine.make(.server)
        var input = toServer.bytes(["82 2a*100", "89 61", "81 62"])
        input.withUnsafeMutableBytes { bytes in
            var offset = 0
            #expect(machine.next(bytes, &offset) == .message(.binary, .input(6..<106)))
            #expect(offset == 106)
            #expect(bytes[6..<106].allSatisfy { $0 == 0x2A })
            #expect(machine.next(bytes, &offset) == .ping(.input(112..<113)))
            #expect(machine.next(bytes, &offset) == .message(.text, .input(119..<120)))
            #expect(machine.next(bytes, &offset) == nil)
        }
    }

    @Test func doesNotCopyAPayloadAfterASplitHeader() {
        var machine = WebSocketMachine.make(.server)
        let frame = toServer.frame("82 2a*10")
        #expect(machine.receive(Array(frame[..<4])).isEmpty)
        #expect(machine.bufferedBytes == 4)
        var rest = Array(frame[4...])
        rest.withUnsafeMutableBytes { bytes in
            var offset = 0
            #expect(machine.next(bytes, &offset) == .message(.binary, .input(2..<12)))
        }
    }

    @Test func isSmall() {
        #expect(MemoryLayout<WebSocketMachine>.size <= 104)
    }
}
