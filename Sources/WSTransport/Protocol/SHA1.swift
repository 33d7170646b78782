/// SHA-1 (RFC 3174), which the opening handshake requires.
///
/// It protects nothing: apart from the handshake, use it only to name things that are compared in full afterwards.
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
        // A byte and the length follow, and zeros between them up to a whole block.
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
        var words = InlineArray<80, UInt32>(repeating: 0)
        fill(words.mutableSpan, from: block)
        var mixed = Mixed(a: state[0], b: state[1], c: state[2], d: state[3], e: state[4])
        mixed.mix(words.span, from: 0) { (b, c, d) in (d ^ b & (c ^ d)) &+ 0x5A82_7999 }
        mixed.mix(words.span, from: 20) { (b, c, d) in (b ^ c ^ d) &+ 0x6ED9_EBA1 }
        mixed.mix(words.span, from: 40) { (b, c, d) in (b & c | d & (b | c)) &+ 0x8F1B_BCDC }
        mixed.mix(words.span, from: 60) { (b, c, d) in (b ^ c ^ d) &+ 0xCA62_C1D6 }
        state[0] &+= mixed.a
        state[1] &+= mixed.b
        state[2] &+= mixed.c
        state[3] &+= mixed.d
        state[4] &+= mixed.e
    }

    /// The 80 words made of a block; none of the places are beyond these.
    @inline(__always)
    private static func fill(_ words: consuming MutableSpan<UInt32>, from block: Span<UInt8>) {
        for index in 0..<16 {
            let word = unsafe block.bytes.unsafeLoadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)
            words[index] = UInt32(bigEndian: word)
        }
        var index = 16
        while index < 80 {
            let mixed =
                unsafe words[unchecked: index &- 3] ^ words[unchecked: index &- 8]
                ^ words[unchecked: index &- 14] ^ words[unchecked: index &- 16]
            unsafe words[unchecked: index] = rotate(mixed, by: 1)
            index &+= 1
        }
    }

    /// The five words that a block's words are mixed into.
    private struct Mixed {
        var a, b, c, d, e: UInt32

        /// Twenty steps, with words that there are; five in a row, after which each word has its name again.
        @inline(__always)
        mutating func mix(_ words: Span<UInt32>, from first: Int, _ body: (UInt32, UInt32, UInt32) -> UInt32) {
            var index = first
            while index < first &+ 20 {
                unsafe Self.step(a, &b, c, d, &e, words[unchecked: index], body)
                unsafe Self.step(e, &a, b, c, &d, words[unchecked: index &+ 1], body)
                unsafe Self.step(d, &e, a, b, &c, words[unchecked: index &+ 2], body)
                unsafe Self.step(c, &d, e, a, &b, words[unchecked: index &+ 3], body)
                unsafe Self.step(b, &c, d, e, &a, words[unchecked: index &+ 4], body)
                index &+= 5
            }
        }

        @inline(__always)
        private static func step(
            _ a: UInt32, _ b: inout UInt32, _ c: UInt32, _ d: UInt32, _ e: inout UInt32, _ word: UInt32,
            _ body: (UInt32, UInt32, UInt32) -> UInt32
        ) {
            e = SHA1.rotate(a, by: 5) &+ body(b, c, d) &+ e &+ word
            b = SHA1.rotate(b, by: 30)
        }
    }

    @inline(__always)
    fileprivate static func rotate(_ word: UInt32, by count: UInt32) -> UInt32 {
        word &<< count | word &>> (32 &- count)
    }
}
