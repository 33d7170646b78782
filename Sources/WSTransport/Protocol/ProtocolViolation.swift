/// A peer's violation of the protocol, and the close code for it (RFC 6455 §7.1.7).
package struct ProtocolViolation: Equatable, Sendable {
    /// The code of the CLOSE that ends the connection.
    let code: CloseCode
    /// A sentence for the CLOSE and for the log, at most 123 bytes.
    let reason: String

    // §5.2: base framing.
    static let reservedBit = ProtocolViolation(.protocolError, "reserved bit set without an extension")
    static let reservedOpcode = ProtocolViolation(.protocolError, "reserved opcode")
    static let lengthNotMinimal = ProtocolViolation(.protocolError, "payload length not in its shortest form")
    static let lengthTooLong = ProtocolViolation(.protocolError, "payload length with its highest bit set")
    // §5.1: masking.
    static let notMasked = ProtocolViolation(.protocolError, "frame from a client is not masked")
    static let masked = ProtocolViolation(.protocolError, "frame from a server is masked")
    // §5.4: fragmentation.
    static let orphanContinuation = ProtocolViolation(.protocolError, "continuation without a message")
    static let messageInsideMessage = ProtocolViolation(.protocolError, "new message inside a fragmented one")
    // §5.5: control frames.
    static let controlFragmented = ProtocolViolation(.protocolError, "fragmented control frame")
    static let controlTooLong = ProtocolViolation(.protocolError, "control frame above 125 bytes")
    static let closeBodyTooShort = ProtocolViolation(.protocolError, "close body of one byte")
    static let closeCode = ProtocolViolation(.protocolError, "close code not allowed on the wire")
    static let closeReason = ProtocolViolation(.invalidPayload, "close reason is not UTF-8")
    // RFC 7692 §7.2.2: compressed payloads.
    static let compressedData = ProtocolViolation(.invalidPayload, "compressed data is corrupt")
    static let noMemoryToInflate = ProtocolViolation(.internalError, "no memory to inflate")
    // §8.1: text.
    static let text = ProtocolViolation(.invalidPayload, "text is not UTF-8")
    // §10.4: limits of the implementation.
    static let messageTooBig = ProtocolViolation(.messageTooBig, "message above the limit")
    static let tooManyFragments = ProtocolViolation(.messageTooBig, "message of too many fragments")

    private init(_ code: CloseCode, _ reason: String) {
        self.code = code
        self.reason = reason
    }
}
