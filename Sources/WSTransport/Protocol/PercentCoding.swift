/// Percent-encoding of URIs (RFC 3986 §2.1).
package enum PercentCoding {
    /// The decoded text; `nil` for an incomplete escape, or if the bytes are not UTF-8.
    ///
    /// `+` stays a plus.
    package static func decode(_ text: String) -> String? {
        let bytes = text.utf8Span.span
        // Most texts have nothing to decode.
        let escape = firstEscape(bytes)
        return escape == bytes.count ? text : decode(bytes, from: escape, plus: UInt8(ascii: "+"))
    }

    /// The same for a part of a text.
    package static func decode(_ text: Substring) -> String? { decode(String(text)) }

    /// The names and values of a query, in order; `nil` if one of them cannot be decoded.
    ///
    /// `+` becomes a space. A name without `=` has an empty value; empty pairs are omitted.
    package static func decodeQuery(_ query: String) -> [(name: String, value: String)]? {
        var pairs: [(name: String, value: String)] = []
        // Bytes, because searching for characters would cost twenty times as much.
        let bytes = query.utf8Span.span
        var start = 0
        while start < bytes.count {
            var (end, equals) = (start, Int.max)
            while end < bytes.count, bytes[end] != UInt8(ascii: "&") {
                if bytes[end] == UInt8(ascii: "="), equals == .max { equals = end }
                end &+= 1
            }
            if end > start {
                let value = equals == .max ? end..<end : equals &+ 1..<end
                guard let name = decodePart(bytes.extracting(start..<min(equals, end))),
                    let value = decodePart(bytes.extracting(value))
                else { return nil }
                pairs.append((name, value))
            }
            start = end &+ 1
        }
        return pairs
    }

    /// Encodes `text` as one segment of a path or one part of a query: escapes all but unreserved characters, also `/`.
    package static func encode(_ text: String) -> String { encode(text, keeping: nil) }

    /// Encodes `text` as a path: as ``encode(_:)``, but keeps `/`.
    package static func encodePath(_ text: String) -> String { encode(text, keeping: UInt8(ascii: "/")) }

    /// Decodes a part of a query, which is cut from a text at ASCII characters.
    private static func decodePart(_ bytes: Span<UInt8>) -> String? {
        let escape = firstEscape(bytes)
        guard escape < bytes.count else { return unsafe String(copying: UTF8Span(unchecked: bytes)) }
        return decode(bytes, from: escape, plus: .space)
    }

    /// The index of the first `%` or `+`; the count if there is none.
    private static func firstEscape(_ bytes: Span<UInt8>) -> Int {
        var index = 0
        while index < bytes.count, bytes[index] != UInt8(ascii: "%"), bytes[index] != UInt8(ascii: "+") { index &+= 1 }
        return index
    }

    private static func decode(_ bytes: Span<UInt8>, from escape: Int, plus: UInt8) -> String? {
        var index = escape
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
