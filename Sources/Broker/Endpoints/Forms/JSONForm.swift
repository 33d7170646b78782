internal import WSTransport

/// Messages as text frames with a JSON object each.
final class JSONForm: FrameForm {
    private let hasOperation: Bool
    /// Of the last message; its memory is for the next one.
    private var writer = JSONWriter()
    /// How much of it is kept, in bytes.
    private static let maximumKept = 16 << 10

    /// - Parameter hasOperation: whether the object has an `op`, for sockets that are sent others than messages, too.
    init(hasOperation: Bool) { self.hasOperation = hasOperation }

    func withPayload(of message: Message, _ body: (Opcode, UnsafeRawBufferPointer) -> Segment) -> Segment? {
        writer.removeAll()
        MessageObject.encode(message, hasOperation: hasOperation, isSnapshot: false, by: &writer)
        defer { if writer.bytes.count > Self.maximumKept { writer = JSONWriter() } }
        return unsafe writer.bytes.withUnsafeBytes { unsafe body(.text, $0) }
    }
}
