/// All that decides who may do what, as it holds from one moment to the next change.
///
/// Immutable. The main thread makes it of settings and files, and each reactor gets it by letter.
package final class Access: Sendable {
    package let rules: AccessRules
    package let users: UserTable
    package let options: AccessOptions
    /// Knows clients by JSON Web Tokens; `nil`: none are believed.
    package let webTokens: JWTAuthority?

    package init(
        _ rules: AccessRules, users: UserTable = UserTable(), options: AccessOptions = AccessOptions(),
        webTokens: JWTAuthority? = nil
    ) {
        self.rules = rules
        self.users = users
        self.options = options
        self.webTokens = webTokens
    }

    /// Rules without users, tokens and options.
    package convenience init(_ rules: [AccessRule]) { self.init(AccessRules(rules)) }
}

extension Access {
    /// Looks a principal up again; see ``UserTable/renewal(of:from:now:)``.
    package func renewal(of principal: Principal, from address: () -> String?, now: Int64) -> UserTable.Renewal {
        if principal.kind == .jwt, webTokens?.vouches(for: principal) != true { return .ended }
        return users.renewal(of: principal, from: address, now: now)
    }
}

/// What the configuration says about credentials besides rules and users.
package struct AccessOptions: Sendable, Equatable {
    /// Which tokens may be in an address.
    package enum QueryTokens: String, Sendable, CaseIterable {
        /// Those that live an hour at most.
        case short
        case any
        case none
    }

    package var queryTokens = QueryTokens.short
    /// The cookie with a token; empty: none is looked at.
    package var cookie = ""
    /// Whether the user at the other end of a socket in the file system is the user.
    package var hasPeers = false
    /// What of a client certificate names the user; `nil`: certificates are no identity.
    package var certificates: CertificateIdentity?
    /// How long a client that may do nothing has to authenticate, in nanoseconds.
    package var authenticationTimeout: Int64 = 10_000_000_000
    /// How long a password that was right need not be computed again, in nanoseconds; 0: not at all.
    package var credentialCache: Int64 = 300_000_000_000

    /// How long people at browsers stay logged in, and how many may.
    package var sessions = BrowserSessions.Limits()

    package init() {}

    /// The longest life of a token that `short` lets into an address, in seconds.
    static let shortLife: Int64 = 3600

    /// Whether a principal's token may be in an address.
    package func mayBeInAddress(_ principal: Principal) -> Bool {
        switch queryTokens {
        case .any: return true
        case .none: return false
        case .short:
            guard let issued = principal.issued, let expires = principal.expires else { return false }
            return expires - principal.leeway - issued <= Self.shortLife
        }
    }
}

/// What of a client certificate names a user.
package struct CertificateIdentity: Sendable, Equatable {
    package enum User: String, Sendable, CaseIterable {
        case commonName = "cn"
        case dnsName = "san-dns"
        case mailAddress = "san-email"
        case uri = "san-uri"
        case fingerprint
    }

    package enum Roles: String, Sendable, CaseIterable {
        case organizationalUnit = "ou"
        case none
    }

    package var user = User.dnsName
    package var roles = Roles.none

    package init() {}
}
