internal import WSTransport

/// Messages as text frames, each with a JSON object.
final class JSONForm: FrameForm {
    private let hasOperation: Bool
    // These are used for each message, without the checks of exclusive access: the body encodes no other message.
    /// The writer of the last message; its memory is used for the next one.
    @exclusivity(unchecked) private var writer = JSONWriter()
    /// The parts that the next message may share with the last ones.
    @exclusivity(unchecked) private var common = MessageObject.Repeated()
    /// How much of the writer's memory is kept, in bytes.
    private static let maximumKept = 16 << 10

    /// - Parameter hasOperation: whether objects have an `op`, for sockets that are also sent other objects.
    init(hasOperation: Bool) { self.hasOperation = hasOperation }

    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment? {
        if message.isPlain, let segment = encodePlain(message, into: reactor, lane: Int(lane.number)) { return segment }
        return unsafe withPayload(of: message) { (opcode, payload) in
            unsafe WebSocketConnection.encode(opcode, payload, lane: Int(lane.number), on: reactor)
        }
    }

    /// Writes a message directly into the send buffer; `nil` if its topic differs from the last one's, or its payload
    /// cannot be copied unchanged.
    private func encodePlain(_ message: Message, into reactor: Reactor, lane: Int) -> Segment? {
        guard unsafe common.isOf(message.topic) else { return nil }
        let isText = message.kind == .text
        let payload = message.payload
        if isText {
            guard payload.span.skipPlain(from: 0) == payload.count else { return nil }
        } else if payload.isEmpty || payload.span.hasLineEnd {
            return nil
        }
        unsafe common.take(message.time)
        let (beginning, middle) = unsafe (common.beginning, common.timeAndData)
        let middleCount = middle.count - (isText ? 0 : 1)
        let digits = JSONWriter.digitCount(message.number)
        let count = beginning.count + digits + middleCount + payload.count + (isText ? 2 : 1)
        let header = FrameEncoder.headerLength(payloadLength: count)
        return unsafe reactor.encode(lane: lane, count: header + count) { bytes in
            unsafe FrameEncoder.writeHeader(.text, payloadLength: count, into: bytes)
            guard let base = bytes.baseAddress else { return }
            var place = unsafe (base + header).assumingMemoryBound(to: UInt8.self)
            unsafe Self.put(beginning.span, beginning.count, at: &place)
            unsafe place += JSONWriter.put(message.number, at: place)
            unsafe Self.put(middle.span, middleCount, at: &place)
            unsafe Self.put(payload.span, payload.count, at: &place)
            if isText {
                unsafe place[0] = UInt8(ascii: "\"")
                unsafe place += 1
            }
            unsafe place[0] = UInt8(ascii: "}")
        }
    }

    /// Copies the first `count` bytes of a part to `place`, and advances `place`.
    @inline(__always)
    private static func put(_ part: Span<UInt8>, _ count: Int, at place: inout UnsafeMutablePointer<UInt8>) {
        unsafe part.withUnsafeBufferPointer { part in
            if let first = part.baseAddress { unsafe place.update(from: first, count: count) }
        }
        unsafe place += count
    }

    func withPayload(of message: Message, _ body: (Opcode, UnsafeRawBufferPointer) -> Segment) -> Segment? {
        unsafe writer.removeAll()
        unsafe MessageObject.encode(message, hasOperation: hasOperation, by: &writer, &common)
        defer { if unsafe writer.bytes.count > Self.maximumKept { unsafe writer = JSONWriter() } }
        return unsafe writer.bytes.withUnsafeBytes { unsafe body(.text, $0) }
    }
}

extension Message {
    /// Whether the message has only a topic and a text or JSON payload, as most have.
    fileprivate var isPlain: Bool {
        kind != .binary && !isRetained && expiry == 0 && contentType == nil && properties == nil
    }
}
