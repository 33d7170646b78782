/// SHA-1 (RFC 3174), which the opening handshake requires.
///
/// It protects nothing: apart from the handshake, use it only to name things that are compared in full afterwards.
package enum SHA1 {
    /// The digest of `message`: 20 bytes.
    package static func digest(of message: [UInt8]) -> [UInt8] {
        let bitCount = UInt64(message.count) &* 8
        // A byte and the length follow, and zeros between them up to a whole block.
        let blocks = (message.count + 9 + 63) / 64
        var padded = [UInt8](repeating: 0, count: blocks * 64)
        padded.replaceSubrange(0..<message.count, with: message)
        padded[message.count] = 0x80
        for index in 0..<8 {
            padded[padded.count - 1 - index] = UInt8(truncatingIfNeeded: bitCount >> UInt64(index * 8))
        }
        var state: InlineArray<5, UInt32> = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
        for block in 0..<blocks { mix(padded.span.extracting(block * 64..<block * 64 + 64), into: &state) }
        var digest: [UInt8] = []
        digest.reserveCapacity(20)
        for index in 0..<5 {
            for shift in stride(from: UInt32(24), through: 0, by: -8) {
                digest.append(UInt8(truncatingIfNeeded: state[index] &>> shift))
            }
        }
        return digest
    }

    /// RFC 3174 §6.1, one block of 64 bytes.
    private static func mix(_ block: Span<UInt8>, into state: inout InlineArray<5, UInt32>) {
        // The last 16 words, each in the place of the one 16 before it.
        var words = InlineArray<16, UInt32>(repeating: 0)
        for index in 0..<16 {
            let word = unsafe block.bytes.unsafeLoadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)
            words[index] = UInt32(bigEndian: word)
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for index in 0..<20 {
            let next = rotate(a, by: 5) &+ (d ^ b & (c ^ d)) &+ e &+ word(index, &words) &+ 0x5A82_7999
            (a, b, c, d, e) = (next, a, rotate(b, by: 30), c, d)
        }
        for index in 20..<40 {
            let next = rotate(a, by: 5) &+ (b ^ c ^ d) &+ e &+ word(index, &words) &+ 0x6ED9_EBA1
            (a, b, c, d, e) = (next, a, rotate(b, by: 30), c, d)
        }
        for index in 40..<60 {
            let next = rotate(a, by: 5) &+ (b & c | d & (b | c)) &+ e &+ word(index, &words) &+ 0x8F1B_BCDC
            (a, b, c, d, e) = (next, a, rotate(b, by: 30), c, d)
        }
        for index in 60..<80 {
            let next = rotate(a, by: 5) &+ (b ^ c ^ d) &+ e &+ word(index, &words) &+ 0xCA62_C1D6
            (a, b, c, d, e) = (next, a, rotate(b, by: 30), c, d)
        }
        state[0] &+= a
        state[1] &+= b
        state[2] &+= c
        state[3] &+= d
        state[4] &+= e
    }

    /// The word of a step.
    @inline(__always)
    private static func word(_ index: Int, _ words: inout InlineArray<16, UInt32>) -> UInt32 {
        guard index >= 16 else { return words[index & 15] }
        let word = rotate(
            words[(index &+ 13) & 15] ^ words[(index &+ 8) & 15] ^ words[(index &+ 2) & 15] ^ words[index & 15], by: 1)
        words[index & 15] = word
        return word
    }

    @inline(__always)
    private static func rotate(_ word: UInt32, by count: UInt32) -> UInt32 { word &<< count | word &>> (32 &- count) }
}
