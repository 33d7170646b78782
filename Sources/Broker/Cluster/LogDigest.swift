/// A checksum of bytes and of decisions about them.
///
/// It detects damage, and brokers whose states differ; it does not protect against forgery.
package struct LogDigest: Equatable, Sendable {
    package private(set) var value: UInt64

    package init(_ value: UInt64 = 0xCBF2_9CE4_8422_2325) { self.value = value }

    /// Adds a number.
    package mutating func add(_ number: UInt64) {
        value = (value ^ number) &* 0x9E37_79B9_7F4A_7C15
        value ^= value >> 29
    }

    /// Adds bytes, eight at a time, and their number.
    package mutating func add(_ bytes: Span<UInt8>) {
        var offset = 0
        while bytes.count - offset >= 8 {
            add(unsafe bytes.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian)
            offset += 8
        }
        var last: UInt64 = 0
        for index in offset..<bytes.count { last = last << 8 | UInt64(bytes[index]) }
        add(last)
        add(UInt64(bytes.count))
    }
}
