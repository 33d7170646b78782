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

/// The algorithm of a JSON Web Token's signature, by the names of RFC 7518 §3.1 and RFC 8037 §3.1.
///
/// `none` is not among them.
package enum SignatureAlgorithm: String, CaseIterable, Sendable, Hashable {
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case edDSA = "EdDSA"

    /// The only kind of key that it accepts.
    package var kind: VerificationKey.Kind {
        switch self {
        case .hs256, .hs384, .hs512: .secret
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa
        case .es256: .p256
        case .es384: .p384
        case .edDSA: .ed25519
        }
    }

    /// The hash function for the message; `nil` if the algorithm does its own hashing.
    var hash: HashFunction? {
        switch self {
        case .hs256, .rs256, .ps256, .es256: .sha256
        case .hs384, .rs384, .ps384, .es384: .sha384
        case .hs512, .rs512, .ps512: .sha512
        case .edDSA: nil
        }
    }

    /// Whether it is RSA with PSS (RFC 8017 §8.1).
    var isPSS: Bool { self == .ps256 || self == .ps384 || self == .ps512 }
}

/// Why bytes or a file are not a usable key; it contains nothing of them.
package struct KeyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A phrase for people.
    package let description: String

    init(_ description: String) { self.description = description }
}
