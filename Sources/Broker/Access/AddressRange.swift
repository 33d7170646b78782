internal import Glibc

/// A network, such as `10.0.0.0/8` or `fd00::/8`, or a single address.
package struct AddressRange: Sendable, Hashable, CustomStringConvertible {
    /// The 128 bits of an address; an IPv4 address is stored as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
    struct Bits: Sendable, Hashable {
        var high: UInt64
        var low: UInt64

        /// Parses an address; `nil` if the text is not one.
        init?(_ text: String) {
            guard text.contains(":") else {
                var four = in_addr()
                guard unsafe inet_pton(AF_INET, text, &four) == 1 else { return nil }
                high = 0
                low = 0xFFFF_0000_0000 | UInt64(four.s_addr.bigEndian)
                return
            }
            var six = in6_addr()
            guard unsafe inet_pton(AF_INET6, text, &six) == 1 else { return nil }
            (high, low) = unsafe withUnsafeBytes(of: six) { bytes in
                unsafe (
                    bytes.loadUnaligned(as: UInt64.self).bigEndian,
                    bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self).bigEndian
                )
            }
        }

        /// The first `length` bits; the others are 0.
        func first(_ length: Int) -> Bits {
            var bits = self
            bits.high &= ~(UInt64.max >> UInt64(length))
            bits.low &= ~(UInt64.max >> UInt64(max(0, length - 64)))
            return bits
        }
    }

    let bits: Bits
    /// The prefix length in bits, of 128 for IPv4 too.
    let length: Int
    /// The text as written; a prefix length that covers the whole address is left out.
    package let description: String

    /// Parses a network or an address; `nil` if the text is neither, or if bits after the prefix are set.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard 1...2 ~= parts.count, let bits = Bits(String(parts[0])) else { return nil }
        let most = parts[0].contains(":") ? 128 : 32
        var length = most
        if parts.count == 2 {
            guard let stated = Int(parts[1]), 0...most ~= stated, parts[1].utf8.first != UInt8(ascii: "+") else {
                return nil
            }
            length = stated
        }
        self.bits = bits
        self.length = length + 128 - most
        description = length == most ? String(parts[0]) : "\(parts[0])/\(length)"
        guard bits.first(self.length) == bits else { return nil }
    }

    /// Whether an address, without a port, is in the network.
    package func contains(_ text: String) -> Bool { Bits(text).map { $0.first(length) == bits } ?? false }

    package static func == (left: Self, right: Self) -> Bool { left.bits == right.bits && left.length == right.length }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(bits)
        hasher.combine(length)
    }
}
