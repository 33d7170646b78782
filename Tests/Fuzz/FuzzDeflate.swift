// Any bytes as compressed messages end in messages within the limit or in one failure, however they are cut, and what
// one side compresses the other reads: RFC 7692 §7.2.
//
// The first byte chooses role and context, the second the limit, the third the size of the pieces, the fourth the
// window and the level.

#if canImport(WSTransport)
    @testable import WSTransport
#endif

private struct Choice {
    let role: WebSocketMachine.Role
    let parameters: DeflateParameters
    let options: CompressionOptions
    let limit: Int
    let pieces: Int

    init(_ input: [UInt8]) {
        role = input[0] & 1 == 0 ? .server : .client
        var parameters = DeflateParameters()
        parameters.serverNoContextTakeover = input[0] & 2 == 0
        parameters.clientNoContextTakeover = input[0] & 4 == 0
        parameters.serverWindowBits = 8 + Int(input[3] & 7)
        parameters.clientWindowBits = 15 - Int(input[3] & 7)
        self.parameters = parameters
        var options = CompressionOptions()
        options.minimum = 0
        options.level = 1 + Int(input[3] >> 3) % 9
        self.options = options
        limit = Int(input[1]) * 64
        pieces = Int(input[2] & 63) + 1
    }

    func compression(_ role: WebSocketMachine.Role) -> MessageCompression {
        MessageCompression(parameters, role: role, options: options, pool: DeflatePool())
    }
}

/// The result of the bytes: the messages, and the code of a failure after them.
private struct Outcome: Equatable {
    var messages: [[UInt8]] = []
    var failure: CloseCode?
    var reason = ""
}

private func outcome(of frames: [UInt8], _ choice: Choice, pieces size: Int, limit: Int) -> Outcome {
    var machine = WebSocketMachine(
        role: choice.role, maximumMessageSize: limit, compression: choice.compression(choice.role)
    ) { MaskingKey(1, 2, 3, 4) }
    var outcome = Outcome()
    var start = 0
    while start < frames.count {
        let end = min(frames.count, start + size)
        var piece = Array(frames[start..<end])
        piece.withUnsafeMutableBytes { input in
            var offset = 0
            while let event = machine.next(input, &offset) {
                switch event {
                case .message(let opcode, let payload):
                    let message: [UInt8] =
                        switch payload {
                        case .input(let range): Array(input[range])
                        case .assembled(let bytes): bytes
                        }
                    precondition(message.count <= limit, "message above the limit")
                    precondition(
                        opcode == .binary || String(validating: message, as: UTF8.self) != nil,
                        "text that is not UTF-8")
                    outcome.messages.append(message)
                case .failed(let code, let reason, _):
                    precondition(outcome.failure == nil, "two failures")
                    outcome.failure = code
                    outcome.reason = reason
                default: break
                }
            }
        }
        precondition(machine.bufferedBytes <= limit + 14 + 125, "more kept than the limits allow")
        start = end
    }
    return outcome
}

/// The bytes as compressed messages, a new one at each byte that says so, in fragments.
private func frames(_ bytes: [UInt8], to role: WebSocketMachine.Role) -> [UInt8] {
    let key = role == .server ? MaskingKey(5, 6, 7, 8) : nil
    var frames: [UInt8] = []
    var rest = bytes[...]
    while let length = rest.popFirst() {
        let payload = Array(rest.prefix(Int(length)))
        rest = rest.dropFirst(payload.count)
        let half = payload.count / 2
        FrameEncoder.appendFrame(
            length & 1 == 0 ? .text : .binary, Array(payload[..<half]), isFinal: false, isCompressed: true,
            maskingKey: key, to: &frames)
        FrameEncoder.appendFrame(.continuation, Array(payload[half...]), maskingKey: key, to: &frames)
    }
    return frames
}

private func checkRoundTrip(_ bytes: [UInt8], _ choice: Choice) {
    let sender = choice.compression(choice.role == .server ? .client : .server)
    let key = choice.role == .server ? MaskingKey(5, 6, 7, 8) : nil
    var frames: [UInt8] = []
    let messages = [bytes, [], Array(bytes.reversed()), bytes]
    for message in messages {
        let compressed = message.withUnsafeBytes { sender.deflate($0) }
        FrameEncoder.appendFrame(
            .binary, compressed ?? message, isCompressed: compressed != nil, maskingKey: key, to: &frames)
    }
    let outcome = outcome(of: frames, choice, pieces: choice.pieces, limit: 1 << 20)
    precondition(outcome == Outcome(messages: messages), "not what was sent")
}

func fuzzDeflate(_ input: [UInt8]) {
    guard input.count > 4 else { return }
    let choice = Choice(input)
    let bytes = Array(input[4...])
    let frames = frames(bytes, to: choice.role)
    let whole = outcome(of: frames, choice, pieces: max(1, frames.count), limit: choice.limit)
    let cut = outcome(of: frames, choice, pieces: choice.pieces, limit: choice.limit)
    precondition(whole == cut, "the cuts make a difference")
    checkRoundTrip(bytes, choice)
    // The field that negotiates it: whatever is accepted can be written and read again.
    if let offers = NegotiatedExtension.list([String(decoding: bytes, as: UTF8.self)]),
        let agreed = DeflateParameters.accept(offers, choice.options)
    {
        precondition(NegotiatedExtension.list([agreed.fieldValue])?.count == 1, "an answer that cannot be parsed")
    }
}
