internal import CSIMD

extension JSONScanner {
    /// Reads a string; the scanner is at its quotation mark.
    ///
    /// RFC 8259 §7. Also checks the UTF-8, and that `\u` escapes form complete surrogate pairs, so that decoding
    /// cannot fail.
    mutating func scanString() throws(JSONError) -> JSONValue.Extent {
        let start = offset
        var position = bytes.skipPlainWord(from: start + 1)
        if position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
            // Most names and many values end within eight bytes.
            move(to: position + 1)
            return JSONValue.Extent(range: start..<position + 1, kind: .string)
        }
        var isEscaped = false
        while true {
            position = bytes.skipPlain(from: position)
            guard position < bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") { break }
            if byte == UInt8(ascii: "\\") {
                isEscaped = true
                position = try skipEscape(at: position)
            } else if byte < 0x20 {
                throw JSONError(.controlCharacter(byte), at: position)
            } else {
                let length = bytes.scalarLength(at: position)
                guard length > 0 else { throw JSONError(.notUTF8, at: position) }
                position += length
            }
        }
        move(to: position + 1)
        return JSONValue.Extent(range: start..<position + 1, kind: .string, isEscaped: isEscaped)
    }

    /// The offset after the escape at `start`.
    private func skipEscape(at start: Int) throws(JSONError) -> Int {
        guard start + 1 < bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
        switch bytes[start + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return start + 2
        case UInt8(ascii: "u"): break
        default: throw JSONError(.malformedEscape, at: start)
        }
        let first = try codeUnit(at: start + 2, ofEscapeAt: start)
        guard UTF16.isSurrogate(first) else { return start + 6 }
        guard UTF16.isLeadSurrogate(first) else { throw JSONError(.loneSurrogate, at: start) }
        for (place, expected) in zip(start + 6...start + 7, "\\u".utf8) {
            guard place < bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
            guard bytes[place] == expected else { throw JSONError(.loneSurrogate, at: start) }
        }
        let second = try codeUnit(at: start + 8, ofEscapeAt: start + 6)
        guard UTF16.isTrailSurrogate(second) else { throw JSONError(.loneSurrogate, at: start) }
        return start + 12
    }

    private func codeUnit(at start: Int, ofEscapeAt escape: Int) throws(JSONError) -> UInt16 {
        for position in start..<start + 4 {
            guard position < bytes.count else { throw JSONError(.unexpectedEnd, at: bytes.count) }
            guard bytes[position].hexadecimalDigit != nil else { throw JSONError(.malformedEscape, at: escape) }
        }
        return bytes.codeUnit(at: start)
    }
}

extension Span where Element == UInt8 {
    /// The first offset from `start` on with a byte that needs special treatment in a string; `count` if there is none.
    ///
    /// That is a quotation mark, a backslash, a control character or a byte of a longer scalar.
    func skipPlain(from start: Int) -> Int {
        guard start < count else { return count }
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return start }
            return unsafe start &+ json_plain(base + start, count &- start)
        }
    }

    /// Whether it contains a line end.
    var hasLineEnd: Bool {
        unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return false }
            return unsafe json_line(base, count) < count
        }
    }

    /// The length of the number at `start`, if it has a few digits and at most a point among them; 0 if it may be
    /// longer.
    @inline(__always)
    func lengthOfShortNumber(at start: Int) -> Int {
        guard count &- start > 8 else { return 0 }
        let digits = word(at: start, count: 8) ^ 0x3030_3030_3030_3030
        let low: UInt64 = 0x7F7F_7F7F_7F7F_7F7F
        // The high bit of each byte that is not a digit, and then of each that is neither a digit nor the first point.
        let others = ((digits & low) &+ 0x7676_7676_7676_7676 | digits) & ~low
        let whole = others.trailingZeroBitCount
        // There is no digit, or a zero is followed by another digit.
        guard whole > 8, whole < 64, whole == 15 || UInt8(truncatingIfNeeded: digits) != 0 else { return 0 }
        var length = whole &>> 3
        if UInt8(truncatingIfNeeded: digits &>> UInt64(whole &- 7)) == UInt8(ascii: ".") ^ 0x30 {
            let all = (others & (others &- 1)).trailingZeroBitCount &>> 3
            guard all < 8, all &- length > 1 else { return 0 }
            length = all
        }
        // A number that may continue is left to the other reader.
        let following = self[start &+ length] | 0x20
        return following == UInt8(ascii: "e") || following == UInt8(ascii: ".") ? 0 : length
    }

    /// The same within the next eight bytes; `start`, or the offset after them, if that is not known.
    @inline(__always)
    func skipPlainWord(from start: Int) -> Int {
        guard count &- start >= 8 else { return start }
        let word = unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self))
        // If there is none, 64 trailing zeros are the length of the word.
        return start &+ Self.special(word).trailingZeroBitCount / 8
    }

    /// The high bit of the lowest byte of `word` that needs special treatment; those of bytes above it may be wrong.
    @inline(__always)
    private static func special(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ (ones &* UInt64(UInt8(ascii: "\"")))
        let backslashes = word ^ (ones &* UInt64(UInt8(ascii: "\\")))
        // Each term sets the high bit of the bytes that qualify. A borrow may also set it, but only above such a byte.
        return (word | (quotes &- ones) | (backslashes &- ones) | (word &- ones &* 0x20)) & Self.highBits
    }

    private static var highBits: UInt64 { 0x8080_8080_8080_8080 }

    /// The length of the scalar at `start`, in bytes; 0 if there is no well-formed one (Unicode 3.9, table 3-7).
    func scalarLength(at start: Int) -> Int {
        let first = self[start]
        if first < 0x80 { return 1 }
        let length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        guard (0xC2...0xF4).contains(first), start + length <= count else { return 0 }
        let second = self[start + 1]
        let allowed: ClosedRange<UInt8> =
            switch first {
            case 0xE0: 0xA0...0xBF
            case 0xED: 0x80...0x9F
            case 0xF0: 0x90...0xBF
            case 0xF4: 0x80...0x8F
            default: 0x80...0xBF
            }
        guard allowed.contains(second) else { return 0 }
        for position in start + 2..<start + length where self[position] & 0xC0 != 0x80 { return 0 }
        return length
    }

    /// The value of the four hexadecimal digits at `start`, which must be valid.
    fileprivate func codeUnit(at start: Int) -> UInt16 {
        var unit: UInt16 = 0
        for position in start..<start + 4 { unit = unit << 4 | UInt16(self[position].hexadecimalDigit ?? 0) }
        return unit
    }

    /// The decoded bytes of a string; `range` is between its quotation marks and has been scanned.
    func unescaped(_ range: Range<Int>) -> [UInt8] {
        // No escape is shorter than what it stands for.
        [UInt8](capacity: range.count) { (decoded: inout OutputSpan<UInt8>) in
            var position = range.lowerBound
            while position < range.upperBound {
                let byte = self[position]
                position &+= 1
                if byte == UInt8(ascii: "\\") {
                    position = appendEscape(at: position, to: &decoded)
                } else {
                    decoded.append(byte)
                }
            }
        }
    }

    /// Appends what an escape stands for; returns the offset after it.
    ///
    /// - Parameter start: the offset after its backslash.
    @inline(__always)
    private func appendEscape(at start: Int, to decoded: inout OutputSpan<UInt8>) -> Int {
        switch self[start] {
        case UInt8(ascii: "b"): decoded.append(0x08)
        case UInt8(ascii: "f"): decoded.append(0x0C)
        case UInt8(ascii: "n"): decoded.append(0x0A)
        case UInt8(ascii: "r"): decoded.append(0x0D)
        case UInt8(ascii: "t"): decoded.append(0x09)
        case UInt8(ascii: "u"):
            let unit = UInt32(codeUnit(at: start &+ 1))
            guard unit & 0xFC00 == 0xD800 else {
                decoded.append(scalar: unit)
                return start &+ 5
            }
            // The first half of a pair; the other one follows after a backslash and a u.
            let other = UInt32(codeUnit(at: start &+ 7))
            decoded.append(scalar: 0x10000 &+ (unit & 0x3FF) &<< 10 &+ (other & 0x3FF))
            return start &+ 11
        case let character: decoded.append(character)
        }
        return start &+ 1
    }
}

extension OutputSpan where Element == UInt8 {
    /// Appends the UTF-8 of a scalar (RFC 3629 §3).
    @inline(__always)
    fileprivate mutating func append(scalar: UInt32) {
        func byte(_ mark: UInt8, _ shift: UInt32) -> UInt8 { mark | UInt8(truncatingIfNeeded: scalar &>> shift) }
        func rest(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(truncatingIfNeeded: scalar &>> shift) & 0x3F }
        if scalar < 0x80 { return append(byte(0, 0)) }
        if scalar < 0x800 {
            append(byte(0xC0, 6))
        } else if scalar < 0x10000 {
            append(byte(0xE0, 12))
            append(rest(6))
        } else {
            append(byte(0xF0, 18))
            append(rest(12))
            append(rest(6))
        }
        append(rest(0))
    }
}

extension UInt8 {
    fileprivate var hexadecimalDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self &- UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self &- UInt8(ascii: "a") &+ 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self &- UInt8(ascii: "A") &+ 10
        default: nil
        }
    }
}
