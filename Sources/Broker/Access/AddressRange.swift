internal import Glibc

/// A network, such as `10.0.0.0/8` or `fd00::/8`, or a single address.
package struct AddressRange: Sendable, Hashable {
    /// 16 bytes; an address of IPv4 as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
    private let address: [UInt8]
    /// The leading bits that count.
    private let length: Int

    /// Reads a network or an address; `nil`: it is neither, or has bits set after its length.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard 1...2 ~= parts.count, let address = Self.bytes(of: String(parts[0])) else { return nil }
        let bits = parts[0].contains(":") ? 128 : 32
        var length = bits
        if parts.count == 2 {
            guard let stated = Int(parts[1]), 0...bits ~= stated, parts[1].utf8.first != UInt8(ascii: "+") else {
                return nil
            }
            length = stated
        }
        self.address = address
        self.length = length + 128 - bits
        guard (self.length..<128).allSatisfy({ !Self.bit($0, of: address) }) else { return nil }
    }

    /// Whether an address, without a port, lies within it.
    package func contains(_ text: String) -> Bool {
        guard let other = Self.bytes(of: text) else { return false }
        return (0..<length).allSatisfy { Self.bit($0, of: address) == Self.bit($0, of: other) }
    }

    private static func bit(_ number: Int, of bytes: [UInt8]) -> Bool {
        bytes[number / 8] & (0x80 >> UInt8(number % 8)) != 0
    }

    private static func bytes(of text: String) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 16)
        if text.contains(":") {
            let isRead = unsafe bytes.withUnsafeMutableBytes { unsafe inet_pton(AF_INET6, text, $0.baseAddress) == 1 }
            return isRead ? bytes : nil
        }
        bytes[10] = 0xFF
        bytes[11] = 0xFF
        let isRead = unsafe bytes.withUnsafeMutableBytes {
            unsafe inet_pton(AF_INET, text, $0.baseAddress?.advanced(by: 12)) == 1
        }
        return isRead ? bytes : nil
    }
}
