/// Percent-encoding of URIs (RFC 3986 §2.1).
package enum PercentCoding {
    /// The decoded text; `nil` for an incomplete escape, or if the bytes are not UTF-8.
    ///
    /// `+` stays a plus.
    package static func decode(_ text: String) -> String? { decode(text, plus: UInt8(ascii: "+")) }

    /// The same for a part of a text.
    package static func decode(_ text: Substring) -> String? { decode(String(text)) }

    /// The names and values of a query, in order; `nil` if one of them cannot be decoded.
    ///
    /// `+` becomes a space. A name without `=` has an empty value; empty pairs are omitted.
    package static func decodeQuery(_ query: String) -> [(name: String, value: String)]? {
        var pairs: [(name: String, value: String)] = []
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = decode(String(parts[0]), plus: .space),
                let value = decode(parts.count == 2 ? String(parts[1]) : "", plus: .space)
            else { return nil }
            pairs.append((name, value))
        }
        return pairs
    }

    /// Encodes `text` as one segment of a path or one part of a query: escapes all but unreserved characters, also `/`.
    package static func encode(_ text: String) -> String { encode(text, keeping: nil) }

    /// Encodes `text` as a path: as ``encode(_:)``, but keeps `/`.
    package static func encodePath(_ text: String) -> String { encode(text, keeping: UInt8(ascii: "/")) }

    private static func decode(_ text: String, plus: UInt8) -> String? {
        let bytes = text.utf8Span.span
        // Most texts have nothing to decode.
        var index = 0
        while index < bytes.count, bytes[index] != UInt8(ascii: "%"), bytes[index] != UInt8(ascii: "+") { index &+= 1 }
        if index == bytes.count { return text }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(bytes.count)
        for place in 0..<index { decoded.append(bytes[place]) }
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "%"):
                guard bytes.count - index > 2, let high = bytes[index + 1].hexadecimalValue,
                    let low = bytes[index + 2].hexadecimalValue
                else { return nil }
                decoded.append(high << 4 | low)
                index += 2
            case UInt8(ascii: "+"): decoded.append(plus)
            case let byte: decoded.append(byte)
            }
            index += 1
        }
        return String(validating: decoded, as: UTF8.self)
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
