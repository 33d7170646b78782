/// The opening handshake, both sides (RFC 6455 §4).
package enum Handshake {
    /// The only version of the protocol (RFC 6455 §4.1).
    static let version = "13"

    /// The text that the peer must derive from `key` to show that it speaks WebSocket (RFC 6455 §4.2.2).
    package static func acceptKey(for key: String) -> String {
        let digest = acceptDigest(for: key.utf8Span.span)
        var text: [UInt8] = []
        Base64.append(digest.span, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of ``acceptKey(for:)``.
    static func acceptDigest(for key: Span<UInt8>) -> InlineArray<20, UInt8> {
        // The length that every conforming client uses.
        if key.count == 24 { return SHA1.acceptDigest(for: key) }
        var message = unsafe key.withUnsafeBufferPointer { unsafe Array($0) }
        message.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        let bytes = SHA1.digest(of: message)
        return InlineArray { bytes[$0] }
    }

    /// Appends the field lines of a head and the empty line to `bytes`.
    static func appendFields(_ fields: [HeaderFields], to bytes: inout [UInt8]) {
        for fields in fields where !fields.isEmpty { fields.write(to: &bytes) }
        bytes.append(contentsOf: "\r\n".utf8)
    }
}
