internal import COpenSSL

/// A key that verifies the signatures of JSON Web Tokens.
///
/// The key determines which algorithms are accepted, not the token. Any thread.
package struct VerificationKey: Sendable {
    /// The kind of a key, which determines what it can verify.
    package enum Kind: Sendable, Hashable {
        /// A secret that both sides know.
        case secret
        case rsa
        case p256
        case p384
        case ed25519
    }

    private enum Material: Sendable {
        case secret([UInt8])
        case pair(OpenSSLKey)
    }

    package let kind: Kind
    /// A hash that another key is unlikely to have; it differs in each process.
    package let mark: Int
    private let material: Material

    /// Whether it verifies signatures of an algorithm.
    package func fits(_ algorithm: SignatureAlgorithm) -> Bool { algorithm.kind == kind }

    // MARK: Creating

    /// Makes a key from a secret of at least 32 bytes (RFC 7518 §3.2).
    ///
    /// A key of another kind is refused: a public key, which anyone may know, must not be used as a secret.
    package init(secret: [UInt8]) throws(KeyError) {
        guard secret.count >= 32 else { throw KeyError("a secret has 32 bytes at least") }
        guard !secret.contains("-----BEGIN ".utf8) else { throw KeyError("a PEM file is no secret") }
        guard !Self.isPublicKey(secret) else { throw KeyError("a public key is no secret") }
        kind = .secret
        mark = secret.hashValue
        material = .secret(secret)
    }

    /// Whether bytes are a public key or a certificate as DER, an SSH key, or a JSON Web Key, all of which others may
    /// know.
    private static func isPublicKey(_ bytes: [UInt8]) -> Bool {
        let text = bytes.drop { " \t\r\n".utf8.contains($0) }
        if text.first == UInt8(ascii: "{"), bytes.contains("\"kty\"".utf8) { return true }
        let names = ["ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-nistp"]
        if names.contains(where: { text.starts(with: $0.utf8) }) { return true }
        if (try? OpenSSLKey(subjectPublicKeyInfo: bytes)) != nil { return true }
        return (try? OpenSSLKey(certificate: bytes)) != nil
    }

    /// An RSA key, of 2,048 to 8,192 bits.
    ///
    /// - Parameters:
    ///   - modulus: the bytes of the modulus, the highest first.
    ///   - exponent: those of the exponent; it must be odd, above 2, and at most 8 bytes long, or verifying would take
    ///     long.
    package init(modulus: [UInt8], exponent: [UInt8]) throws(KeyError) {
        // Checked before OpenSSL computes with them.
        guard modulus.drop(while: { $0 == 0 }).count <= 1024 else { throw KeyError.size }
        guard exponent.drop(while: { $0 == 0 }).count <= 8 else { throw KeyError.exponent }
        let numbers = DER.sequence(DER.integer(modulus), DER.integer(exponent))
        try self.init(subjectPublicKeyInfo: DER.sequence(DER.rsaEncryption, DER.bits(numbers)))
    }

    /// Makes a key from a point of P-256 or P-384, with coordinates of full length (RFC 7518 §6.2.1.2).
    package init(x: [UInt8], y: [UInt8], on kind: Kind) throws(KeyError) {
        let (size, curve) =
            switch kind {
            case .p256: (32, DER.p256)
            case .p384: (48, DER.p384)
            default: (0, [])
            }
        guard size > 0, x.count == size, y.count == size else {
            throw KeyError("the coordinates have the wrong length for their curve")
        }
        try self.init(subjectPublicKeyInfo: DER.sequence(curve, DER.bits([0x04] + x + y)))
    }

    /// Makes an Ed25519 key from its 32 bytes.
    package init(ed25519: [UInt8]) throws(KeyError) {
        guard ed25519.count == 32 else { throw KeyError("an Ed25519 key has 32 bytes") }
        try self.init(subjectPublicKeyInfo: DER.sequence(DER.ed25519, DER.bits(ed25519)))
    }

    /// A key as DER (RFC 5280 §4.1.2.7).
    init(subjectPublicKeyInfo: [UInt8]) throws(KeyError) {
        try self.init(try OpenSSLKey(subjectPublicKeyInfo: subjectPublicKeyInfo))
    }

    private init(_ key: OpenSSLKey) throws(KeyError) {
        kind = try key.kind()
        try key.check(kind)
        mark = key.subjectPublicKeyInfo.hashValue
        material = .pair(key)
    }

    /// The public keys of a PEM file, including those of certificates; at most 32.
    ///
    /// A certificate is only a container here: neither its dates nor its authority are checked.
    package static func all(pem text: String) throws(KeyError) -> [VerificationKey] {
        var keys: [VerificationKey] = []
        for block in try PEMBlock.all(in: text) {
            switch block.label {
            case "PUBLIC KEY": keys.append(try VerificationKey(subjectPublicKeyInfo: block.bytes))
            case "CERTIFICATE": keys.append(try VerificationKey(try OpenSSLKey(certificate: block.bytes)))
            case let label where label.hasSuffix("PRIVATE KEY"):
                throw KeyError("this is a private key: give the broker the public one (openssl pkey -pubout)")
            default: throw KeyError("expected blocks PUBLIC KEY or CERTIFICATE")
            }
            guard keys.count <= 32 else { throw KeyError("more than 32 keys") }
        }
        guard !keys.isEmpty else { throw KeyError("expected a PEM file with a PUBLIC KEY or a CERTIFICATE") }
        return keys
    }

    // MARK: Verifying

    /// Whether a signature is valid for a message; `false` also if the algorithm is for keys of another kind.
    package func verifies(
        _ signature: Span<UInt8>, of message: Span<UInt8>, by algorithm: SignatureAlgorithm
    ) -> Bool {
        guard fits(algorithm) else { return false }
        switch material {
        case .secret(let secret):
            let code: [UInt8]
            do throws(CryptographyError) {
                code = try algorithm.hash?.authenticate(message, key: secret.span) ?? []
            } catch {
                return false
            }
            return !code.isEmpty && Secret.areEqual(code.span, signature)
        case .pair(let key):
            switch kind {
            case .p256: return key.verifiesPoint(signature, size: 32, of: message, by: algorithm)
            case .p384: return key.verifiesPoint(signature, size: 48, of: message, by: algorithm)
            default: return key.verifies(signature, of: message, by: algorithm)
            }
        }
    }
}

extension OpenSSLKey {
    /// Verifies a signature of two numbers above zero, one after the other, each of exactly `size` bytes (RFC 7518
    /// §3.4).
    fileprivate func verifiesPoint(
        _ signature: Span<UInt8>, size: Int, of message: Span<UInt8>, by algorithm: SignatureAlgorithm
    ) -> Bool {
        guard signature.count == 2 * size else { return false }
        let bytes = signature.indices.map { signature[$0] }
        let (first, second) = (bytes[..<size], bytes[size...])
        // OpenSSL checks this, too; an implementation that did not became famous (CVE-2022-21449).
        guard first.contains(where: { $0 != 0 }), second.contains(where: { $0 != 0 }) else { return false }
        return verifies(DER.sequence(DER.integer(first), DER.integer(second)).span, of: message, by: algorithm)
    }
}

extension KeyError {
    fileprivate static let size = KeyError("an RSA key has 2,048 to 8,192 bits")
    fileprivate static let exponent = KeyError("the exponent of an RSA key is odd, above 2 and has 8 bytes at most")
}

extension OpenSSLKey {
    /// Refuses a key that is too weak, too slow, or invalid.
    fileprivate func check(_ kind: VerificationKey.Kind) throws(KeyError) {
        if kind == .rsa {
            guard 2048...8192 ~= bitCount else { throw .size }
            guard let exponent, exponent > 2, exponent % 2 == 1 else { throw .exponent }
            guard !hasPredictablePrimes else {
                throw KeyError("the RSA key comes from a faulty generator (CVE-2017-15361): make another")
            }
        }
        // OpenSSL checks nothing of an Ed25519 key.
        let isGood = kind == .ed25519 ? !Ed25519.isWeak(subjectPublicKeyInfo.suffix(32)) : isConsistent
        guard isGood else { throw KeyError("the numbers of the key do not fit together") }
    }
}

private enum Ed25519 {
    /// The y coordinates of the points of small order: anyone can sign for a key that is one of them (RFC 8032 §5.1.3,
    /// §8).
    ///
    /// 0, 1, −1, and the two of order 8; the lowest byte first.
    private static let weak: [[UInt8]] = [
        [UInt8](repeating: 0, count: 32),
        [1] + [UInt8](repeating: 0, count: 31),
        [0xEC] + [UInt8](repeating: 0xFF, count: 30) + [0x7F],
        [
            0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0,
            0xD5, 0xDF, 0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x05,
        ],
        [
            0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67, 0x0F,
            0x2A, 0x20, 0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC, 0x03, 0x7A,
        ],
    ]

    /// Whether it is a point of small order, or its number is not reduced, which would be a second form of a key.
    static func isWeak(_ bytes: ArraySlice<UInt8>) -> Bool {
        var y = Array(bytes)
        guard y.count == 32 else { return true }
        // Clear the sign of x.
        y[31] &= 0x7F
        let isReduced = y[0] < 0xED || y[31] < 0x7F || y[1..<31].contains { $0 < 0xFF }
        return !isReduced || weak.contains(y)
    }
}
