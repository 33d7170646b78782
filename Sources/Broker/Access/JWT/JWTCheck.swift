internal import Cryptography
internal import Synchronization

/// The verification of a token: its claims, its signature, and whether its issuer is trusted.
///
/// A pure function of its arguments: no clock, no file, no thread.
package struct JWTCheck: Sendable {
    /// An issuer with its present keys; `nil` if none were fetched yet.
    package struct Judge: Sendable {
        package let issuer: JWTIssuer
        package let keys: JWTKeySet?

        package init(_ issuer: JWTIssuer, keys: JWTKeySet?) {
            self.issuer = issuer
            self.keys = keys
        }
    }

    /// The result of a verification.
    package enum Verdict: Sendable {
        /// - issuer: the index of the issuer.
        case known(Principal, issuer: Int)
        /// - issuer: the index of the issuer that the token names; `nil` if it names none that is known.
        case rejected(JWTRejection, issuer: Int?)
        /// The issuer has no key of that name; fetching its keys again may find one.
        case unknownKey(issuer: Int)
    }

    private let judges: [Judge]

    package init(_ judges: [Judge]) { self.judges = judges }

    /// Verifies a token at a time, in Unix seconds.
    package func judge(_ text: String, now: Int64) -> Verdict {
        var issuer: Int?
        do throws(JWTRejection) {
            let token = try JSONWebToken(text)
            let name = try JWTClaims.issuer(of: token.payload)
            guard let found = judges.firstIndex(where: { $0.issuer.name.utf8.elementsEqual(name.utf8) }) else {
                throw .issuer
            }
            issuer = found
            let judge = judges[found]
            guard judge.issuer.algorithms.contains(token.algorithm) else { throw .algorithm }
            guard let keys = judge.keys else { throw .keysMissing }
            let mark: Int
            switch keys.key(id: token.keyID, for: token.algorithm) {
            case .unknown: return .unknownKey(issuer: found)
            case .none: throw .key
            case .found(let key):
                guard key.verifies(token.signature.span, of: token.message.utf8Span.span, by: token.algorithm) else {
                    throw .signature
                }
                mark = key.mark
            }
            return .known(try judge.issuer.principal(of: token.payload, key: mark, now: now), issuer: found)
        } catch {
            return .rejected(error, issuer: issuer)
        }
    }
}

extension JWTIssuer {
    /// The principal of a payload whose signature was verified.
    fileprivate func principal(of payload: [UInt8], key: Int, now: Int64) throws(JWTRejection) -> Principal {
        let claims = try JWTClaims(payload)
        let (now, leeway) = (Double(now), Double(leeway))
        guard let expires = claims.expires else { throw .noExpiry }
        guard now < expires + leeway else { throw .expired }
        if let notBefore = claims.notBefore, notBefore > now + leeway { throw .early }
        if let issued = claims.issued, issued > now + leeway { throw .future }
        // A token without `iat` may have been issued just now.
        guard expires - (claims.issued ?? now) <= Double(maximumLifetime) else { throw .lifetime }
        guard claims.audiences.contains(where: { $0.utf8.elementsEqual(audience.utf8) }) else { throw .audience }
        guard let user = claims.string(at: userClaim), 1...1024 ~= user.utf8.count else { throw .subject }
        let grants = grantsClaim.isEmpty ? nil : try JWTGrants(payload, at: grantsClaim, atMost: mayGrant)
        let roles = (rolesClaim.isEmpty ? [] : claims.strings(at: rolesClaim) ?? []) + (grants?.roles ?? [])
        // No rule names a role outside the grammar.
        let known = roles.filter(Principal.isName).exact
        return Principal(
            .jwt, user: user, roles: known, claims: claims.byPath, token: claims.identifier, carried: grants?.rule,
            expires: Int64(expires) + Int64(leeway), leeway: self.leeway,
            issued: claims.issued.map { Int64($0) }, issuer: name,
            ownRoles: known, key: key, stamp: hashValue)
    }
}

/// Metrics of JSON Web Tokens: how many were verified or rejected, and how old the keys are.
///
/// Any thread.
package final class JWTFigures: Sendable {
    private struct State {
        var keys: [JWTKeys] = []
        var outcomes: [JWTRejection?: UInt64] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// Reports on these keys from now on.
    package func adopt(_ keys: [JWTKeys]) { state.withLock { $0.keys = keys } }

    /// Counts a token that was checked; `nil` if it was accepted.
    func count(_ outcome: JWTRejection?) { state.withLock { $0.outcomes[outcome, default: 0] += 1 } }

    /// How many tokens were accepted (key `nil`), and how many rejected for each reason.
    ///
    /// Accepted tokens that were remembered are not counted.
    package var outcomes: [JWTRejection?: UInt64] { state.withLock { $0.outcomes } }

    /// Seconds since the keys of each issuer with a URL were fetched; issuers whose keys were never fetched are left
    /// out.
    package var ages: [(issuer: String, seconds: Int64)] {
        state.withLock { $0.keys }.compactMap { keys in keys.age.map { (keys.issuer, $0) } }
    }
}
