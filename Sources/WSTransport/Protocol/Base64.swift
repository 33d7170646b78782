internal import CSIMD

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

        fileprivate var characters: StaticString {
            switch self {
            case .standard, .unpadded: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            case .url: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            }
        }
    }

    /// The text for `bytes`.
    package static func encode(_ bytes: [UInt8], alphabet: Alphabet = .standard) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count / 3 + 1) * 4)
        append(bytes.span, alphabet, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends the text for `bytes`.
    static func append(_ bytes: Span<UInt8>, _ alphabet: Alphabet = .standard, to text: inout [UInt8]) {
        let (characters, groups) = (alphabet.characters, (bytes.count &+ 2) / 3)
        // Built in temporary memory, because appending single characters to an array costs several times as much.
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: groups &* 4) { room in
            let character = { (bits: UInt32) in unsafe characters.utf8Start[Int(bits & 0x3F)] }
            var (index, count) = (0, 0)
            while bytes.count &- index >= 3 {
                let group = UInt32(bytes[index]) &<< 16 | UInt32(bytes[index &+ 1]) &<< 8 | UInt32(bytes[index &+ 2])
                unsafe room[count] = character(group &>> 18)
                unsafe room[count &+ 1] = character(group &>> 12)
                unsafe room[count &+ 2] = character(group &>> 6)
                unsafe room[count &+ 3] = character(group)
                index &+= 3
                count &+= 4
            }
            if index < bytes.count {
                let isPair = bytes.count &- index == 2
                let group = UInt32(bytes[index]) &<< 16 | (isPair ? UInt32(bytes[index &+ 1]) &<< 8 : 0)
                unsafe room[count] = character(group &>> 18)
                unsafe room[count &+ 1] = character(group &>> 12)
                if isPair { unsafe room[count &+ 2] = character(group &>> 6) }
                count &+= isPair ? 3 : 2
                while alphabet == .standard, count < groups &* 4 {
                    unsafe room[count] = UInt8(ascii: "=")
                    count &+= 1
                }
            }
            unsafe text.append(contentsOf: UnsafeBufferPointer(rebasing: room[..<count]))
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

    /// How many bytes the characters of a padded text in the standard alphabet encode; `nil` if they are not valid.
    package static func byteCount(_ characters: Span<UInt8>) -> Int? {
        guard characters.count % 4 == 0 else { return nil }
        var count = characters.count
        for _ in 0..<2 where count > 0 && characters[count - 1] == UInt8(ascii: "=") { count -= 1 }
        guard count % 4 != 1 else { return nil }
        let isBase64 = unsafe characters.withUnsafeBufferPointer { unsafe head_base64($0.baseAddress, count) == count }
        guard isBase64 else { return nil }
        let last = count > 0 ? value(of: characters[count &- 1], .standard) ?? 0 : 0
        // The unused bits of the last character must be zero.
        let left: UInt8 = count % 4 == 2 ? 0x0F : count % 4 == 3 ? 0x03 : 0
        return last & left == 0 ? count * 3 / 4 : nil
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
