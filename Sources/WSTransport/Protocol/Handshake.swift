/// The opening handshake, both sides (RFC 6455 §4).
package enum Handshake {
    /// The only version there is (RFC 6455 §4.1).
    static let version = "13"

    /// What the peer must derive from `key` to show that it speaks WebSocket (RFC 6455 §4.2.2).
    package static func acceptKey(for key: String) -> String { Base64.encode(acceptDigest(for: key.utf8Span.span)) }

    /// The bytes of ``acceptKey(for:)``.
    static func acceptDigest(for key: Span<UInt8>) -> [UInt8] {
        var message: [UInt8] = []
        message.reserveCapacity(128)
        unsafe key.withUnsafeBufferPointer { unsafe message.append(contentsOf: $0) }
        message.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        return SHA1.digest(of: message)
    }

    /// Appends the field lines of a head and the empty line to `bytes`.
    static func appendFields(_ fields: [HeaderFields], to bytes: inout [UInt8]) {
        for fields in fields where !fields.isEmpty { fields.write(to: &bytes) }
        bytes.append(contentsOf: "\r\n".utf8)
    }
}
