internal import CSIMD

/// The 4 bytes with which a client's payload is masked (RFC 6455 §5.3).
package struct MaskingKey: Hashable, Sendable {
    /// The key's bytes, the first one in the lowest 8 bits.
    package var word: UInt32

    /// Makes a key whose first byte is in the lowest 8 bits of `word`.
    package init(word: UInt32) { self.word = word }

    /// Makes a key from its bytes, in the order of the wire.
    package init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        word = UInt32(first) | UInt32(second) << 8 | UInt32(third) << 16 | UInt32(fourth) << 24
    }

    /// An unpredictable key, from the system's generator (RFC 6455 §10.3).
    package static func random() -> MaskingKey {
        var generator = SystemRandomNumberGenerator()
        return MaskingKey(word: UInt32(truncatingIfNeeded: generator.next() as UInt64))
    }

    /// The key's bytes, in the order of the wire.
    package var bytes: [UInt8] {
        [0, 8, 16, 24].map { shift in UInt8(truncatingIfNeeded: word >> shift) }
    }

    /// The key for the payload after its first `count` bytes.
    package func advanced(by count: Int) -> MaskingKey {
        let shift = UInt32(truncatingIfNeeded: count & 3) &* 8
        return MaskingKey(word: word &>> shift | word &<< ((32 &- shift) & 31))
    }

    /// Masks or unmasks `payload`, starting with the key's first byte.
    package func apply(to payload: UnsafeMutableRawBufferPointer) {
        if word != 0 { _ = unsafe applyTellingASCII(to: payload) }
    }

    /// The same; returns whether all of the result is ASCII.
    func applyTellingASCII(to payload: UnsafeMutableRawBufferPointer) -> Bool {
        guard let base = payload.baseAddress else { return true }
        return unsafe mask_apply(base.assumingMemoryBound(to: UInt8.self), payload.count, word) == 0
    }
}
