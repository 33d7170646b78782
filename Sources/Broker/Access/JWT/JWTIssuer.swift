package import Cryptography

/// A login server whose tokens are believed, and how far.
package struct JWTIssuer: Sendable, Hashable {
    /// The tokens' `iss`, compared byte by byte.
    package var name: String
    /// What has to be among the tokens' `aud`, compared likewise.
    package var audience: String
    /// The algorithms that its keys may be used with.
    package var algorithms: Set<SignatureAlgorithm>
    /// How far clocks may differ, in seconds.
    package var leeway: Int64 = 30
    /// The longest life of a token, from `iat` to `exp`, in seconds.
    package var maximumLifetime: Int64 = 86_400
    /// The path of the claim that names the user.
    package var userClaim = "sub"
    /// The path of the claim that lists roles; empty: none is believed.
    package var rolesClaim = ""
    /// The path of the claim with filters and roles; empty: none is believed.
    package var grantsClaim = ""
    /// What the filters of that claim may at most grant; its roles are not bound by it.
    package var mayGrant: [TopicFilter] = []
    /// Where its keys come from, as a number: those of another place end what the old ones began.
    package var keyPlace = 0

    package init(_ name: String, audience: String, algorithms: Set<SignatureAlgorithm>) {
        self.name = name
        self.audience = audience
        self.algorithms = algorithms
    }

    /// What others might take for the same, by its bytes.
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

/// Why a JSON Web Token is not accepted, for the audit log; clients learn only whether it has expired.
package enum JWTRejection: String, Error, Sendable, Hashable, CaseIterable {
    /// It has more than 8 KiB.
    case size
    /// It is not three parts of strict base64url.
    case form
    /// Its header has more than 1 KiB, is no object, or has a member of a wrong type.
    case header
    /// Its `alg` does not exist here, or is not one of the issuer's.
    case algorithm
    /// Its `typ` is neither `JWT` nor `at+jwt`.
    case type
    /// Its header asks for something that nobody should obey: `crit`, `jwk`, `jku`, …
    case extension_ = "extension"
    /// Its payload is no object, or a claim has a wrong type.
    case claims
    /// Its `iss` is nobody's.
    case issuer
    /// There is no key for it, or more than one.
    case key
    /// The keys of its issuer have not been available yet.
    case keysMissing = "keys_missing"
    case signature
    /// It has no `exp`.
    case noExpiry = "no_expiry"
    case expired
    /// Its `nbf` is to come.
    case early
    /// Its `iat` is to come.
    case future
    /// It lives longer than its issuer's tokens may.
    case lifetime
    case audience
    /// It names no user.
    case subject
    /// Its grants are none.
    case grants
    /// It, its user or all of that user's that are as old are revoked, or the user is disabled.
    case revoked

    /// Whether its signature was right, so that it is no guess.
    var isOfIssuer: Bool {
        switch self {
        case .size, .form, .header, .algorithm, .type, .extension_, .issuer, .key, .keysMissing, .signature: false
        case .claims, .noExpiry, .expired, .early, .future, .lifetime, .audience, .subject, .grants, .revoked: true
        }
    }
}
