extension Span where Element == UInt8 {
    /// Whether both are the same bytes; for strings this is stricter than `==`, which sees canonical equivalence.
    func hasSameBytes(as other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        let left = unsafe bytes
        let right = unsafe other.bytes
        var offset = 0
        while count - offset >= 8 {
            let leftWord = unsafe left.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let rightWord = unsafe right.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
            guard leftWord == rightWord else { return false }
            offset += 8
        }
        while offset < count {
            guard self[offset] == other[offset] else { return false }
            offset += 1
        }
        return true
    }

    /// The `count` bytes at `offset`, at most 8, the first of them lowest, with zeros above.
    @inline(__always)
    func word(at offset: Int, count: Int) -> UInt64 {
        guard count < 8 else {
            return unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        // Where there are eight, what is too much of them is masked off.
        if offset &+ 8 <= self.count {
            let word = unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
            return word & ~(UInt64.max &<< UInt64(truncatingIfNeeded: count &* 8))
        }
        var word: UInt64 = 0
        for index in 0..<count { word |= UInt64(self[offset &+ index]) &<< UInt64(truncatingIfNeeded: index &* 8) }
        return word
    }
}
