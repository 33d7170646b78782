internal import Cryptography

/// The changes that `brokerctl users` and `brokerctl token` make; each throws a sentence if it is not possible.
extension AccessFile {
    /// Adds a user; throws if the name is taken.
    package mutating func add(_ user: AccessUser) throws(AccessFileErrors) {
        guard Principal.isName(user.name) else { throw AccessFileErrors("", Principal.nameExpectation) }
        for role in user.roles where !Principal.isName(role) {
            throw AccessFileErrors("", "role: \(Principal.nameExpectation)")
        }
        guard place(ofUser: user.name) == nil else {
            throw AccessFileErrors("", "there is a user \(user.name) already")
        }
        entries.append(AccessEntry(.user(user)))
    }

    /// Changes an existing user.
    package mutating func change(
        user name: String, _ change: (inout AccessUser) throws(AccessFileErrors) -> Void
    ) throws(AccessFileErrors) {
        guard let place = place(ofUser: name), case .user(var user) = entries[place].content else {
            throw AccessFileErrors(absent: "there is no user \(name)")
        }
        try change(&user)
        entries[place].content = .user(user)
    }

    /// Removes a user and the user's tokens; returns how many tokens there were.
    package mutating func remove(user name: String) throws(AccessFileErrors) -> Int {
        guard let place = place(ofUser: name) else { throw AccessFileErrors(absent: "there is no user \(name)") }
        entries.remove(at: place)
        let before = entries.count
        entries.removeAll { if case .token(let token) = $0.content { token.user.exact == name.exact } else { false } }
        return before - entries.count
    }

    /// Adds a token for an existing user, and returns its text, which is shown once.
    ///
    /// - Parameter complete: sets the token's limits, networks and expiry.
    package mutating func mint(
        for user: String, _ complete: (inout AccessToken) -> Void
    ) throws(AccessFileErrors) -> OpaqueToken {
        guard place(ofUser: user) != nil else {
            throw AccessFileErrors(absent: "there is no user \(user): brokerctl users add \(user) --no-password")
        }
        do throws(CryptographyError) {
            var new = try OpaqueToken.make()
            while place(ofToken: new.id) != nil { new = try OpaqueToken.make() }
            var token = AccessToken(id: new.id, sha256: try new.digest(), user: user)
            complete(&token)
            entries.append(AccessEntry(.token(token)))
            return new
        } catch {
            throw AccessFileErrors("", error.description)
        }
    }

    /// Removes a token.
    package mutating func revoke(token id: String) throws(AccessFileErrors) {
        guard let place = place(ofToken: id) else { throw AccessFileErrors(absent: "there is no token \(id)") }
        entries.remove(at: place)
    }

    /// Revokes all tokens and JWTs that were issued to a user before a time, in Unix seconds.
    package mutating func revokeAll(of user: String, before: Int64) {
        entries.removeAll { entry in
            switch entry.content {
            case .token(let token): token.user.exact == user.exact && token.created ?? .min < before
            case .revoked(.user(let name, let earlier)): name.exact == user.exact && earlier <= before
            default: false
            }
        }
        entries.append(AccessEntry(.revoked(.user(user, before: before))))
    }

    /// Revokes a JWT by its `jti`.
    package mutating func revoke(jti: String) {
        let isThere = entries.contains {
            if case .revoked(.jti(let other)) = $0.content { other.exact == jti.exact } else { false }
        }
        if !isThere { entries.append(AccessEntry(.revoked(.jti(jti)))) }
    }
}
