internal import CSIMD

/// SHA-1 (RFC 3174), which the opening handshake requires.
///
/// Provides no security: apart from the handshake, use it only to name things that are compared in full afterwards.
package enum SHA1 {
    /// The digest of `message`: 20 bytes.
    package static func digest(of message: [UInt8]) -> [UInt8] {
        let bytes = message.span
        var state: InlineArray<5, UInt32> = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
        var offset = 0
        while bytes.count &- offset >= 64 {
            mix(bytes.extracting(offset..<offset &+ 64), into: &state)
            offset &+= 64
        }
        // Padding follows: a byte, zeros, and the length at the end of a whole block.
        var rest = InlineArray<128, UInt8>(repeating: 0)
        var count = 0
        while offset &+ count < bytes.count {
            rest[count] = bytes[offset &+ count]
            count &+= 1
        }
        rest[count] = 0x80
        let end = count < 56 ? 64 : 128
        let bitCount = UInt64(bytes.count) &* 8
        for index in 0..<8 { rest[end &- 1 &- index] = UInt8(truncatingIfNeeded: bitCount &>> UInt64(index &* 8)) }
        mix(rest.span.extracting(0..<64), into: &state)
        if end == 128 { mix(rest.span.extracting(64..<128), into: &state) }
        return unsafe [UInt8](unsafeUninitializedCapacity: 20) { (digest, count) in
            for index in 0..<20 {
                unsafe digest[index] = UInt8(
                    truncatingIfNeeded: state[index / 4] &>> UInt32(24 &- index % 4 &* 8))
            }
            count = 20
        }
    }

    /// RFC 3174 §6.1, one block of 64 bytes.
    private static func mix(_ block: Span<UInt8>, into state: inout InlineArray<5, UInt32>) {
        unsafe block.withUnsafeBufferPointer { bytes in
            var words = state.mutableSpan
            unsafe words.withUnsafeMutableBufferPointer { state in
                unsafe sha1_block(state.baseAddress, bytes.baseAddress)
            }
        }
    }

    /// The digest of a WebSocket's key and the text that the protocol appends to it (RFC 6455 §4.2.2).
    ///
    /// - Parameter key: the key as the client sent it, 24 bytes.
    static func acceptDigest(for key: Span<UInt8>) -> InlineArray<20, UInt8> {
        precondition(key.count == 24, "a key of another length")
        var digest = InlineArray<20, UInt8>(repeating: 0)
        unsafe key.withUnsafeBufferPointer { key in
            var bytes = digest.mutableSpan
            unsafe bytes.withUnsafeMutableBufferPointer { digest in
                unsafe sha1_accept(key.baseAddress, digest.baseAddress)
            }
        }
        return digest
    }
}
