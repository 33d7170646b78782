/// The content of a load's message, from which a subscriber can tell whether it is the expected one, complete, and how
/// late.
///
/// Text of hexadecimal digits: the publisher's number, the message's number of that publisher, when it was due in
/// monotonic nanoseconds; then filler that is derived from the number.
package struct LoadPayload: Equatable {
    package let publisher: Int
    package let number: Int
    package let due: Int64

    package static let minimumSize = 32
    private static let digits = Array("0123456789abcdef".utf8)

    package init(publisher: Int, number: Int, due: Int64) {
        self.publisher = publisher
        self.number = number
        self.due = due
    }

    /// The payload, `size` bytes long.
    package func encode(size: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: max(size, Self.minimumSize))
        Self.write(UInt64(publisher), 6, to: &bytes, at: 0)
        Self.write(UInt64(number), 10, to: &bytes, at: 6)
        Self.write(UInt64(bitPattern: due), 16, to: &bytes, at: 16)
        for index in Self.minimumSize..<bytes.count { bytes[index] = Self.filler(number, index) }
        return bytes
    }

    /// Reads a payload; `nil` if any byte is not as expected.
    package init?(_ bytes: UnsafeRawBufferPointer, size: Int) {
        guard bytes.count == max(size, Self.minimumSize),
            let publisher = unsafe Self.read(bytes, 0..<6), let number = unsafe Self.read(bytes, 6..<16),
            let due = unsafe Self.read(bytes, 16..<32)
        else { return nil }
        self.init(publisher: Int(publisher), number: Int(number), due: Int64(bitPattern: due))
        for index in Self.minimumSize..<bytes.count where unsafe bytes[index] != Self.filler(self.number, index) {
            return nil
        }
    }

    private static func filler(_ number: Int, _ index: Int) -> UInt8 { digits[(number &+ index) & 15] }

    private static func write(_ value: UInt64, _ count: Int, to bytes: inout [UInt8], at offset: Int) {
        for index in 0..<count {
            bytes[offset + index] = digits[Int(value >> (UInt64(count - 1 - index) * 4) & 15)]
        }
    }

    private static func read(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> UInt64? {
        var value: UInt64 = 0
        for index in range {
            let byte = unsafe bytes[index]
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt64(byte - 0x30)
            case 0x61...0x66: value = value << 4 | UInt64(byte - 0x57)
            default: return nil
            }
        }
        return value
    }
}
