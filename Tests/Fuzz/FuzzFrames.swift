// Any bytes end in events or one failure, and however they are cut in the same ones: RFC 6455 §5.
//
// The first byte chooses role and limit, the second the size of the pieces.

#if canImport(WSTransport)
    @testable import WSTransport
#endif

/// The events of a machine, with the payloads' bytes.
private enum Outcome: Equatable {
    case message(Opcode, [UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(CloseCode?, String, [UInt8])
    case failed(CloseCode, String, [UInt8])
}

private func outcomes(
    of bytes: [UInt8], pieces size: Int, role: WebSocketMachine.Role, limit: Int, closingAfter closing: Int?,
    inParts: Bool = false
) -> [Outcome] {
    var machine = WebSocketMachine(role: role, maximumMessageSize: limit, maximumFragments: 8) {
        MaskingKey(1, 2, 3, 4)
    }
    machine.handsOverParts = inParts
    var outcomes: [Outcome] = []
    var parts: [UInt8] = []
    var start = 0
    while start < bytes.count {
        var end = min(bytes.count, start + size)
        if let closing, start < closing { end = min(end, closing) }
        var piece = Array(bytes[start..<end])
        piece.withUnsafeMutableBytes { input in
            var offset = 0
            while let event = machine.next(input, &offset) {
                if case .part(_, .input(let range)) = event {
                    precondition(!range.isEmpty, "a part of nothing")
                    parts += input[range]
                } else {
                    outcomes.append(outcome(event, after: &parts, in: UnsafeRawBufferPointer(input), limit: limit))
                }
            }
            precondition(offset == input.count, "unread input")
        }
        precondition(machine.bufferedBytes <= (inParts ? 0 : limit) + 125 + 14, "more kept than the limits allow")
        if end == closing { _ = machine.close(.normal, reason: "enough") }
        start = end
    }
    let hasEnded = outcomes.contains { outcome in
        switch outcome {
        case .close, .failed: true
        default: false
        }
    }
    precondition(hasEnded == (machine.state == .closed), "ended without saying so")
    return outcomes
}

private func outcome(
    _ event: WebSocketMachine.Event, after parts: inout [UInt8], in input: UnsafeRawBufferPointer, limit: Int
) -> Outcome {
    func bytes(_ payload: WebSocketMachine.Payload) -> [UInt8] {
        switch payload {
        case .input(let range): Array(input[range])
        case .assembled(let bytes): bytes
        }
    }
    switch event {
    case .message(let opcode, let payload):
        let message = parts + bytes(payload)
        parts = []
        precondition(message.count <= limit, "message above the limit")
        precondition(opcode == .binary || String(validating: message, as: UTF8.self) != nil, "text that is not UTF-8")
        return .message(opcode, message)
    case .part: preconditionFailure("a part of a machine that hands none over")
    case .ping(let payload): return .ping(bytes(payload))
    case .pong(let payload): return .pong(bytes(payload))
    case .close(let code, let reason, let reply):
        precondition(code?.isValidOnWire ?? true, "close code not allowed on the wire")
        return .close(code, reason, reply)
    case .failed(let code, let reason, let frame): return .failed(code, reason, frame)
    }
}

func fuzzFrames(_ input: [UInt8]) {
    guard input.count > 2 else { return }
    let bytes = Array(input[2...])
    let role: WebSocketMachine.Role = input[0] & 1 == 0 ? .server : .client
    let limit = Int(input[0] >> 2) * 4
    let closing = input[0] & 2 == 0 ? nil : bytes.count / 2
    let whole = outcomes(of: bytes, pieces: bytes.count, role: role, limit: limit, closingAfter: closing)
    let cut = outcomes(of: bytes, pieces: Int(input[1] & 31) + 1, role: role, limit: limit, closingAfter: closing)
    precondition(whole == cut, "the cuts make a difference")
    let (most, size) = (1 << 40, Int(input[1] & 31) + 1)
    let joined = outcomes(of: bytes, pieces: size, role: role, limit: most, closingAfter: closing)
    let parts = outcomes(of: bytes, pieces: size, role: role, limit: most, closingAfter: closing, inParts: true)
    precondition(joined == parts, "parts make another message")
}
