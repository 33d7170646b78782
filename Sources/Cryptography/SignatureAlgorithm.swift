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
