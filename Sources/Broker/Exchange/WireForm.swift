package import WSTransport

/// The ways a message looks on a wire.
///
/// Its number is the lane its frames are encoded in.
package enum WireForm: UInt8, Sendable {
    /// A frame with the payload as it was published.
    case topic = 1
    /// A text frame with a JSON object that has `op`.
    case json = 2
    /// A text frame with a JSON object without `op`.
    case subscription = 3
    /// An HTTP chunk with a line of JSON.
    case lines = 4
    /// An HTTP chunk with a server-sent event.
    case events = 5

    /// The bytes of a message that comes live, encoded into the reactor's arena for everybody of this form.
    func encode(_ message: Message, on reactor: Reactor) -> Segment {
        switch self {
        case .topic:
            return unsafe message.payload.withUnsafeBytes { payload in
                unsafe WebSocket.encode(message.opcode, payload, lane: Int(rawValue), on: reactor)
            }
        case .json, .subscription:
            let object = MessageObject.encode(message, hasOperation: self == .json, isSnapshot: false)
            return unsafe object.withUnsafeBytes { object in
                unsafe WebSocket.encode(.text, object, lane: Int(rawValue), on: reactor)
            }
        case .lines, .events:
            let chunk = HTTPStream.chunk(text(of: message, isSnapshot: false))
            return unsafe chunk.withUnsafeBytes { unsafe reactor.encode(lane: Int(rawValue), $0) }
        }
    }

    /// The bytes of a message in a stream of text, before they are framed as a chunk.
    func text(of message: Message, isSnapshot: Bool) -> [UInt8] {
        let object = MessageObject.encode(message, hasOperation: false, isSnapshot: isSnapshot)
        guard self == .events else { return object + [10] }
        return Array("id: \(message.seq)\ndata: ".utf8) + object + [10, 10]
    }
}

extension Message {
    /// The opcode its payload travels in on a topic socket.
    package var opcode: Opcode { kind == .binary ? .binary : .text }
}
