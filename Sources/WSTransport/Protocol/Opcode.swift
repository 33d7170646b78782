/// The type of a frame (RFC 6455 §5.2).
///
/// The reserved values 3–7 and 11–15 can be represented, too; a frame with one is a protocol error.
public struct Opcode: RawRepresentable, Hashable, Sendable {
    /// The 4 bits on the wire.
    public let rawValue: UInt8

    /// The opcode in the low 4 bits of `rawValue`.
    public init(rawValue: UInt8) { self.rawValue = rawValue & 0x0F }

    /// A continuation of the current message.
    public static let continuation = Opcode(rawValue: 0)
    /// A text message in UTF-8, or its first fragment.
    public static let text = Opcode(rawValue: 1)
    /// A binary message, or its first fragment.
    public static let binary = Opcode(rawValue: 2)
    /// The closing handshake (RFC 6455 §5.5.1).
    public static let close = Opcode(rawValue: 8)
    /// A PING, which is answered by a PONG (RFC 6455 §5.5.2).
    public static let ping = Opcode(rawValue: 9)
    /// A PONG, in answer to a PING or unsolicited (RFC 6455 §5.5.3).
    public static let pong = Opcode(rawValue: 10)

    /// Whether it is the type of a control frame, which may come between the fragments of a message (RFC 6455 §5.5).
    public var isControl: Bool { rawValue & 0x08 != 0 }

    /// Whether RFC 6455 reserves this value.
    public var isReserved: Bool { rawValue & 0x07 > 2 }
}

extension Opcode: CustomStringConvertible {
    /// The RFC's name for the opcode; for a reserved one, its number.
    public var description: String {
        switch self {
        case .continuation: "continuation"
        case .text: "text"
        case .binary: "binary"
        case .close: "close"
        case .ping: "ping"
        case .pong: "pong"
        default: String(rawValue)
        }
    }
}
