internal import Cryptography
internal import WSTransport

/// The users, tokens and revocations of the users file, until its next change.
///
/// Immutable; shared by all threads.
package struct UserTable: Sendable {
    /// A user of the file.
    struct User: Sendable {
        let password: PasswordHash?
        let roles: Set<ExactText>
        let isDisabled: Bool
    }

    /// A token of the file.
    struct Token: Sendable {
        /// The id's eight bytes, big-endian.
        let id: UInt64
        let digest: InlineArray<4, UInt64>
        let user: String
        /// Attributes that few tokens have; `nil` for a token with all rights of its user but administration, from any
        /// address.
        let special: Special?
        /// Unix seconds; ``Int64/max`` if the token does not expire.
        let expires: Int64
        /// Unix seconds; ``Int64/min`` if unknown.
        let created: Int64
    }

    /// Attributes that few tokens have, kept apart so that the other tokens take less memory.
    final class Special: Sendable {
        /// The limit on the token's rights; `nil` for the user's rights to publish and subscribe.
        let rule: AccessRule?
        let admin: Set<AdminRight>
        /// The networks that the token may be used from; empty for any.
        let from: [AddressRange]

        init(_ rule: AccessRule?, admin: Set<AdminRight>, from: [AddressRange]) {
            self.rule = rule
            self.admin = admin
            self.from = from
        }
    }

    private var users: [ExactText: User] = [:]
    /// Sorted by id: there may be a hundred thousand tokens, and a dictionary would take twice the memory.
    private var tokens: [Token] = []
    private var certificates: [[UInt8]: String] = [:]
    private var revokedTokens: Set<ExactText> = []
    private var revokedIdentifiers: Set<ExactText> = []
    private var revokedBefore: [ExactText: Int64] = [:]

    /// Creates an empty table.
    package init() {}

    package init(_ file: AccessFile) {
        tokens.reserveCapacity(file.entries.count { if case .token = $0.content { true } else { false } })
        for entry in file.entries {
            switch entry.content {
            case .user(let user):
                users[user.name.exact] = User(
                    password: user.password, roles: user.roles.exact, isDisabled: user.isDisabled)
                if let certificate = user.certificate { certificates[certificate] = user.name }
            case .token(let token): tokens.append(Token(token))
            case .revoked(.token(let id)): revokedTokens.insert(id.exact)
            case .revoked(.jti(let identifier)): revokedIdentifiers.insert(identifier.exact)
            case .revoked(.user(let user, let before)):
                revokedBefore[user.exact] = max(before, revokedBefore[user.exact] ?? before)
            }
        }
        tokens.sort { $0.id < $1.id }
    }

    /// The entry of a token; `nil` if there is none.
    private func token(_ id: String) -> Token? {
        let wanted = Token.number(of: id)
        let place = tokens.partitionPoint { $0.id >= wanted }
        return place < tokens.count && tokens[place].id == wanted ? tokens[place] : nil
    }

    /// The number of users and tokens.
    package var count: Int { users.count + tokens.count }

    /// The roles that the file gives a user; empty if it gives none, or has no such user.
    package func roles(of user: String) -> Set<ExactText> { users[user.exact]?.roles ?? [] }

    /// Whether the file disables a user, for every kind of credentials.
    package func isDisabled(_ user: String) -> Bool { users[user.exact]?.isDisabled ?? false }

    /// Whether credentials of a user that were issued at a time, in Unix seconds, are revoked; `nil` for an unknown
    /// time.
    package func isRevoked(user: String, issued: Int64?) -> Bool {
        guard let before = revokedBefore[user.exact] else { return false }
        return issued.map { $0 < before } ?? true
    }

    /// Whether the principal of a JWT is revoked, or its user disabled.
    package func isRevoked(_ principal: Principal) -> Bool {
        guard let user = principal.user else { return false }
        return isDisabled(user) || isRevoked(user: user, issued: principal.issued)
            || principal.token.map(isRevoked(identifier:)) ?? false
    }

    /// Whether a JWT's `jti` is revoked.
    package func isRevoked(identifier: String) -> Bool { revokedIdentifiers.contains(identifier.exact) }

    /// The hash of a user's password; `nil` if no password is accepted.
    func password(of user: String) -> PasswordHash? {
        guard let found = users[user.exact], !found.isDisabled else { return nil }
        return found.password
    }

    /// Whether a user has the same hash of a password as in another table, or none in both.
    package func hasSamePassword(of user: String, as other: UserTable) -> Bool {
        password(of: user)?.text == other.password(of: user)?.text
    }

    /// The user of a client certificate, by its SHA-256; `nil` if there is none.
    package func user(ofCertificate digest: [UInt8]) -> String? { certificates[digest] }

    // MARK: Principals

    /// The principal of a user after a correct password; `nil` if the user may not log in by password.
    func principal(forPasswordOf name: String) -> Principal? {
        guard let user = users[name.exact], !user.isDisabled, let password = user.password else { return nil }
        return Principal(.password, user: name, roles: user.roles, stamp: password.hashValue)
    }

    /// The principal of a token; `nil` if the token is not accepted.
    func principal(for token: OpaqueToken, from address: () -> String?, now: Int64) -> Principal? {
        entry(of: token).flatMap { principal(ofToken: token.id, $0, from: address, now: now) }
    }

    /// The failure that a client with a rejected token is told.
    func failure(of token: OpaqueToken, now: Int64) -> AuthenticationFailure {
        guard let entry = entry(of: token) else { return .wrong }
        return entry.expires <= now ? .expired : .ended
    }

    /// The entry of a token with the correct secret; `nil` if there is none.
    private func entry(of token: OpaqueToken) -> Token? {
        guard let known = self.token(token.id), let digest = try? token.digest(),
            Secret.areEqual(digest.span, Token.bytes(of: known.digest).span)
        else { return nil }
        return known
    }

    private func principal(
        ofToken id: String, _ token: Token, from address: () -> String?, now: Int64
    ) -> Principal? {
        let created = token.created == .min ? nil : token.created
        guard !revokedTokens.contains(id.exact), !isRevoked(user: token.user, issued: created),
            let user = users[token.user.exact], !user.isDisabled
        else { return nil }
        if token.expires <= now { return nil }
        if let from = token.special?.from, !from.isEmpty {
            guard let address = address(), from.contains(where: { $0.contains(address) }) else { return nil }
        }
        return Principal(
            .token, user: token.user, roles: user.roles, token: id, ceilings: token.special?.rule.map { [$0] } ?? [],
            admin: token.special?.admin ?? [], expires: token.expires == .max ? nil : token.expires, issued: created,
            stamp: Token.bytes(of: token.digest).hashValue)
    }

    /// The reason why a token is rejected, for administrators only.
    func rejection(of token: OpaqueToken, from address: () -> String?, now: Int64) -> String {
        if revokedTokens.contains(token.id.exact) { return "revoked" }
        guard let known = self.token(token.id) else { return "unknown token" }
        guard let digest = try? token.digest(), Secret.areEqual(digest.span, Token.bytes(of: known.digest).span) else {
            return "wrong secret"
        }
        if known.expires <= now { return "expired" }
        let created = known.created == .min ? nil : known.created
        if isRevoked(user: known.user, issued: created) { return "revoked" }
        guard let user = users[known.user.exact] else { return "its user was removed" }
        if user.isDisabled { return "the user is disabled" }
        return "not valid from this address"
    }

    /// The reason why a password is rejected, for administrators only.
    func rejection(ofPasswordOf name: String) -> String {
        guard let user = users[name.exact] else { return "unknown user" }
        if user.isDisabled { return "the user is disabled" }
        return user.password == nil ? "the user has no password" : "wrong password"
    }

    /// The result of looking a principal up again.
    package enum Renewal {
        /// The principal is unchanged.
        case same
        /// The principal has other roles or rights.
        case changed(Principal)
        /// The principal's credentials are no longer accepted.
        case ended
    }

    /// Looks a principal up again, after a change of users or tokens.
    ///
    /// - Parameter address: the client's address, without the port; `nil` if it has none.
    package func renewal(of principal: Principal, from address: () -> String?, now: Int64) -> Renewal {
        guard let name = principal.user, principal.stamp != 0 || principal.kind == .jwt else { return .same }
        let new: Principal?
        switch principal.kind {
        case .anonymous, .administrator: return .same
        case .password: new = self.principal(forPasswordOf: name)
        case .session:
            guard principal.session?.isEnded == false, !isRevoked(user: name, issued: principal.issued) else {
                return .ended
            }
            new = self.principal(forPasswordOf: name).map { $0.going(on: principal) }
        case .token:
            // A timer ends an expired token's connections; a change of the file does not.
            new = principal.token.flatMap { id in
                token(id).flatMap {
                    self.principal(ofToken: id, $0, from: address, now: min(now, $0.expires - 1))
                }
            }
        case .jwt, .certificate, .peer:
            if isDisabled(name) { return .ended }
            guard principal.kind != .jwt else { return isRevoked(principal) ? .ended : .same }
            if let digest = principal.tie, certificates[digest].exact != name.exact { return .ended }
            new = Principal(
                principal.kind, user: name, roles: principal.ownRoles.union(roles(of: name)),
                ownRoles: principal.ownRoles, tie: principal.tie, stamp: principal.stamp)
        }
        guard let new, new.stamp == principal.stamp else { return .ended }
        return new.isSame(as: principal) ? .same : .changed(new)
    }
}

extension Principal {
    /// The principal of a browser session, with the user's present roles.
    fileprivate func going(on login: Principal) -> Principal {
        Principal(
            .session, user: user, roles: roles, token: login.token, expires: login.expires, issued: login.issued,
            stamp: stamp, session: login.session)
    }
}

extension UserTable.Token {
    fileprivate init(_ token: AccessToken) {
        id = Self.number(of: token.id)
        let bytes = token.sha256
        digest = InlineArray { part in
            bytes.dropFirst(8 * part).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        }
        user = token.user
        let rule = token.limits.map { limits in
            var rule = AccessRule()
            rule.publish = Self.templates(limits.publish)
            rule.subscribe = Self.templates(limits.subscribe)
            return rule
        }
        let isUsual = rule == nil && token.admin.isEmpty && token.from.isEmpty
        special =
            isUsual
            ? nil
            : UserTable.Special(
                rule, admin: Set(token.admin), from: token.from.compactMap { AddressRange($0) })
        expires = token.expires ?? .max
        created = token.created ?? .min
    }

    /// The eight bytes of an id as a number.
    static func number(of id: String) -> UInt64 { id.utf8.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }

    static func bytes(of digest: InlineArray<4, UInt64>) -> [UInt8] {
        (0..<32).map { UInt8(truncatingIfNeeded: digest[$0 / 8] >> UInt64(56 - 8 * ($0 % 8))) }
    }

    private static func templates(_ names: [String]) -> [FilterTemplate] {
        // The file's reader has checked the filters; one that cannot be parsed would allow nothing.
        names.compactMap { (try? TopicFilter($0, limits: .none)).map(FilterTemplate.init) }
    }
}
