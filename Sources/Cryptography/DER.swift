internal import WSTransport

/// The few ASN.1 types that keys and signatures need, as DER (X.690).
enum DER {
    /// A sequence of encoded parts.
    static func sequence(_ parts: [UInt8]...) -> [UInt8] { tagged(0x30, parts.flatMap { $0 }) }

    /// A bit string of whole bytes.
    static func bits(_ bytes: [UInt8]) -> [UInt8] { tagged(0x03, [0] + bytes) }

    /// An integer that is not negative, from its bytes, the highest first.
    static func integer(_ bytes: some Collection<UInt8>) -> [UInt8] {
        let digits = bytes.drop { $0 == 0 }
        guard let first = digits.first else { return [0x02, 1, 0] }
        return tagged(0x02, (first < 0x80 ? [] : [0]) + digits)
    }

    private static func tagged(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var size: [UInt8] = []
        var rest = content.count
        while rest > 0 {
            size.insert(UInt8(truncatingIfNeeded: rest), at: 0)
            rest >>= 8
        }
        if content.count < 0x80 { return [tag, UInt8(content.count)] + content }
        return [tag, 0x80 | UInt8(size.count)] + size + content
    }

    /// The two numbers of an ECDSA signature, each as `size` bytes; `nil` if `der` is not one, or a number is longer.
    static func numbers(ofSignature der: [UInt8], size: Int) -> [UInt8]? {
        // Neither is longer than 49 bytes, so each length is one byte.
        guard der.count >= 2, der[0] == 0x30, Int(der[1]) == der.count - 2 else { return nil }
        var (numbers, index) = ([UInt8](), 2)
        for _ in 0..<2 {
            guard index + 2 <= der.count, der[index] == 0x02, index + 2 + Int(der[index + 1]) <= der.count else {
                return nil
            }
            let digits = der[index + 2..<index + 2 + Int(der[index + 1])].drop { $0 == 0 }
            guard digits.count <= size else { return nil }
            numbers += [UInt8](repeating: 0, count: size - digits.count) + digits
            index += 2 + Int(der[index + 1])
        }
        return index == der.count ? numbers : nil
    }

    static let rsaEncryption: [UInt8] = [
        0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
    ]
    static let p256: [UInt8] = [
        0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D,
        0x03,
        0x01, 0x07,
    ]
    static let p384: [UInt8] = [
        0x30, 0x10, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22,
    ]
    static let ed25519: [UInt8] = [0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70]
}

/// A block of a PEM file (RFC 7468).
struct PEMBlock: Equatable {
    /// The label, such as `PUBLIC KEY`.
    let label: String
    let bytes: [UInt8]

    /// All blocks of a text; text between them is ignored.
    static func all(in text: String) throws(KeyError) -> [PEMBlock] {
        var blocks: [PEMBlock] = []
        var open: (label: Substring, body: String)?
        for line in text.split(whereSeparator: \.isNewline) {
            let line = line.trimmingSpaces
            if line.hasPrefix("-----BEGIN "), line.hasSuffix("-----"), open == nil {
                open = (line.dropFirst(11).dropLast(5), "")
            } else if line.hasPrefix("-----END "), let (label, body) = open {
                guard line.dropFirst(9) == "\(label)-----" else { throw KeyError("a block of PEM does not end") }
                guard let bytes = Base64.decode(body), !bytes.isEmpty else {
                    throw KeyError("a block of PEM holds no Base64, or is encrypted")
                }
                blocks.append(PEMBlock(label: String(label), bytes: bytes))
                open = nil
            } else if open != nil {
                open?.body += line
            }
        }
        guard open == nil else { throw KeyError("a block of PEM does not end") }
        return blocks
    }
}

extension Substring {
    fileprivate var trimmingSpaces: Substring {
        var line = self.drop { $0 == " " || $0 == "\t" }
        while line.last == " " || line.last == "\t" { line.removeLast() }
        return line
    }
}
