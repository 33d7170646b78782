internal import CSIMD

/// Searches in a head's bytes, eight at a time: every connection's heads are searched several times.
extension UnsafeRawBufferPointer {
    private static var ones: UInt64 { 0x0101_0101_0101_0101 }
    private static var highBits: UInt64 { 0x8080_8080_8080_8080 }

    /// The offset of the first byte of `range` that is not a letter, digit or hyphen, or an earlier offset.
    @inline(__always)
    func endOfWord(_ range: Range<Int>) -> Int {
        var index = range.lowerBound
        while count &- index >= 16, let base = baseAddress {
            let length = unsafe head_word(
                base.assumingMemoryBound(to: UInt8.self) + index, range.upperBound &- index)
            index &+= length
            if length < 16 { break }
        }
        return index
    }

    /// The offset of the first control character in `range` (including HTAB); the end of `range` if there is none.
    func firstControlCharacter(_ range: Range<Int>) -> Int {
        var index = range.lowerBound
        while index < range.upperBound, let base = baseAddress {
            var beyond: UInt64 = 0
            let controls = unsafe head_controls(
                base.assumingMemoryBound(to: UInt8.self) + index, range.upperBound &- index, &beyond)
            if controls != 0 { return index &+ controls.trailingZeroBitCount }
            index &+= 64
        }
        return range.upperBound
    }

    /// The offset of the first `byte` from `start` on, before `end`; `end` if there is none.
    func firstPlace(of byte: UInt8, from start: Int, to end: Int) -> Int {
        unsafe firstPlace(from: start, to: end) { word in
            let difference = unsafe word ^ (Self.ones &* UInt64(byte))
            return unsafe (difference &- Self.ones) & ~difference & Self.highBits
        }
    }

    /// Whether all bytes of `range` are ASCII.
    func isASCII(_ range: Range<Int>) -> Bool {
        unsafe firstPlace(from: range.lowerBound, to: range.upperBound) { unsafe $0 & Self.highBits }
            == range.upperBound
    }

    /// - Parameter marks: sets the highest bit of each matching byte; the bits of bytes after the first match may be
    ///   wrong.
    @inline(__always)
    private func firstPlace(from start: Int, to end: Int, marks: (UInt64) -> UInt64) -> Int {
        var index = start
        while index &+ 8 <= end {
            let word = unsafe UInt64(littleEndian: loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let found = marks(word)
            if found != 0 { return index &+ found.trailingZeroBitCount / 8 }
            index &+= 8
        }
        if index < end, index &+ 8 <= count {
            // Bytes of the word after the end do not count.
            let word = unsafe UInt64(littleEndian: loadUnaligned(fromByteOffset: index, as: UInt64.self))
            return Swift.min(end, index &+ marks(word).trailingZeroBitCount / 8)
        }
        while index < end {
            // The other bytes of the word are letters; only the first one counts.
            if marks(UInt64(unsafe self[index]) | 0x4141_4141_4141_4100) & 0x80 != 0 { return index }
            index &+= 1
        }
        return end
    }
}
