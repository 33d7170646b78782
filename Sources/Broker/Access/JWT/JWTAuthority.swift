internal import Cryptography
internal import Synchronization
internal import WSTransport

/// Authenticates clients by the JSON Web Tokens of several issuers.
///
/// Any thread. Signatures are verified on two threads that all authorities share; verified tokens are remembered.
package final class JWTAuthority: Sendable {
    /// How many verified tokens are remembered.
    static let maximumRemembered = 16_384
    /// How many tokens may wait for a thread.
    static let maximumWaiting = 4096

    private let issuers: [(issuer: JWTIssuer, keys: JWTKeys)]
    // One pool for all: its threads outlive an authority, and each reload may create a new one.
    private static let pool = WorkerPool(name: "jwt", maximumThreads: 2, maximumWaiting: maximumWaiting)
    private let remembered = Mutex(RememberedTokens())
    /// The counts of verified and rejected tokens.
    package let figures: JWTFigures
    /// Returns Unix seconds.
    private let clock: @Sendable () -> Int64

    /// - Parameter clock: returns the time in Unix seconds.
    package init(
        _ issuers: [(issuer: JWTIssuer, keys: JWTKeys)], figures: JWTFigures = JWTFigures(),
        clock: @escaping @Sendable () -> Int64 = { WallClock.unixMilliseconds / 1000 }
    ) {
        self.issuers = issuers
        self.figures = figures
        self.clock = clock
    }

    /// Authenticates the client of a token.
    ///
    /// - Parameter isRevoked: whether a principal is no longer accepted; called for remembered tokens, too.
    package func authenticate(_ token: String, isRevoked: @escaping @Sendable (Principal) -> Bool) -> Authentication {
        guard token.utf8.count <= JSONWebToken.maximumSize, let digest = TokenDigest(token) else {
            return .refused(refusal(.size))
        }
        if let known = recall(digest) {
            return isRevoked(known) ? .refused(refusal(.revoked)) : .known(known)
        }
        return .pending { [self] reply in
            let isTaken = Self.pool.run { [self] in judge(token, digest, isRevoked, mayAsk: true, reply) }
            if !isTaken { reply(.failure(.jwtBusy)) }
        }
    }

    private func judge(
        _ token: String, _ digest: TokenDigest, _ isRevoked: @escaping @Sendable (Principal) -> Bool, mayAsk: Bool,
        _ reply: @escaping @Sendable (Result<Principal, AuthenticationFailure>) -> Void
    ) {
        let found = issuers.map { $0.keys.current }
        let now = clock()
        let check = JWTCheck(zip(issuers, found).map { JWTCheck.Judge($0.issuer, keys: $1.set) })
        /// Asks for new keys of an issuer and then checks the token again, or rejects it.
        ///
        /// - Parameter isUnknown: whether the issuer has no key of that name.
        func askAgain(_ issuer: Int, _ reason: JWTRejection, isUnknown: Bool = true) {
            let keys = issuers[issuer].keys
            let asking =
                !mayAsk
                ? .isNot
                : keys.ask { [self] in
                    let isTaken = Self.pool.run { [self] in judge(token, digest, isRevoked, mayAsk: false, reply) }
                    if !isTaken { reply(.failure(.jwtBusy)) }
                }
            switch asking {
            case .waits: break
            case .isFull: reply(.failure(.jwtBusy))
            // The keys have changed since they were read above: another token's fetch has just ended.
            case .isNot where keys.current.generation != found[issuer].generation:
                judge(token, digest, isRevoked, mayAsk: false, reply)
            // An unknown key may be one that could not be fetched, so the token is not counted as a guess.
            case .isNot: reply(.failure(refusal(isUnknown && keys.isInDoubt ? .keysMissing : reason)))
            }
        }
        switch check.judge(token, now: now) {
        case .known(let principal, let issuer):
            guard !isRevoked(principal) else { return reply(.failure(refusal(.revoked))) }
            let entry = RememberedTokens.Entry(
                principal: principal, issuer: issuer, generation: found[issuer].generation)
            remembered.withLock { $0.keep(entry, digest) }
            figures.count(nil)
            reply(.success(principal))
        case .rejected(.keysMissing, issuer: let issuer?): askAgain(issuer, .keysMissing)
        case .unknownKey(let issuer): askAgain(issuer, .key)
        // There may be another key by the same name, or by none.
        case .rejected(.signature, issuer: let issuer?): askAgain(issuer, .signature, isUnknown: false)
        case .rejected(.key, issuer: let issuer?): askAgain(issuer, .key, isUnknown: false)
        case .rejected(let reason, _): reply(.failure(refusal(reason)))
        }
    }

    /// Whether a principal's issuer is still configured as it was when the token was verified, and still has the key.
    func vouches(for principal: Principal) -> Bool {
        issuers.contains { issuer, keys in
            issuer.hashValue == principal.stamp && principal.key.map(keys.has) ?? true
        }
    }

    private func recall(_ digest: TokenDigest) -> Principal? {
        guard let entry = remembered.withLock({ $0[digest] }) else { return nil }
        let keys = issuers[entry.issuer].keys.current
        let isValid =
            (entry.principal.expires ?? 0) > clock() && keys.generation == entry.generation && keys.set != nil
        return isValid ? entry.principal : nil
    }

    private func refusal(_ reason: JWTRejection) -> AuthenticationFailure {
        figures.count(reason)
        let failure: AuthenticationFailure =
            switch reason {
            case .expired: .expired
            case .keysMissing:
                AuthenticationFailure(.unavailable, "The keys of the token's issuer are not available; try again.")
            default: reason.isOfIssuer ? .ended : .wrong
            }
        return failure.because(reason.rawValue)
    }
}

extension AuthenticationFailure {
    /// The answer if too many tokens are waiting.
    fileprivate static let jwtBusy = AuthenticationFailure(
        .unavailable, "Too many tokens are being checked; try again.")
}

/// The SHA-256 of a token, by which it is remembered, so that no token stays in memory.
private struct TokenDigest: Hashable, Sendable {
    private let first: UInt64
    private let second: UInt64
    private let third: UInt64
    private let fourth: UInt64

    init?(_ token: String) {
        guard let words = try? HashFunction.sha256Words(of: token.utf8Span.span) else { return nil }
        (first, second, third, fourth) = words
    }

    // One is as evenly spread as all four.
    func hash(into hasher: inout Hasher) { hasher.combine(first) }
}

/// The verified tokens, in two halves: when the young half is full, the old one is discarded.
private struct RememberedTokens {
    struct Entry: Sendable {
        let principal: Principal
        let issuer: Int
        /// The generation of the keys that verified the token.
        let generation: UInt64
    }

    private var young: [TokenDigest: Entry] = [:]
    private var old: [TokenDigest: Entry] = [:]

    subscript(digest: TokenDigest) -> Entry? {
        mutating get {
            if let entry = young[digest] { return entry }
            guard let entry = old[digest] else { return nil }
            keep(entry, digest)
            return entry
        }
    }

    mutating func keep(_ entry: Entry, _ digest: TokenDigest) {
        if young.count >= JWTAuthority.maximumRemembered / 2 { (old, young) = (young, [:]) }
        young[digest] = entry
    }
}
