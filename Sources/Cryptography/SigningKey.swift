/// A key that signs JSON Web Tokens, for development and tests: the broker itself signs none.
package struct SigningKey: Sendable {
    private enum Material: Sendable {
        case secret([UInt8])
        case pair(OpenSSLKey)
    }

    /// The kind of the key.
    package let kind: VerificationKey.Kind
    private let material: Material

    /// Makes a key from a secret of at least 32 bytes.
    package init(secret: [UInt8]) throws(KeyError) {
        // The same conditions apply.
        _ = try VerificationKey(secret: secret)
        kind = .secret
        material = .secret(secret)
    }

    /// Makes a key from the private key of a PEM file, which must not be encrypted.
    package init(pem text: String) throws(KeyError) {
        // `openssl ecparam -genkey` writes the curve before the key.
        let blocks = try PEMBlock.all(in: text).filter { $0.label != "EC PARAMETERS" }
        guard blocks.count == 1, let block = blocks.first, block.label.hasSuffix("PRIVATE KEY"),
            block.label != "ENCRYPTED PRIVATE KEY"
        else { throw KeyError("expected a PEM file with one private key that is not encrypted") }
        let key = try OpenSSLKey(privateKey: block.bytes)
        kind = try key.kind()
        material = .pair(key)
    }

    /// The algorithm to sign with by default.
    package var algorithm: SignatureAlgorithm {
        switch kind {
        case .secret: .hs256
        case .rsa: .rs256
        case .p256: .es256
        case .p384: .es384
        case .ed25519: .edDSA
        }
    }

    /// The signature of a message, as encoded in a token.
    package func sign(
        _ message: Span<UInt8>, by algorithm: SignatureAlgorithm
    ) throws(CryptographyError) -> [UInt8] {
        guard algorithm.kind == kind else { throw CryptographyError("\(algorithm.rawValue) takes another kind of key") }
        switch material {
        case .secret(let secret):
            guard let hash = algorithm.hash else { throw CryptographyError("no signature") }
            return try hash.authenticate(message, key: secret.span)
        case .pair(let key):
            let signature = try key.sign(message, by: algorithm)
            guard kind == .p256 || kind == .p384 else { return signature }
            guard let numbers = DER.numbers(ofSignature: signature, size: kind == .p256 ? 32 : 48) else {
                throw CryptographyError("no signature")
            }
            return numbers
        }
    }
}
