/// An authenticated client, and how it was authenticated; rules apply to it.
///
/// Immutable, and shared by all connections of one authentication.
package final class Principal: Sendable {
    /// How the client was authenticated.
    package enum Kind: String, Sendable, Hashable {
        case anonymous
        case password
        /// By the cookie of a browser login.
        case session
        case token
        case jwt
        case certificate
        /// By the system user of the process at the other end of a Unix socket.
        case peer
        /// By the admin socket.
        case administrator
    }

    package let kind: Kind
    /// The user; `nil` for anonymous clients and the administrator.
    package let user: String?
    package let roles: Set<ExactText>
    /// The other claims of a token: strings and numbers by their paths, an array's elements one by one.
    package let claims: [ExactText: [String]]
    /// The id of a token, or the `jti` of a JWT; `nil` if there is none.
    package let token: String?
    /// The rights that a token carries, in addition to those of the rules; `nil` if there are none.
    package let carried: AccessRule?
    /// Limits on the rights that rules give; empty if there are none.
    package let ceilings: [AccessRule]
    /// A limit on the administrative rights that rules give; `nil` if there is none.
    package let admin: Set<AdminRight>?
    /// When the credentials expire, in Unix seconds; `nil` if they do not.
    package let expires: Int64?
    /// The part of ``expires`` that allows for clock differences, in seconds.
    package let leeway: Int64
    /// When the credentials were issued, in Unix seconds; `nil` if unknown.
    package let issued: Int64?
    /// The issuer of a JWT; `nil` for other credentials.
    package let issuer: String?
    /// The roles in the credentials, without those of the users file.
    package let ownRoles: Set<ExactText>
    /// The SHA-256 of the client certificate by which the users file identified the user; `nil` if none did.
    package let tie: [UInt8]?
    /// The mark of the key that signed a JWT; `nil` if unknown.
    package let key: Int?
    /// Changes with the credentials, so that a new password ends connections made with the old one; 0 if it never
    /// changes.
    package let stamp: Int
    /// The browser session; `nil` for other credentials.
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
        // The product with 1000 must not overflow either.
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

    /// Whether the two are equal in every respect, so that one can replace the other.
    package func isSame(as other: Principal) -> Bool {
        if self === other { return true }
        return isSameUser(as: other) && roles == other.roles && token.exact == other.token.exact
            && expires == other.expires && stamp == other.stamp && claims.exact == other.claims.exact
            && carried == other.carried && ceilings == other.ceilings && ownRoles == other.ownRoles
            && issued == other.issued && admin == other.admin && key == other.key
    }

    /// Whether `other` may replace this principal on a connection: the same user, authenticated in the same way.
    package func isSameUser(as other: Principal) -> Bool {
        kind == other.kind && user.exact == other.user.exact && issuer.exact == other.issuer.exact
    }

    /// The end of the year 9999, in Unix seconds; times in credentials are not later.
    package static let lastSecond: Int64 = 253_402_300_799

    /// The principal of all clients without credentials.
    package static let anonymous = Principal(.anonymous)
    /// The principal of all clients of the admin socket.
    package static let administrator = Principal(.administrator)

    /// The end of an error message about an invalid name.
    package static let nameExpectation =
        "expected a name of 1 to 128 bytes without control characters, /, + or #, not beginning with $"

    /// Whether a name is valid for a new user, and for rules with `{user}`: 1 to 128 bytes without control and format
    /// characters, `/`, `+`, `#`, and no `$` first.
    package static func isName(_ name: String) -> Bool {
        guard 1...128 ~= name.utf8.count, name.utf8.first != TopicGrammar.dollar else { return false }
        // Most names are ASCII and need no Unicode look-up.
        if name.utf8.allSatisfy({ 0x20...0x7E ~= $0 && !"/+#".utf8.contains($0) }) { return true }
        return name.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: false
            default: scalar != "/" && scalar != "+" && scalar != "#"
            }
        }
    }

    /// A remark for administrators about a name that ``isName(_:)`` rejects but a login server has issued; `nil` if
    /// there is none.
    package var objection: String? {
        guard kind == .jwt, let user, !Self.isName(user) else { return nil }
        return "rules with {user} do not apply to this name"
    }
}

extension [ExactText: [String]] {
    /// The same claims, with values that are compared byte by byte too.
    var exact: [ExactText: [ExactText]] { mapValues { $0.map { ExactText($0) } } }
}

/// A client as rules see it: a principal, and the way it connected.
package struct Subject: Sendable {
    package let principal: Principal
    /// The client's address, without the port; `nil` if it has none.
    package let address: String?
    /// The listener's address, as configured.
    package let listener: String
    /// Whether the listener is on loopback or a Unix socket.
    package let isLocal: Bool
    /// The broker's name for the client; `nil` if it has none yet.
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
