extension Span<UInt8> {
    /// The number whose lowest byte is at `offset`.
    func littleEndian<Number: FixedWidthInteger & UnsignedInteger>(_ type: Number.Type, at offset: Int) -> Number {
        var value: Number = 0
        for index in 0..<Number.bitWidth / 8 {
            value |= Number(truncatingIfNeeded: self[offset + index]) << (8 * index)
        }
        return value
    }

    /// A copy of the bytes in `range`.
    func array(_ range: Range<Int>) -> [UInt8] {
        // An array made for nothing would write its count to the empty array that all threads share.
        guard !range.isEmpty else { return [] }
        let part = extracting(range)
        return unsafe [UInt8](unsafeUninitializedCapacity: part.count) { target, count in
            unsafe part.withUnsafeBufferPointer { source in
                _ = unsafe target.initialize(fromContentsOf: source)
            }
            count = part.count
        }
    }

    /// The number whose highest byte is at `offset`.
    func bigEndian(at offset: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in offset..<offset + 8 { value = value << 8 | UInt64(self[index]) }
        return value
    }
}
