internal import Synchronization

/// One message over a raw stream.
extension WebSocketMessage {
    /// Writes the message to `stream`, as one frame.
    ///
    /// Each call uses a new masking key. Throws what the stream throws, and ``WS/Error/controlTooLong`` if the body is
    /// too long for a control frame.
    public func sendTo(_ stream: any ByteStream) async throws {
        let (type, masked, compress, body) = state.withLock { ($0.type, $0.masked, $0.compress, $0.body.array ?? []) }
        guard !type.isControl || body.count <= FrameEncoder.maximumControlPayload else { throw WS.Error.controlTooLong }
        let compressed = compress && !type.isControl ? Self.deflate(body) : nil
        var frame: [UInt8] = []
        FrameEncoder.appendFrame(
            type, compressed ?? body, isCompressed: compressed != nil, maskingKey: masked ? .random() : nil, to: &frame)
        try await stream.write(frame)
        state.withLock { $0.sent = true }
    }

    /// RFC 7692 §7.2.1, each message by itself; `nil` if it would not become smaller, or memory ran out.
    private static func deflate(_ body: [UInt8]) -> [UInt8]? {
        // §7.2.3.6: an empty message cannot be compressed.
        guard !body.isEmpty else { return nil }
        return unsafe body.withUnsafeBytes { unsafe DeflatePool().deflate($0, windowBits: 15, level: 6) }
    }

    /// Reads one whole message from `stream`, joins its fragments, and sets type and body.
    ///
    /// The received body is appended to the existing one, so use a new or cleared message. A PING between the fragments
    /// is answered, and a PONG there is ignored; between messages, a PING, a PONG or a Close frame is a message of its
    /// own. The frames of one message must be all masked or all unmasked. Compressed messages are inflated, up to
    /// ``maxSize``.
    ///
    /// Throws ``WS/Error/endOfStream`` if the stream ends, even within a message, ``WS/Error/messageTooBig``,
    /// ``WS/Error/protocolViolation(_:_:)``, ``WS/Error/closed(_:reason:)`` for a Close frame between fragments, and
    /// what the stream throws. After any error the stream must not be used again.
    public func readFrom(_ stream: any ByteStream) async throws {
        let first = try await FrameReader.readHeader(stream)
        guard !first.header.opcode.isControl else {
            var payload = try await stream.readExactly(first.header.payloadLength)
            unsafe payload.withUnsafeMutableBytes { unsafe first.header.maskingKey.apply(to: $0) }
            return take(first.header.opcode, payload, first, from: stream)
        }
        var reader = FrameReader(maximumSize: maxSize, isMasked: first.isMasked)
        var next = first
        while true {
            if let (type, body) = try await reader.read(next, from: stream) {
                return take(type, body, first, from: stream)
            }
            next = try await FrameReader.readHeader(stream)
        }
    }

    private func take(_ type: Opcode, _ body: [UInt8], _ first: FrameReader.Head, from stream: any ByteStream) {
        state.withLock { state in
            state.type = type
            state.masked = first.isMasked
            state.compress = first.header.isCompressed
            state.stream = stream
            state.body.append(body)
            state.isKnownText = false
            state.position = 0
        }
    }
}

/// Feeds a protocol machine with the frames of one message, without reading a byte of the next.
private struct FrameReader: ~Copyable {
    /// A header, and the bytes it was read from.
    struct Head {
        let header: FrameHeader
        let bytes: [UInt8]

        var isMasked: Bool { bytes[1] & 0x80 != 0 }
    }

    private var machine: WebSocketMachine
    private let isMasked: Bool
    private static let piece = 64 * 1024

    /// Makes a reader for frames of the other role.
    init(maximumSize: Int, isMasked: Bool) {
        var parameters = DeflateParameters()
        parameters.serverNoContextTakeover = true
        parameters.clientNoContextTakeover = true
        let role: WebSocketMachine.Role = isMasked ? .server : .client
        machine = WebSocketMachine(
            role: role, maximumMessageSize: maximumSize,
            compression: MessageCompression(
                parameters, role: role, options: CompressionOptions(), pool: DeflatePool()))
        self.isMasked = isMasked
    }

    static func readHeader(_ stream: any ByteStream) async throws -> Head {
        var bytes = try await stream.readExactly(2)
        while true {
            let isMasked = bytes[1] & 0x80 != 0
            let reading = unsafe bytes.withUnsafeBytes {
                unsafe FrameHeader.read($0, isMasked: isMasked, allowsCompression: true)
            }
            switch reading {
            case .whole(let header, _): return Head(header: header, bytes: bytes)
            case .violation(let violation): throw WS.Error(violation)
            case .incomplete:
                let length = bytes[1] & 0x7F
                let whole = 2 + (length < 126 ? 0 : length == 126 ? 2 : 8) + (isMasked ? 4 : 0)
                bytes += try await stream.readExactly(whole - bytes.count)
            }
        }
    }

    /// Reads the payload after `head`; returns the message if that was its last frame.
    mutating func read(_ head: Head, from stream: any ByteStream) async throws -> (Opcode, [UInt8])? {
        if let message = try await take(head.bytes, stream) { return message }
        var remaining = head.header.payloadLength
        while remaining > 0 {
            let part = try await stream.readExactly(min(remaining, Self.piece))
            remaining -= part.count
            if let message = try await take(part, stream) { return message }
        }
        return nil
    }

    private mutating func take(_ bytes: [UInt8], _ stream: any ByteStream) async throws -> (Opcode, [UInt8])? {
        var bytes = bytes
        var offset = 0
        let event = unsafe bytes.withUnsafeMutableBytes { unsafe machine.next($0, &offset) }
        switch event {
        case nil, .pong, .part: return nil
        case .message(let type, let payload): return (type, Self.body(payload, bytes))
        case .ping(let payload):
            let answer = WebSocketMessage(type: .pong, masked: !isMasked)
            answer.body = Self.body(payload, bytes)
            try await answer.sendTo(stream)
            return nil
        case .close(let code, let reason, _):
            throw WS.Error.closed(code ?? .noStatusReceived, reason: reason)
        case .failed(.messageTooBig, _, _): throw WS.Error.messageTooBig
        case .failed(let code, let reason, _): throw WS.Error.protocolViolation(code, reason)
        }
    }

    private static func body(_ payload: WebSocketMachine.Payload, _ bytes: [UInt8]) -> [UInt8] {
        switch payload {
        case .input(let range): Array(bytes[range])
        case .assembled(let whole): whole
        }
    }
}

extension WS.Error {
    fileprivate init(_ violation: ProtocolViolation) {
        self = .protocolViolation(violation.code, violation.reason)
    }
}
