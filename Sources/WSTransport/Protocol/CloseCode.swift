/// Why a WebSocket was closed (RFC 6455 §7.4).
public struct CloseCode: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    public let rawValue: UInt16

    /// The code with this number, known or not.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// 1000: normal closure.
    public static let normal = CloseCode(rawValue: 1000)
    /// 1001: the server is shutting down, or the browser has left the page.
    public static let goingAway = CloseCode(rawValue: 1001)
    /// 1002: the peer violated the protocol.
    public static let protocolError = CloseCode(rawValue: 1002)
    /// 1003: the peer sent data of a type that is not accepted.
    public static let unsupportedData = CloseCode(rawValue: 1003)
    /// 1005: the Close frame had no code; never sent.
    public static let noStatusReceived = CloseCode(rawValue: 1005)
    /// 1006: the connection was lost without a Close frame; never sent.
    public static let abnormal = CloseCode(rawValue: 1006)
    /// 1007: the payload does not match the message type, such as text that is not UTF-8.
    public static let invalidPayload = CloseCode(rawValue: 1007)
    /// 1008: the peer violated a policy.
    public static let policyViolation = CloseCode(rawValue: 1008)
    /// 1009: a message is too big.
    public static let messageTooBig = CloseCode(rawValue: 1009)
    /// 1010: the server did not negotiate an extension that the client requires.
    public static let mandatoryExtension = CloseCode(rawValue: 1010)
    /// 1011: the server encountered an error.
    public static let internalError = CloseCode(rawValue: 1011)
    /// 1012: the server is restarting.
    public static let serviceRestart = CloseCode(rawValue: 1012)
    /// 1013: the server is overloaded.
    public static let tryAgainLater = CloseCode(rawValue: 1013)

    /// Whether an application may close with this code: 1000 and 3000–4999.
    public var isSendable: Bool { self == .normal || (3000...4999).contains(rawValue) }

    /// Whether a Close frame may contain this code: 1000–1003, 1007–1014 and 3000–4999.
    public var isValidOnWire: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

extension CloseCode: ExpressibleByIntegerLiteral {
    /// Creates a code from a literal, so that `socket.close(4000)` reads as in the RFC.
    public init(integerLiteral value: UInt16) { self.init(rawValue: value) }
}

extension CloseCode: CustomStringConvertible {
    /// The number.
    public var description: String { String(rawValue) }
}
