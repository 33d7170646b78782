/// The one that asks, and how that is known: what rules go by.
///
/// Immutable, and shared by all that one authentication let in.
package final class Principal: Sendable {
    /// How it is known.
    package enum Kind: String, Sendable, Hashable {
        case anonymous
        case password
        /// By the cookie that a login with a password gives a browser.
        case session
        case token
        case jwt
        case certificate
        /// The user of the process at the other end of a socket in the file system.
        case peer
        /// The administrator's socket.
        case administrator
    }

    package let kind: Kind
    /// `nil`: anonymous, or the administrator.
    package let user: String?
    package let roles: Set<ExactText>
    /// What a token says besides: strings and numbers by their paths, an array's elements one by one.
    package let claims: [ExactText: [String]]
    /// The token's id, or the `jti` of a JWT; `nil`: it has none.
    package let token: String?
    /// What it carries itself besides what the rules give; `nil`: nothing.
    package let carried: AccessRule?
    /// What it may do at most, whatever the rules give; empty: no such limit.
    package let ceilings: [AccessRule]
    /// What it may do at most as an administrator, whatever the rules give; `nil`: no such limit.
    package let admin: Set<AdminRight>?
    /// Unix seconds; `nil`: it does not expire.
    package let expires: Int64?
    /// How much of that is for clocks that differ, in seconds.
    package let leeway: Int64
    /// When its credentials were given out, in Unix seconds; `nil`: not known.
    package let issued: Int64?
    /// Of a JWT, its issuer; `nil`: it has none.
    package let issuer: String?
    /// The roles that its credentials say, without those of the file of users.
    package let ownRoles: Set<ExactText>
    /// The SHA-256 of the client certificate that the file of users ties to the user; `nil`: none is what it is known by.
    package let tie: [UInt8]?
    /// Of a JWT, the mark of the key that has signed it; `nil`: it is not known.
    package let key: Int?
    /// Changes with what it was known by, so that a changed password ends what the old one began; 0: nothing does.
    package let stamp: Int
    /// The login whose cookie was shown; `nil`: none was.
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
        // What comes of it is computed in milliseconds.
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

    /// Whether nothing tells the two apart, so that one may stand for the other.
    package func isSame(as other: Principal) -> Bool {
        if self === other { return true }
        return isSameUser(as: other) && roles == other.roles && token.exact == other.token.exact
            && expires == other.expires && stamp == other.stamp && claims.exact == other.claims.exact
            && carried == other.carried && ceilings == other.ceilings && ownRoles == other.ownRoles
            && issued == other.issued && admin == other.admin && key == other.key
    }

    /// Whether `other` may take its place on a connection: it is the same user, known in the same way.
    package func isSameUser(as other: Principal) -> Bool {
        kind == other.kind && user.exact == other.user.exact && issuer.exact == other.issuer.exact
    }

    /// The end of the year 9999, in Unix seconds: no time that credentials state is later.
    package static let lastSecond: Int64 = 253_402_300_799

    /// All that present nothing.
    package static let anonymous = Principal(.anonymous)
    /// All that come by the administrator's socket.
    package static let administrator = Principal(.administrator)

    /// What a message says of a name that is none, after "expected".
    package static let nameExpectation =
        "expected a name of 1 to 128 bytes without control characters, / + #, and no $ first"

    /// Whether a user's name is one that rules with `{user}` apply to, and that may be given to a new user: 1 to 128 bytes
    /// without control and format characters, `/`, `+`, `#`, and no `$` first.
    package static func isName(_ name: String) -> Bool {
        guard 1...128 ~= name.utf8.count, name.utf8.first != TopicGrammar.dollar else { return false }
        return name.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: false
            default: scalar != "/" && scalar != "+" && scalar != "#"
            }
        }
    }
}

extension [ExactText: [String]] {
    /// With its values compared by their bytes, too.
    var exact: [ExactText: [ExactText]] { mapValues { $0.map { ExactText($0) } } }
}

/// A client as rules see it: a principal, and where it came in.
package struct Subject: Sendable {
    package let principal: Principal
    /// The client's address, without the port; `nil`: it has none.
    package let address: String?
    /// The listener's address, as it is configured.
    package let listener: String
    /// Whether that is on loopback or in the file system.
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
