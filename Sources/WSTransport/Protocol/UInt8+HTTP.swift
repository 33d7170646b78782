/// Classes of characters in HTTP (RFC 9110 §5.6).
extension UInt8 {
    static let carriageReturn: UInt8 = 0x0D
    static let lineFeed: UInt8 = 0x0A
    static let space: UInt8 = 0x20
    static let tab: UInt8 = 0x09

    /// Whether it is `0` to `9`.
    var isDigit: Bool { self >= 0x30 && self <= 0x39 }

    /// Whether it is a letter of ASCII.
    var isLetter: Bool { (self | 0x20) >= 0x61 && (self | 0x20) <= 0x7A }

    /// Whether it is allowed in a method, field name or list element: `tchar`.
    var isTokenCharacter: Bool {
        switch self {
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x30...0x39, 0x41...0x5A, 0x5E...0x7A, 0x7C, 0x7E: true
        default: false
        }
    }

    /// Whether it is allowed in a field value: anything but a control character other than HTAB.
    var isFieldCharacter: Bool { self >= 0x20 ? self != 0x7F : self == .tab }

    /// Whether it is allowed in the authority of a target: visible ASCII without the delimiters of other parts.
    var isHostCharacter: Bool {
        switch self {
        case 0x21, 0x24...0x2B, 0x2D, 0x2E, 0x30...0x3B, 0x3D, 0x41...0x5B, 0x5D, 0x5F, 0x61...0x7A, 0x7E: true
        default: false
        }
    }

    /// Itself, or the small letter if it is a capital one of ASCII.
    var lowercasedASCII: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }

    /// The value of a hexadecimal digit, `nil` for anything else.
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

    /// A copy with the capital letters of ASCII made small.
    func lowercasedASCII() -> String {
        String(decoding: utf8.map(\.lowercasedASCII), as: UTF8.self)
    }

    /// Whether it is one `token`: not empty, and only token characters.
    var isToken: Bool { !utf8.isEmpty && utf8.allSatisfy(\.isTokenCharacter) }
}

extension BidirectionalCollection<UInt8> {
    /// Itself without leading and trailing spaces and tabs (RFC 9110 §5.6.3).
    func trimmingWhitespace() -> SubSequence {
        let isBlack = { (byte: UInt8) in byte != .space && byte != .tab }
        guard let start = firstIndex(where: isBlack), let last = lastIndex(where: isBlack) else {
            return self[endIndex...]
        }
        return self[start...last]
    }
}
