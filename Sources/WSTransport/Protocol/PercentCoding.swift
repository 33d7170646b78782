/// Percent-encoding of URIs (RFC 3986 §2.1).
package enum PercentCoding {
    /// The decoded text; `nil` for an incomplete escape, or if the bytes are not UTF-8.
    ///
    /// `+` stays a plus.
    package static func decode(_ text: some StringProtocol) -> String? {
        decode(text, plus: UInt8(ascii: "+"))
    }

    /// The names and values of a query, in their order; `nil` where one of them cannot be decoded.
    ///
    /// `+` becomes a space. A name without `=` has an empty value; empty pairs are omitted.
    package static func decodeQuery(_ query: some StringProtocol) -> [(name: String, value: String)]? {
        var pairs: [(name: String, value: String)] = []
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = decode(parts[0], plus: .space),
                let value = decode(parts.count == 2 ? parts[1] : "", plus: .space)
            else { return nil }
            pairs.append((name, value))
        }
        return pairs
    }

    /// `text` as one segment of a path or one part of a query: all but unreserved characters are escaped, `/` too.
    package static func encode(_ text: String) -> String { encode(text, keeping: nil) }

    /// `text` as a path: as ``encode(_:)``, but `/` stays.
    package static func encodePath(_ text: String) -> String { encode(text, keeping: UInt8(ascii: "/")) }

    private static func decode(_ text: some StringProtocol, plus: UInt8) -> String? {
        var text = String(text)
        // Most have nothing to decode.
        let isPlain = text.withUTF8 { bytes in
            unsafe bytes.allSatisfy { $0 != UInt8(ascii: "%") && $0 != UInt8(ascii: "+") }
        }
        if isPlain { return text }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = iterator.next()?.hexadecimalValue, let low = iterator.next()?.hexadecimalValue
                else { return nil }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+"): bytes.append(plus)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func encode(_ text: String, keeping kept: UInt8?) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            let isUnreserved = byte.isLetter || byte.isDigit || "-._~".utf8.contains(byte)
            if isUnreserved || byte == kept {
                bytes.append(byte)
            } else {
                bytes.append(contentsOf: [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 0x0F)]])
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
