package import WSTransport

/// Messages as frames with the payload as published.
///
/// There is no frame for the removal of a retained value: an empty frame would look like an empty message.
final class TopicForm: FrameForm {
    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment? {
        if message.isRemoval, message.payload.isEmpty { return nil }
        return unsafe message.payload.withUnsafeBytes { payload in
            unsafe WebSocketConnection.encode(message.opcode, payload, lane: Int(lane.number), on: reactor)
        }
    }

    func withPayload(of message: Message, _ body: (Opcode, UnsafeRawBufferPointer) -> Segment) -> Segment? {
        if message.isRemoval, message.payload.isEmpty { return nil }
        return unsafe message.payload.withUnsafeBytes { unsafe body(message.opcode, $0) }
    }
}

extension Message {
    /// The opcode of the payload's frame on a topic socket.
    package var opcode: Opcode { kind == .binary ? .binary : .text }
}
