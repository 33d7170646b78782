internal import WSTransport

/// Messages as text frames with a JSON object each.
final class JSONForm: FrameForm {
    private let hasOperation: Bool
    // Each message looks at these, and each look would be checked for a change that is under way: the body encodes no other.
    /// Of the last message; its memory is for the next one.
    @exclusivity(unchecked) private var writer = JSONWriter()
    /// What the next message may have in common with the last ones.
    @exclusivity(unchecked) private var common = MessageObject.Repeated()
    /// How much of it is kept, in bytes.
    private static let maximumKept = 16 << 10

    /// - Parameter hasOperation: whether the object has an `op`, for sockets that are sent others than messages, too.
    init(hasOperation: Bool) { self.hasOperation = hasOperation }

    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment? {
        if message.isPlain, let segment = encodePlain(message, into: reactor, lane: Int(lane.number)) { return segment }
        return unsafe withPayload(of: message) { (opcode, payload) in
            unsafe WebSocketConnection.encode(opcode, payload, lane: Int(lane.number), on: reactor)
        }
    }

    /// Writes a message where it is sent from, with nothing between; `nil`: its topic is not the last one, or its payload
    /// cannot be copied as it is.
    private func encodePlain(_ message: Message, into reactor: Reactor, lane: Int) -> Segment? {
        guard unsafe common.isOf(message.topic) else { return nil }
        let isText = message.kind == .text
        let payload = message.payload
        guard isText ? payload.span.skipPlain(from: 0) == payload.count : payload.span.isOneLine else { return nil }
        unsafe common.take(message.time)
        let (beginning, middle) = unsafe (common.beginning, common.timeAndData)
        let middleCount = middle.count - (isText ? 0 : 1)
        let digits = JSONWriter.digitCount(message.seq)
        let count = beginning.count + digits + middleCount + payload.count + (isText ? 2 : 1)
        let header = FrameEncoder.headerLength(payloadLength: count)
        return unsafe reactor.encode(lane: lane, count: header + count) { bytes in
            unsafe FrameEncoder.writeHeader(.text, payloadLength: count, into: bytes)
            guard let base = bytes.baseAddress else { return }
            var place = unsafe (base + header).assumingMemoryBound(to: UInt8.self)
            unsafe Self.put(beginning.span, beginning.count, at: &place)
            unsafe place += JSONWriter.put(message.seq, at: place)
            unsafe Self.put(middle.span, middleCount, at: &place)
            unsafe Self.put(payload.span, payload.count, at: &place)
            if isText {
                unsafe place[0] = UInt8(ascii: "\"")
                unsafe place += 1
            }
            unsafe place[0] = UInt8(ascii: "}")
        }
    }

    /// Copies the first bytes of a part to a place, and moves that past them.
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
    /// Whether it has nothing but a topic and a payload that is text or JSON, as most have.
    fileprivate var isPlain: Bool {
        kind != .binary && !isRetained && expiry == 0 && contentType == nil && properties == nil
    }
}

extension Span where Element == UInt8 {
    /// Whether it is something, and has no line end.
    fileprivate var isOneLine: Bool {
        for index in indices where self[index] == 10 || self[index] == 13 { return false }
        return !isEmpty
    }
}
