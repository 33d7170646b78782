/// What a frame is (RFC 6455 §5.2).
///
/// An open set: the reserved values 3–7 and 11–15 can be held, and are refused by the machine.
package struct Opcode: RawRepresentable, Hashable, Sendable {
    /// The 4 bits on the wire.
    package let rawValue: UInt8

    /// The opcode in the low 4 bits of `rawValue`.
    package init(rawValue: UInt8) { self.rawValue = rawValue & 0x0F }

    /// A further fragment of the message under way.
    package static let continuation = Opcode(rawValue: 0)
    /// A message of UTF-8 text, or its first fragment.
    package static let text = Opcode(rawValue: 1)
    /// A message of bytes, or its first fragment.
    package static let binary = Opcode(rawValue: 2)
    /// The closing handshake (RFC 6455 §5.5.1).
    package static let close = Opcode(rawValue: 8)
    /// A question that is answered by a pong (RFC 6455 §5.5.2).
    package static let ping = Opcode(rawValue: 9)
    /// The answer to a ping, or a sign of life (RFC 6455 §5.5.3).
    package static let pong = Opcode(rawValue: 10)

    /// Whether the frame may stand between the fragments of a message (RFC 6455 §5.5).
    package var isControl: Bool { rawValue & 0x08 != 0 }

    /// Whether the specification keeps this value for later.
    package var isReserved: Bool { rawValue & 0x07 > 2 }
}
