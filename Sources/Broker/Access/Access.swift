internal import Synchronization

/// The access rules, users, tokens and options that are in force at one moment.
///
/// Immutable. The main thread builds a new one from the settings and files, and sends it to each reactor.
package final class Access: Sendable {
    package let rules: AccessRules
    package let users: UserTable
    package let options: AccessOptions
    /// Verifies JSON Web Tokens; `nil` if no issuer is trusted.
    package let webTokens: JWTAuthority?
    /// Rises with each instance, because the reactors do not all get a new one at the same moment.
    let version = Access.last.wrappingAdd(1, ordering: .relaxed).newValue
    private static let last = Atomic<UInt64>(0)

    package init(
        _ rules: AccessRules, users: UserTable = UserTable(), options: AccessOptions = AccessOptions(),
        webTokens: JWTAuthority? = nil
    ) {
        self.rules = rules
        self.users = users
        self.options = options
        self.webTokens = webTokens
    }

    /// Creates an instance with rules, and without users, tokens or options.
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
    /// Which tokens are accepted in the query of a URL.
    package enum QueryTokens: String, Sendable, CaseIterable {
        /// Tokens with a lifetime of at most an hour.
        case short
        case any
        case none
    }

    package var queryTokens = QueryTokens.short
    /// The name of the cookie that carries a token; empty if no cookie is read.
    package var cookie = ""
    /// Whether a client of a Unix socket is authenticated as the system user of its process.
    package var hasPeers = false
    /// The field of a client certificate that names the user; `nil` if certificates do not authenticate.
    package var certificates: CertificateIdentity?
    /// How long a client without any rights has to authenticate, in nanoseconds.
    package var authenticationTimeout: Int64 = 10_000_000_000
    /// How long a correct password is remembered instead of being computed again, in nanoseconds; 0 disables the cache.
    package var credentialCache: Int64 = 300_000_000_000

    /// The limits of browser logins.
    package var sessions = BrowserSessions.Limits()

    package init() {}

    /// The longest lifetime of a token that `short` accepts in a URL, in seconds.
    static let shortLife: Int64 = 3600

    /// Whether the token of a principal is accepted in a URL.
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

/// How a client certificate names a user and the user's roles.
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

/// A right of an administrator; each request of ``AdminRequest`` needs one.
package enum AdminRight: String, Sendable, CaseIterable {
    /// Read the broker's state, its clients and its values.
    case read
    /// Change values and disconnect clients.
    case write
    /// Change how the broker runs and who may do what, and copy all its data.
    case operate
}

extension Access {
    /// The administrative rights of a client: those of the rules that apply to it, reduced to those of its token.
    ///
    /// An anonymous client has none, whatever the rules say.
    package func adminRights(of subject: Subject) -> Set<AdminRight> {
        rules.adminRights(of: subject)
    }
}

extension AccessRules {
    /// See ``Access/adminRights(of:)``.
    package func adminRights(of subject: Subject) -> Set<AdminRight> {
        switch subject.principal.kind {
        case .administrator: return Set(AdminRight.allCases)
        case .anonymous: return []
        case .password, .session, .token, .jwt, .certificate, .peer: break
        }
        var rights: Set<AdminRight> = []
        for rule in rules where !rule.admin.isEmpty && rule.condition.applies(to: subject) {
            rights.formUnion(rule.admin)
        }
        return subject.principal.admin.map { rights.intersection($0) } ?? rights
    }
}
