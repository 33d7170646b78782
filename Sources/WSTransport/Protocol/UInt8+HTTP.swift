/// Classes of characters in HTTP (RFC 9110 §5.6).
extension UInt8 {
    static let carriageReturn: UInt8 = 0x0D
    static let lineFeed: UInt8 = 0x0A
    static let space: UInt8 = 0x20
    static let tab: UInt8 = 0x09

    /// Whether it is `0` to `9`.
    var isDigit: Bool { self >= 0x30 && self <= 0x39 }

    /// Whether it is an ASCII letter.
    var isLetter: Bool { (self | 0x20) >= 0x61 && (self | 0x20) <= 0x7A }

    /// Whether it is allowed in a method, field name or list element: `tchar`.
    @inline(__always)
    var isTokenCharacter: Bool {
        // ! # to ' * + - . 0 to 9, A to Z ^ to z | ~.
        isIn(0x03FF_6CFA_0000_0000, 0x57FF_FFFF_C7FF_FFFE)
    }

    /// Whether its bit is set: in `low` if it is below 64, in `high` if it is below 128.
    @inline(__always)
    private func isIn(_ low: UInt64, _ high: UInt64) -> Bool {
        let bits = self < 0x40 ? low : self < 0x80 ? high : 0
        return bits &>> UInt64(self) & 1 != 0
    }

    /// Whether it is allowed in a field value: anything but a control character other than HTAB.
    var isFieldCharacter: Bool { self >= 0x20 ? self != 0x7F : self == .tab }

    /// Whether it is allowed in the authority of a target: visible ASCII without the delimiters of other parts.
    var isHostCharacter: Bool {
        // ! $ to + - . 0 to ; =, A to [ ] _ a to z ~.
        isIn(0x2FFF_6FF2_0000_0000, 0x47FF_FFFE_AFFF_FFFE)
    }

    /// The lower-case letter if it is an upper-case ASCII letter; otherwise itself.
    var lowercasedASCII: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }

    /// The value of a hexadecimal digit; `nil` for other characters.
    var hexadecimalValue: UInt8? {
        switch self {
        case 0x30...0x39: self &- 0x30
        case 0x41...0x46: self &- 0x37
        case 0x61...0x66: self &- 0x57
        default: nil
        }
    }
}

extension StringProtocol {
    /// Whether both are equal, ignoring the case of ASCII letters.
    func isSameIgnoringCase(_ other: some StringProtocol) -> Bool {
        utf8.count == other.utf8.count
            && utf8.elementsEqual(other.utf8) { $0 == $1 || $0.lowercasedASCII == $1.lowercasedASCII }
    }

    /// A copy with upper-case ASCII letters made lower case.
    func lowercasedASCII() -> String {
        String(decoding: utf8.map(\.lowercasedASCII), as: UTF8.self)
    }

    /// Whether it is one `token`: not empty, and only token characters.
    var isToken: Bool { !utf8.isEmpty && utf8.allSatisfy(\.isTokenCharacter) }
}

extension BidirectionalCollection<UInt8> {
    /// A copy without leading and trailing spaces and tabs (RFC 9110 §5.6.3).
    func trimmingWhitespace() -> SubSequence {
        let isBlack = { (byte: UInt8) in byte != .space && byte != .tab }
        guard let start = firstIndex(where: isBlack), let last = lastIndex(where: isBlack) else {
            return self[endIndex...]
        }
        return self[start...last]
    }
}

extension [UInt8] {
    /// Appends a text that is written in the source.
    @inline(__always)
    mutating func append(_ text: StaticString) {
        unsafe append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends a number that is not negative, in decimal.
    mutating func append(decimal number: Int) {
        var divisor = 1
        while number / divisor >= 10 { divisor &*= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number / divisor % 10))
            divisor /= 10
        }
    }
}
