package import Cryptography

/// A login server whose tokens are trusted, and what they may contain.
package struct JWTIssuer: Sendable, Hashable {
    /// The `iss` of its tokens, compared byte by byte.
    package var name: String
    /// A value that the `aud` of its tokens must contain, compared byte by byte.
    package var audience: String
    /// The algorithms that its tokens may be signed with.
    package var algorithms: Set<SignatureAlgorithm>
    /// The largest accepted clock difference, in seconds.
    package var leeway: Int64 = 30
    /// The longest lifetime of a token, from `iat` to `exp`, in seconds.
    package var maximumLifetime: Int64 = 86_400
    /// The path of the claim that names the user.
    package var userClaim = "sub"
    /// The path of the claim that lists roles; empty if tokens give no roles.
    package var rolesClaim = ""
    /// The path of the claim with filters and roles; empty if tokens carry no rights.
    package var grantsClaim = ""
    /// Filters that cover everything that claim may allow; they do not limit its roles.
    package var mayGrant: [TopicFilter] = []
    /// A hash of where the keys come from; if that changes, connections made with the old keys end.
    package var keyPlace = 0

    package init(_ name: String, audience: String, algorithms: Set<SignatureAlgorithm>) {
        self.name = name
        self.audience = audience
        self.algorithms = algorithms
    }

    /// The texts, to be compared byte by byte.
    private var texts: [ExactText] { [name, audience, userClaim, rolesClaim, grantsClaim].map(\.exact) }

    package static func == (left: Self, right: Self) -> Bool {
        left.texts == right.texts && left.algorithms == right.algorithms && left.leeway == right.leeway
            && left.maximumLifetime == right.maximumLifetime && left.mayGrant == right.mayGrant
            && left.keyPlace == right.keyPlace
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(texts)
        hasher.combine(algorithms)
        hasher.combine(leeway)
        hasher.combine(maximumLifetime)
        hasher.combine(mayGrant)
        hasher.combine(keyPlace)
    }
}

/// Why a JSON Web Token is rejected, for the audit log; clients learn only whether it has expired.
package enum JWTRejection: String, Error, Sendable, Hashable, CaseIterable {
    /// The token has more than 8 KiB.
    case size
    /// The token is not three parts of strict base64url.
    case form
    /// The header has more than 1 KiB, is not an object, or has a member of the wrong type.
    case header
    /// The `alg` is not supported, or not one of the issuer's.
    case algorithm
    /// The `typ` is neither `JWT` nor `at+jwt`.
    case type
    /// The header has a member that must not be obeyed: `crit`, `jwk`, `jku`, …
    case extension_ = "extension"
    /// The payload is not an object: there is no issuer that might have signed it.
    case payload
    /// A claim has the wrong type.
    case claims
    /// The `iss` is absent or unknown.
    case issuer
    /// No key fits the token, or more than one does.
    case key
    /// The keys of the issuer are not available.
    case keysMissing = "keys_missing"
    case signature
    /// The `exp` is absent.
    case noExpiry = "no_expiry"
    case expired
    /// The `nbf` is in the future.
    case early
    /// The `iat` is in the future.
    case future
    /// The lifetime is longer than the issuer's tokens may have.
    case lifetime
    case audience
    /// The claim that names the user is absent or unusable.
    case subject
    /// The claim with grants is malformed.
    case grants
    /// The token is revoked, all tokens of its user of that age are revoked, or the user is disabled.
    case revoked

    /// Whether the issuer has signed the token, so that it is not a guess.
    var isOfIssuer: Bool {
        switch self {
        case .size, .form, .header, .algorithm, .type, .extension_, .payload, .issuer, .key, .keysMissing, .signature:
            false
        case .claims, .noExpiry, .expired, .early, .future, .lifetime, .audience, .subject, .grants, .revoked: true
        }
    }
}
