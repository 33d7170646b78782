/// An authenticated client, and how it was authenticated; rules apply to it.
///
/// Immutable, and shared by all connections of one authentication.
package final class Principal: Sendable {
    /// How it was authenticated.
    package enum Kind: String, Sendable, Hashable {
        case anonymous
        case password
        /// By the cookie that a browser gets for a password.
        case session
        case token
        case jwt
        case certificate
        /// By the user of the process at the other end of a Unix socket.
        case peer
        /// By the admin socket.
        case administrator
    }

    package let kind: Kind
    /// `nil`: anonymous, or the administrator.
    package let user: String?
    package let roles: Set<ExactText>
    /// The other claims of a token: strings and numbers by their paths, an array's elements one by one.
    package let claims: [ExactText: [String]]
    /// The token's id, or the `jti` of a JWT; `nil`: it has none.
    package let token: String?
    /// The rights of its own, in addition to those that rules give; `nil`: none.
    package let carried: AccessRule?
    /// The most that it may do, whatever rules give; empty: no such limit.
    package let ceilings: [AccessRule]
    /// The most that it may do as an administrator, whatever rules give; `nil`: no such limit.
    package let admin: Set<AdminRight>?
    /// Unix seconds; `nil`: it does not expire.
    package let expires: Int64?
    /// The part of that which allows for clocks that differ, in seconds.
    package let leeway: Int64
    /// When its credentials were issued, in Unix seconds; `nil`: not known.
    package let issued: Int64?
    /// The issuer of a JWT; `nil`: it has none.
    package let issuer: String?
    /// The roles in its credentials, without those of the file of users.
    package let ownRoles: Set<ExactText>
    /// The SHA-256 of the client certificate that identified the user by the file of users; `nil`: none did.
    package let tie: [UInt8]?
    /// The mark of the key that signed a JWT; `nil`: not known.
    package let key: Int?
    /// Changes with its credentials, so that a changed password ends what the old one began; 0: never changes.
    package let stamp: Int
    /// The login that its cookie belongs to; `nil`: there was none.
    package let session: BrowserSession?

    package init(
        _ kind: Kind, user: String? = nil, roles: Set<ExactText> = [], claims: [ExactText: [String]] = [:],
        token: String? = nil, carried: AccessRule? = nil, ceilings: [AccessRule] = [], admin: Set<AdminRight>? = nil,
        expires: Int64? = nil, leeway: Int64 = 0, issued: Int64? = nil, issuer: String? = nil,
        ownRoles: Set<ExactText> = [], tie: [UInt8]? = nil, key: Int? = nil, stamp: Int = 0,
        session: BrowserSession? = nil
    ) {
        self.kind = kind
        self.user = user
        self.roles = roles
        self.claims = claims
        self.token = token
        self.carried = carried
        self.ceilings = ceilings
        self.admin = admin
        // In milliseconds, too, it must not overflow.
        self.expires = expires.map { min(max($0, 0), Self.lastSecond) }
        self.leeway = leeway
        self.issued = issued
        self.issuer = issuer
        self.ownRoles = ownRoles
        self.tie = tie
        self.key = key
        self.stamp = stamp
        self.session = session
    }

    /// Whether the two are equal in every respect, so that one may replace the other.
    package func isSame(as other: Principal) -> Bool {
        if self === other { return true }
        return isSameUser(as: other) && roles == other.roles && token.exact == other.token.exact
            && expires == other.expires && stamp == other.stamp && claims.exact == other.claims.exact
            && carried == other.carried && ceilings == other.ceilings && ownRoles == other.ownRoles
            && issued == other.issued && admin == other.admin && key == other.key
    }

    /// Whether `other` may replace it on a connection: the same user, authenticated in the same way.
    package func isSameUser(as other: Principal) -> Bool {
        kind == other.kind && user.exact == other.user.exact && issuer.exact == other.issuer.exact
    }

    /// The end of the year 9999, in Unix seconds; times in credentials are not later.
    package static let lastSecond: Int64 = 253_402_300_799

    /// All clients without credentials.
    package static let anonymous = Principal(.anonymous)
    /// All clients of the admin socket.
    package static let administrator = Principal(.administrator)

    /// What messages about a bad name say after "expected".
    package static let nameExpectation =
        "expected a name of 1 to 128 bytes without control characters, / + #, and no $ first"

    /// Whether a user's name is one that rules with `{user}` apply to, and that may be given to a new user: 1 to 128 bytes
    /// without control and format characters, `/`, `+`, `#`, and no `$` first.
    package static func isName(_ name: String) -> Bool {
        guard 1...128 ~= name.utf8.count, name.utf8.first != TopicGrammar.dollar else { return false }
        // Of most no scalar has to be looked up.
        if name.utf8.allSatisfy({ 0x20...0x7E ~= $0 && !"/+#".utf8.contains($0) }) { return true }
        return name.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: false
            default: scalar != "/" && scalar != "+" && scalar != "#"
            }
        }
    }

    /// What administrators are told of a user whose name ``isName(_:)`` does not accept, as a login server may have it; `nil`:
    /// it does, or there is none.
    package var objection: String? {
        guard kind == .jwt, let user, !Self.isName(user) else { return nil }
        return "rules with {user} do not apply to this name"
    }
}

extension [ExactText: [String]] {
    /// The same, with its values compared by their bytes too.
    var exact: [ExactText: [ExactText]] { mapValues { $0.map { ExactText($0) } } }
}

/// A client as rules see it: a principal, and the way it connected.
package struct Subject: Sendable {
    package let principal: Principal
    /// The client's address, without the port; `nil`: it has none.
    package let address: String?
    /// The listener's address as configured.
    package let listener: String
    /// Whether that address is on loopback or in the file system.
    package let isLocal: Bool
    /// The broker's own name for the client; `nil`: it has none yet.
    package let client: String?

    package init(
        _ principal: Principal, address: String? = nil, listener: String = "", isLocal: Bool = true,
        client: String? = nil
    ) {
        self.principal = principal
        self.address = address
        self.listener = listener
        self.isLocal = isLocal
        self.client = client
    }
}
