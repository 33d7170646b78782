extension String {
    /// Whether both share one piece of memory, or are short and have the same bytes.
    ///
    /// Compares only two words; strings with the same bytes need not be the same.
    @inline(__always)
    func isSame(as other: String) -> Bool { words == other.words }

    /// Its bytes if it is short; otherwise, where they are.
    @inline(__always)
    var words: (UInt64, UInt64) { unsafe unsafeBitCast(self, to: (UInt64, UInt64).self) }

    /// The first byte; `nil` if it is empty.
    @inline(__always)
    var firstByte: UInt8? {
        guard let first = unsafe utf8.withContiguousStorageIfAvailable({ unsafe $0.first }) else { return utf8.first }
        return first
    }
}

extension Span where Element == UInt8 {
    /// Whether both have the same bytes; for strings this is stricter than `==`, which compares by canonical
    /// equivalence.
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

    /// The offset of the first `/` from `start` on; `count` if there is none.
    @inline(__always)
    func endOfLevel(from start: Int) -> Int {
        let slashes: UInt64 = 0x2F2F_2F2F_2F2F_2F2F
        var offset = start
        while offset < count {
            let length = Swift.min(8, count &- offset)
            // Zeros after the end are not slashes.
            let word = word(at: offset, count: length) ^ slashes
            let found = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
            if found != 0 { return offset &+ found.trailingZeroBitCount / 8 }
            offset &+= length
        }
        return offset
    }

    /// How many levels of a topic begin at `start` or after it.
    func levels(from start: Int) -> Int {
        var (levels, end) = (1, endOfLevel(from: start))
        while end < count {
            levels &+= 1
            end = endOfLevel(from: end &+ 1)
        }
        return levels
    }

    /// The `count` bytes at `offset`, at most 8, the first of them in the lowest bits, with zeros above.
    @inline(__always)
    func word(at offset: Int, count: Int) -> UInt64 {
        guard count < 8 else {
            return unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        // If there are eight bytes to load, the unwanted ones are masked off.
        if offset &+ 8 <= self.count {
            let word = unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
            return word & ~(UInt64.max &<< UInt64(truncatingIfNeeded: count &* 8))
        }
        // At the end, the bytes before `offset` are shifted out.
        let end = offset &+ count
        if count > 0, end >= 8 {
            let word = unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: end &- 8, as: UInt64.self))
            return word &>> UInt64(truncatingIfNeeded: 64 &- count &* 8)
        }
        var word: UInt64 = 0
        for index in 0..<count { word |= UInt64(self[offset &+ index]) &<< UInt64(truncatingIfNeeded: index &* 8) }
        return word
    }
}
