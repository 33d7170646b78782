package import WSTransport

/// Messages as frames with the payload as it was published.
final class TopicForm: FrameForm {
    func payload(of message: Message) -> (opcode: Opcode, bytes: [UInt8]) { (message.opcode, message.payload) }
}

extension Message {
    /// The opcode its payload travels in on a topic socket.
    package var opcode: Opcode { kind == .binary ? .binary : .text }
}
