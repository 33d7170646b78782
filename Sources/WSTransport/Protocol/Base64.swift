/// Base64, read strictly (RFC 4648).
package enum Base64 {
    /// The 64 characters, and whether the text is padded.
    package enum Alphabet: Sendable {
        /// With `+` and `/`, padded by `=` (RFC 4648 §4).
        case standard
        /// With `+` and `/`, not padded, as in the strings of password hashes.
        case unpadded
        /// With `-` and `_`, not padded, as in JSON Web Tokens (RFC 4648 §5, RFC 7515 §2).
        case url

        fileprivate var lastTwo: (UInt8, UInt8) {
            switch self {
            case .standard, .unpadded: (UInt8(ascii: "+"), UInt8(ascii: "/"))
            case .url: (UInt8(ascii: "-"), UInt8(ascii: "_"))
            }
        }
    }

    /// The text for `bytes`.
    package static func encode(_ bytes: [UInt8], alphabet: Alphabet = .standard) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count / 3 + 1) * 4)
        append(bytes, alphabet, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends the text for `bytes`.
    static func append(_ bytes: [UInt8], _ alphabet: Alphabet = .standard, to text: inout [UInt8]) {
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count &- index)
            let second = count > 1 ? UInt32(bytes[index &+ 1]) : 0
            let third = count > 2 ? UInt32(bytes[index &+ 2]) : 0
            let group = UInt32(bytes[index]) &<< 16 | second &<< 8 | third
            text.append(character(group &>> 18, alphabet))
            text.append(character(group &>> 12, alphabet))
            if count > 1 { text.append(character(group &>> 6, alphabet)) }
            if count > 2 { text.append(character(group, alphabet)) }
            for _ in count..<3 where alphabet == .standard { text.append(UInt8(ascii: "=")) }
            index &+= 3
        }
    }

    /// The bytes that `text` encodes.
    ///
    /// `nil` for a character outside the alphabet (line ends too), padding that is missing, surplus or misplaced, and
    /// leftover bits that are not zero: each value has exactly one text.
    package static func decode(_ text: some StringProtocol, alphabet: Alphabet = .standard) -> [UInt8]? {
        var characters = Array(text.utf8)
        if alphabet == .standard {
            guard characters.count % 4 == 0 else { return nil }
            if characters.last == UInt8(ascii: "=") { characters.removeLast() }
            if characters.last == UInt8(ascii: "=") { characters.removeLast() }
        }
        guard characters.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(characters.count / 4 * 3 + 2)
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for character in characters {
            guard let value = value(of: character, alphabet) else { return nil }
            bits = (bits << 6 | UInt32(value)) & 0xFFFF
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
            }
        }
        guard bits & ((1 << bitCount) - 1) == 0 else { return nil }
        return bytes
    }

    /// That of the six lowest bits.
    @inline(__always)
    private static func character(_ bits: UInt32, _ alphabet: Alphabet) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: bits & 0x3F)
        return switch value {
        case 0..<26: value &+ UInt8(ascii: "A")
        case 26..<52: value &- 26 &+ UInt8(ascii: "a")
        case 52..<62: value &- 52 &+ UInt8(ascii: "0")
        case 62: alphabet.lastTwo.0
        default: alphabet.lastTwo.1
        }
    }

    /// How many bytes the characters of a padded text of the standard alphabet stand for; `nil` where they stand for none.
    package static func byteCount(_ characters: Span<UInt8>) -> Int? {
        guard characters.count % 4 == 0 else { return nil }
        var count = characters.count
        for _ in 0..<2 where count > 0 && characters[count - 1] == UInt8(ascii: "=") { count -= 1 }
        guard count % 4 != 1 else { return nil }
        for index in 0..<count where !isCharacter(characters[index]) { return nil }
        let last = count > 0 ? value(of: characters[count &- 1], .standard) ?? 0 : 0
        // What is left of the last character's bits is zero.
        let left: UInt8 = count % 4 == 2 ? 0x0F : count % 4 == 3 ? 0x03 : 0
        return last & left == 0 ? count * 3 / 4 : nil
    }

    /// Whether it is a character of the standard alphabet.
    @inline(__always)
    private static func isCharacter(_ byte: UInt8) -> Bool {
        // + / 0 to 9, A to Z a to z.
        let bits: UInt64 = byte < 0x40 ? 0x03FF_8800_0000_0000 : byte < 0x80 ? 0x07FF_FFFE_07FF_FFFE : 0
        return bits &>> UInt64(byte) & 1 != 0
    }

    private static func value(of character: UInt8, _ alphabet: Alphabet) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
        case alphabet.lastTwo.0: 62
        case alphabet.lastTwo.1: 63
        default: nil
        }
    }
}
