/// Why a WebSocket was closed (RFC 6455 §7.4).
package struct CloseCode: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    package let rawValue: UInt16

    /// The code with this number, known or not.
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// 1000: the purpose is fulfilled.
    package static let normal = CloseCode(rawValue: 1000)
    /// 1001: the server goes down, or the page was left.
    package static let goingAway = CloseCode(rawValue: 1001)
    /// 1002: the peer broke the protocol.
    package static let protocolError = CloseCode(rawValue: 1002)
    /// 1003: a kind of data that is not taken here.
    package static let unsupportedData = CloseCode(rawValue: 1003)
    /// 1005: the CLOSE held no code; never on the wire.
    package static let noStatusReceived = CloseCode(rawValue: 1005)
    /// 1006: the connection was lost without a CLOSE; never on the wire.
    package static let abnormal = CloseCode(rawValue: 1006)
    /// 1007: the payload does not fit its kind, as text that is not UTF-8.
    package static let invalidPayload = CloseCode(rawValue: 1007)
    /// 1008: against the rules of the house.
    package static let policyViolation = CloseCode(rawValue: 1008)
    /// 1009: a message above the limit.
    package static let messageTooBig = CloseCode(rawValue: 1009)
    /// 1010: the client missed an extension in the handshake.
    package static let mandatoryExtension = CloseCode(rawValue: 1010)
    /// 1011: the server failed.
    package static let internalError = CloseCode(rawValue: 1011)
    /// 1012: the server restarts.
    package static let serviceRestart = CloseCode(rawValue: 1012)
    /// 1013: the server is overloaded.
    package static let tryAgainLater = CloseCode(rawValue: 1013)

    /// Whether a CLOSE frame may carry it: 1000–1003, 1007–1014 and 3000–4999.
    package var isValidOnWire: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
