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

    func withPayload(of message: Message, _ body: (Opcode, UnsafeRawBufferPointer) -> Segment) -> Segment? {
        unsafe writer.removeAll()
        unsafe MessageObject.encode(message, hasOperation: hasOperation, by: &writer, &common)
        defer { if unsafe writer.bytes.count > Self.maximumKept { unsafe writer = JSONWriter() } }
        return unsafe writer.bytes.withUnsafeBytes { unsafe body(.text, $0) }
    }
}
