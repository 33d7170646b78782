@testable import WSTransport

/// Frames in the words of the vectors, as one side of the connection sends them.
///
/// `81 48656c6c6f` is a first byte and a payload, `82/8 2a*10` one with its length in 8 bytes, and `82=17` only the
/// header before 17 bytes.
struct FrameScript {
    /// The role of the receiver: a server's peer masks its frames.
    let receiver: WebSocketMachine.Role

    static let key = MaskingKey(0x37, 0xFA, 0x21, 0x3D)

    func bytes(_ frames: [String]) -> [UInt8] { frames.flatMap(frame) }

    func frame(_ text: String) -> [UInt8] {
        let words = text.split(separator: " ")
        let first = UInt8(words[0].prefix(2), radix: 16) ?? 0
        var payload = words.count > 1 ? Vectors.bytes(words[1]) : []
        var length = UInt64(payload.count)
        var lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8
        if let slash = words[0].firstIndex(of: "/") { lengthBytes = Int(words[0][slash...].dropFirst()) ?? 0 }
        if let equals = words[0].firstIndex(of: "=") {
            length = UInt64(words[0][equals...].dropFirst()) ?? 0
            lengthBytes = 8
        }
        let mask: UInt8 = receiver == .server ? 0x80 : 0
        let shortLength = lengthBytes == 0 ? UInt8(length) : lengthBytes == 2 ? 126 : 127
        var bytes = [first, mask | shortLength]
        for place in (0..<lengthBytes).reversed() {
            bytes.append(UInt8(truncatingIfNeeded: length >> (8 * UInt64(place))))
        }
        if receiver == .server {
            bytes += Self.key.bytes
            for index in payload.indices { payload[index] ^= Self.key.bytes[index % 4] }
        }
        return bytes + payload
    }
}

/// The events of a machine, with the payloads' bytes.
enum Outcome: Equatable {
    case message(Opcode, [UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(code: CloseCode?, reason: String, reply: [UInt8])
    case failed(CloseCode, frame: [UInt8])

    /// An event in the words of the vectors: `text 61`, `ping`, `close 1000 bye`, `close - `, `failed 1002`.
    init?(_ text: String, receiver: WebSocketMachine.Role) {
        let words = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        var payload: [UInt8] { words.count > 1 ? Vectors.bytes(words[1]) : [] }
        let code = words.count > 1 ? UInt16(words[1]).map(CloseCode.init(rawValue:)) : nil
        let key = receiver == .client ? FrameScript.key : nil
        switch words[0] {
        case "text": self = .message(.text, payload)
        case "binary": self = .message(.binary, payload)
        case "ping": self = .ping(payload)
        case "pong": self = .pong(payload)
        case "close":
            let reason = String(words[2])
            let reply = FrameEncoder.closeFrame(code, reason: reason, maskingKey: key)
            self = .close(code: code, reason: reason, reply: reply)
        case "failed":
            guard let code else { return nil }
            self = .failed(code, frame: [])
        default: return nil
        }
    }

    /// The same, except for the CLOSE frame of a failure.
    var withoutFrame: Outcome {
        if case .failed(let code, _) = self { .failed(code, frame: []) } else { self }
    }
}

extension WebSocketMachine {
    /// A machine whose frames, as a client, all have the vectors' key.
    static func make(
        _ role: Role, maximumMessageSize: Int = 1 << 20, maximumFragments: Int = 1 << 20,
        compression: MessageCompression? = nil
    ) -> WebSocketMachine {
        WebSocketMachine(
            role: role, maximumMessageSize: maximumMessageSize, maximumFragments: maximumFragments,
            compression: compression
        ) { FrameScript.key }
    }

    /// Feeds one input and returns all resulting events.
    mutating func receive(_ input: [UInt8]) -> [Outcome] {
        var input = input
        var outcomes: [Outcome] = []
        input.withUnsafeMutableBytes { bytes in
            var offset = 0
            while let event = next(bytes, &offset) {
                outcomes.append(Outcome(event, in: UnsafeRawBufferPointer(bytes)))
            }
            precondition(offset == bytes.count, "the machine left unread input")
        }
        return outcomes
    }
}

extension Outcome {
    init(_ event: WebSocketMachine.Event, in input: UnsafeRawBufferPointer) {
        func bytes(_ payload: WebSocketMachine.Payload) -> [UInt8] {
            switch payload {
            case .input(let range): Array(input[range])
            case .assembled(let bytes): bytes
            }
        }
        self =
            switch event {
            case .message(let opcode, let payload), .part(let opcode, let payload): .message(opcode, bytes(payload))
            case .ping(let payload): .ping(bytes(payload))
            case .pong(let payload): .pong(bytes(payload))
            case .close(let code, let reason, let reply): .close(code: code, reason: reason, reply: reply)
            case .failed(let code, _, let frame): .failed(code, frame: frame)
            }
    }
}
