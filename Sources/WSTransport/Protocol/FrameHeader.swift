/// The first 2 to 14 bytes of a frame (RFC 6455 §5.2).
package struct FrameHeader: Equatable, Sendable {
    /// The length of the longest header, in bytes.
    static let maximumByteCount = 14

    /// The opcode of the frame; that of a fragment is not the message's.
    package var opcode: Opcode
    /// Whether it is the last frame of its message.
    package var isFinal: Bool
    /// Whether the message that begins with this frame is compressed: RSV1 (RFC 7692 §6).
    package var isCompressed = false
    /// The peer's key; zero, which changes nothing, if the frame is not masked.
    package var maskingKey: MaskingKey
    /// The payload's length, in bytes.
    package var payloadLength: Int

    /// The result of reading a header.
    package enum Reading: Equatable {
        case incomplete
        case whole(FrameHeader, byteCount: Int)
        case violation(ProtocolViolation)
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// A violation is reported at its first byte, so the result does not depend on how the header is cut.
    ///
    /// `allowsCompression`: permessage-deflate is in use, so the first frame of a message may have RSV1.
    package static func read(
        _ bytes: UnsafeRawBufferPointer, isMasked mustBeMasked: Bool, allowsCompression: Bool = false
    ) -> Reading {
        guard bytes.count >= 1 else { return .incomplete }
        let first = unsafe bytes[0]
        let opcode = Opcode(rawValue: first)
        let isFinal = first & 0x80 != 0
        let isCompressed = first & 0x40 != 0
        // RFC 7692 §6.1: only the first frame of a data message says whether the message is compressed.
        let mayBeCompressed = allowsCompression && !opcode.isControl && opcode != .continuation
        guard first & 0x30 == 0, !isCompressed || mayBeCompressed else { return .violation(.reservedBit) }
        guard !opcode.isReserved else { return .violation(.reservedOpcode) }
        guard isFinal || !opcode.isControl else { return .violation(.controlFragmented) }

        guard bytes.count >= 2 else { return .incomplete }
        let second = unsafe bytes[1]
        let isMasked = second & 0x80 != 0
        guard isMasked == mustBeMasked else { return .violation(mustBeMasked ? .notMasked : .masked) }
        let shortLength = Int(second & 0x7F)
        guard shortLength <= 125 || !opcode.isControl else { return .violation(.controlTooLong) }

        let keyOffset = shortLength < 126 ? 2 : shortLength == 126 ? 4 : 10
        let byteCount = keyOffset &+ (isMasked ? 4 : 0)
        guard bytes.count >= byteCount else { return .incomplete }

        var payloadLength = shortLength
        if shortLength == 126 {
            payloadLength = Int(unsafe UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            guard payloadLength > 125 else { return .violation(.lengthNotMinimal) }
        } else if shortLength == 127 {
            let long = unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
            guard long >> 63 == 0 else { return .violation(.lengthTooLong) }
            guard long > 0xFFFF else { return .violation(.lengthNotMinimal) }
            payloadLength = Int(truncatingIfNeeded: long)
        }
        var maskingKey = MaskingKey(word: 0)
        if isMasked {
            let word = unsafe bytes.loadUnaligned(fromByteOffset: keyOffset, as: UInt32.self)
            maskingKey = MaskingKey(word: UInt32(littleEndian: word))
        }
        let header = FrameHeader(
            opcode: opcode, isFinal: isFinal, isCompressed: isCompressed, maskingKey: maskingKey,
            payloadLength: payloadLength)
        return .whole(header, byteCount: byteCount)
    }
}
