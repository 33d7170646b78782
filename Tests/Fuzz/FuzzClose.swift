// Any bytes as the body of a CLOSE end the connection as RFC 6455 §5.5.1 and §7.4 say, and two machines that close, one
// after the other or both at once, agree on how it was: §7.1.
//
// The first byte chooses the roles and who closes, the second the size of the pieces, then comes the body.

#if canImport(WSTransport)
    @testable import WSTransport
#endif

/// How a machine ended, and its output.
private enum Ending: Equatable {
    case close(CloseCode?, String)
    case failed(CloseCode)
}

private func makeMachine(_ role: WebSocketMachine.Role) -> WebSocketMachine {
    WebSocketMachine(role: role, maximumMessageSize: 64) { MaskingKey(1, 2, 3, 4) }
}

/// Feeds `bytes`; returns how it ended and its answer, and checks that nothing comes before or after.
private func feed(
    _ machine: inout WebSocketMachine, _ bytes: [UInt8], pieces size: Int
) -> (ending: Ending?, answer: [UInt8]) {
    var ending: Ending?
    var answer: [UInt8] = []
    var start = 0
    while start < bytes.count {
        var piece = Array(bytes[start..<min(bytes.count, start + size)])
        piece.withUnsafeMutableBytes { input in
            var offset = 0
            while let event = machine.next(input, &offset) {
                precondition(ending == nil, "an event after the end")
                switch event {
                case .close(let code, let reason, let reply): (ending, answer) = (.close(code, reason), reply)
                case .failed(let code, _, let frame): (ending, answer) = (.failed(code), frame)
                default: preconditionFailure("what was skipped is reported")
                }
            }
            precondition(offset == input.count, "unread input")
        }
        start += piece.count
    }
    precondition((ending == nil) == (machine.state != .closed), "ended without saying so")
    precondition(ending == nil || machine.bufferedBytes == 0, "keeps bytes that are never read")
    return (ending, answer)
}

/// The RFC's rule for a body.
private func expected(of body: [UInt8]) -> Ending {
    guard body.count <= 125, body.count != 1 else { return .failed(.protocolError) }
    guard body.count > 1 else { return .close(nil, "") }
    let number = Int(body[0]) << 8 | Int(body[1])
    let isKnown = (1000...1003).contains(number) || (1007...1014).contains(number) || (3000...4999).contains(number)
    guard isKnown else { return .failed(.protocolError) }
    guard let reason = String(validating: body[2...], as: UTF8.self) else { return .failed(.invalidPayload) }
    return .close(CloseCode(rawValue: UInt16(number)), reason)
}

/// A CLOSE with any body, and a message after it that must not be seen.
private func checkBody(_ body: [UInt8], _ role: WebSocketMachine.Role, isClosing: Bool, pieces: Int) {
    var machine = makeMachine(role)
    let key = role == .server ? MaskingKey(5, 6, 7, 8) : nil
    if isClosing { precondition(machine.close(.normal) != nil, "cannot close") }
    var frames = FrameEncoder.frame(.close, body, maskingKey: key)
    FrameEncoder.appendFrame(.text, [65], maskingKey: key, to: &frames)
    let (ending, answer) = feed(&machine, frames, pieces: pieces)
    precondition(ending == expected(of: body), "another ending")
    precondition(answer.isEmpty == isClosing, "two CLOSE of one side, or none")
    precondition(machine.close(.normal) == nil, "closes twice")
    guard !answer.isEmpty else { return }
    // The other side accepts the answer: the same code, or that of the failure.
    var peer = makeMachine(role == .server ? .client : .server)
    precondition(peer.close(.goingAway) != nil, "cannot close")
    let (heard, nothing) = feed(&peer, answer, pieces: pieces)
    precondition(nothing.isEmpty, "a second CLOSE")
    switch (ending, heard) {
    case (.failed(let code), .close(let heardCode, _)): precondition(heardCode == code, "another code")
    default: precondition(heard == ending, "the answer says something else")
    }
}

/// Both machines, of which one closes first, or both at once.
private func checkBothSides(
    _ code: CloseCode, _ reason: String, _ role: WebSocketMachine.Role, atOnce: Bool, pieces: Int
) {
    var one = makeMachine(role)
    var other = makeMachine(role == .server ? .client : .server)
    guard let frame = one.close(code, reason: reason) else { preconditionFailure("cannot close") }
    let crossing = atOnce ? other.close(.goingAway, reason: "crossing") : nil
    let (heard, answer) = feed(&other, frame, pieces: pieces)
    guard case .close(let heardCode, let heardReason) = heard else { preconditionFailure("a CLOSE that fails") }
    precondition(heardCode == (code.isValidOnWire ? code : nil), "another code")
    precondition(reason.utf8.starts(with: heardReason.utf8) || !code.isValidOnWire, "another reason")
    precondition(
        heardReason.utf8.count > 123 - 4 || heardReason == reason || !code.isValidOnWire, "a reason cut too early")
    precondition(answer.isEmpty == atOnce, "two CLOSE of one side, or none")
    let (last, nothing) = feed(&one, crossing ?? answer, pieces: pieces)
    precondition(last == (atOnce ? .close(.goingAway, "crossing") : heard), "the sides do not agree")
    precondition(nothing.isEmpty && one.state == .closed && other.state == .closed, "not at its end")
}

func fuzzClose(_ input: [UInt8]) {
    guard input.count >= 2 else { return }
    let body = Array(input[2...])
    let role: WebSocketMachine.Role = input[0] & 1 == 0 ? .server : .client
    let pieces = Int(input[1] & 31) + 1
    checkBody(body, role, isClosing: input[0] & 2 != 0, pieces: pieces)
    guard body.count >= 2 else { return }
    let code = CloseCode(rawValue: UInt16(body[0]) << 8 | UInt16(body[1]))
    let reason = String(decoding: body[2...], as: UTF8.self)
    checkBothSides(code, reason, role, atOnce: input[0] & 4 != 0, pieces: pieces)
}
