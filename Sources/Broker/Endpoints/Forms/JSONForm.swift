internal import WSTransport

/// Messages as text frames with a JSON object each.
final class JSONForm: FrameForm {
    private let hasOperation: Bool

    /// - Parameter hasOperation: whether the object has an `op`, for sockets that are sent others than messages, too.
    init(hasOperation: Bool) { self.hasOperation = hasOperation }

    func payload(of message: Message) -> (opcode: Opcode, bytes: [UInt8]) {
        (.text, MessageObject.encode(message, hasOperation: hasOperation, isSnapshot: false))
    }
}
