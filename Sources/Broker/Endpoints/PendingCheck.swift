internal import WSTransport

/// A check of credentials that takes time, and what they are checked against.
///
/// Users and keys may change during the check. Then its result may be neither that of before nor that of afterwards: a
/// password that is set again gets another hash, and a check by the old one says nothing about it.
struct PendingCheck: Sendable {
    private let access: Access
    /// How often it may still be repeated.
    private let left: Int

    /// How often a check is repeated at most, because an administrator may make many changes one after the other.
    private static let most = 4

    /// - Parameter access: the access data that the check uses.
    init(_ access: Access) { self.init(access, left: Self.most) }

    private init(_ access: Access, left: Int) {
        self.access = access
        self.left = left
    }

    /// The next check of the same credentials.
    func repeated(by access: Access) -> PendingCheck { PendingCheck(access, left: left - 1) }

    /// The result by the present users, for which the credentials may have to be checked again.
    ///
    /// - Parameters:
    ///   - outcome: the result by the access data of the beginning.
    ///   - address: the client's address, without the port; `nil` if it has none.
    func concluded(
        _ outcome: Result<Principal, AuthenticationFailure>, _ credentials: Credentials,
        _ authenticator: any Authenticator, on shard: Shard, from address: () -> String?
    ) -> Authentication {
        let failure: AuthenticationFailure
        switch outcome {
        case .success(let principal):
            switch shard.access.renewal(of: principal, from: address, now: WallClock.unixMilliseconds / 1000) {
            case .same: return .known(principal)
            case .changed(let new): return .known(new)
            case .ended: failure = .ended
            }
        case .failure(let error): failure = error
        }
        guard left > 0, failure.reason == .invalid, mayDiffer(credentials, by: shard.access) else {
            return .refused(failure)
        }
        return authenticator.authenticate(credentials, shard.access, from: address)
    }

    /// Whether other access data may give another result.
    private func mayDiffer(_ credentials: Credentials, by other: Access) -> Bool {
        guard other !== access else { return false }
        // Each computation of a password counts.
        guard case .basic(let user, _) = credentials else { return true }
        return !other.users.hasSamePassword(of: user, as: access.users)
    }
}
