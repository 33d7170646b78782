/// Writes MessagePack onto an array of bytes, front to back.
///
/// Maps and arrays begin without their sizes, which are written at the end: a map of members needs one byte for it,
/// those made from JSON two more. Not the encoder of WSTransportCoding, which encodes types and needs Foundation.
package struct PackedWriter {
    /// The bytes written so far.
    package private(set) var bytes: [UInt8] = []

    package init() {}

    /// Makes a writer with room for `count` bytes.
    package init(capacity count: Int) { bytes.reserveCapacity(count) }

    /// Clears the bytes and keeps the capacity.
    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    // MARK: Values

    package mutating func null() { bytes.append(0xC0) }

    package mutating func bool(_ value: Bool) { bytes.append(value ? 0xC3 : 0xC2) }

    /// Writes an integer in the smallest form that holds it.
    package mutating func integer(_ value: UInt64) {
        switch value {
        case 0..<0x80: bytes.append(UInt8(value))
        case 0..<0x100: append(0xCC, value, count: 1)
        case 0..<0x1_0000: append(0xCD, value, count: 2)
        case 0..<0x1_0000_0000: append(0xCE, value, count: 4)
        default: append(0xCF, value, count: 8)
        }
    }

    /// The same for an integer that may be negative.
    package mutating func integer(_ value: Int64) {
        let bits = UInt64(bitPattern: value)
        switch value {
        case 0...: integer(bits)
        case -32..<0: bytes.append(UInt8(truncatingIfNeeded: bits))
        case -0x80..<0: append(0xD0, bits, count: 1)
        case -0x8000..<0: append(0xD1, bits, count: 2)
        case -0x8000_0000..<0: append(0xD2, bits, count: 4)
        default: append(0xD3, bits, count: 8)
        }
    }

    package mutating func double(_ value: Double) { append(0xCB, value.bitPattern, count: 8) }

    package mutating func string(_ value: String) { string(utf8: value.utf8Span.span) }

    /// Writes a string of UTF-8 bytes, which must be valid.
    package mutating func string(utf8 value: Span<UInt8>) {
        if value.count < 32 {
            bytes.append(0xA0 | UInt8(value.count))
        } else {
            length(value.count, 0xD9, 0xDA, 0xDB)
        }
        append(value)
    }

    /// Writes bytes.
    package mutating func binary(_ value: Span<UInt8>) {
        length(value.count, 0xC4, 0xC5, 0xC6)
        append(value)
    }

    private mutating func length(_ count: Int, _ one: UInt8, _ two: UInt8, _ four: UInt8) {
        let value = UInt64(count)
        switch count {
        case 0..<0x100: append(one, value, count: 1)
        case 0..<0x1_0000: append(two, value, count: 2)
        default: append(four, value, count: 4)
        }
    }

    private mutating func append(_ first: UInt8, _ value: UInt64, count: Int) {
        bytes.append(first)
        for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - index)))) }
    }

    private mutating func append(_ span: Span<UInt8>) {
        unsafe span.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
    }

    // MARK: Members

    /// A map of at most 15 members that is being written.
    package struct Members {
        fileprivate let place: Int
        fileprivate var count = 0
    }

    /// Begins a map of at most 15 members.
    package mutating func beginMembers() -> Members {
        bytes.append(0x80)
        return Members(place: bytes.count - 1)
    }

    /// Writes a member's name; its value comes next.
    package mutating func name(_ name: StaticString, of members: inout Members) {
        members.count += 1
        string(utf8: unsafe UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount).span)
    }

    /// Ends a map.
    package mutating func end(_ members: Members) { bytes[members.place] = 0x80 | UInt8(min(members.count, 15)) }

    // MARK: Containers whose sizes are not known

    /// Begins a map or an array, whose size is written by ``end(_:at:count:)``.
    mutating func beginContainer() -> Int {
        bytes += [0, 0, 0]
        return bytes.count - 3
    }

    /// Ends a container: an array of `count` items, or a map of `count` members.
    mutating func end(_ isMap: Bool, at place: Int, count: Int) {
        guard count >= 0x1_0000 else {
            bytes[place] = isMap ? 0xDE : 0xDC
            bytes[place + 1] = UInt8(truncatingIfNeeded: count >> 8)
            bytes[place + 2] = UInt8(truncatingIfNeeded: count)
            return
        }
        // Hardly any container has so many items that its size needs two more bytes.
        let size = (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) }
        bytes.replaceSubrange(place..<place + 3, with: [isMap ? 0xDF : 0xDD] + size)
    }

    /// Removes everything written from a place on.
    mutating func goBack(to place: Int) { bytes.removeSubrange(place...) }
}
