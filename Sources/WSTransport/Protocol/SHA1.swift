/// SHA-1 (RFC 3174), which the opening handshake requires.
///
/// It protects nothing: apart from the handshake, use it only to name things that are compared in full afterwards.
package enum SHA1 {
    /// The digest of `message`: 20 bytes.
    package static func digest(of message: consuming [UInt8]) -> [UInt8] {
        let bitCount = UInt64(message.count) &* 8
        var padded = message
        padded.append(0x80)
        padded.append(contentsOf: repeatElement(0, count: (120 - padded.count % 64) % 64))
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            padded.append(UInt8(truncatingIfNeeded: bitCount >> shift))
        }
        var state: InlineArray<5, UInt32> = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
        for start in stride(from: 0, to: padded.count, by: 64) { mix(padded[start..<start + 64], into: &state) }
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
    private static func mix(_ block: ArraySlice<UInt8>, into state: inout InlineArray<5, UInt32>) {
        var words = InlineArray<80, UInt32>(repeating: 0)
        for index in 0..<16 {
            let at = block.startIndex &+ index &* 4
            words[index] =
                UInt32(block[at]) &<< 24 | UInt32(block[at &+ 1]) &<< 16 | UInt32(block[at &+ 2]) &<< 8
                | UInt32(block[at &+ 3])
        }
        for index in 16..<80 {
            words[index] = rotate(
                words[index &- 3] ^ words[index &- 8] ^ words[index &- 14] ^ words[index &- 16], by: 1)
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for index in 0..<20 {
            let next = rotate(a, by: 5) &+ (d ^ b & (c ^ d)) &+ e &+ words[index] &+ 0x5A82_7999
            (a, b, c, d, e) = (next, a, rotate(b, by: 30), c, d)
        }
        for index in 20..<40 {
            let next = rotate(a, by: 5) &+ (b ^ c ^ d) &+ e &+ words[index] &+ 0x6ED9_EBA1
            (a, b, c, d, e) = (next, a, rotate(b, by: 30), c, d)
        }
        for index in 40..<60 {
            let next = rotate(a, by: 5) &+ (b & c | d & (b | c)) &+ e &+ words[index] &+ 0x8F1B_BCDC
            (a, b, c, d, e) = (next, a, rotate(b, by: 30), c, d)
        }
        for index in 60..<80 {
            let next = rotate(a, by: 5) &+ (b ^ c ^ d) &+ e &+ words[index] &+ 0xCA62_C1D6
            (a, b, c, d, e) = (next, a, rotate(b, by: 30), c, d)
        }
        state[0] &+= a
        state[1] &+= b
        state[2] &+= c
        state[3] &+= d
        state[4] &+= e
    }

    @inline(__always)
    private static func rotate(_ word: UInt32, by count: UInt32) -> UInt32 { word &<< count | word &>> (32 &- count) }
}
