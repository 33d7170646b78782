/// The origins whose pages may use a server (RFC 6454, RFC 6455 §10.2).
///
/// A request without `Origin` does not come from a browser, and every policy accepts it.
public struct OriginPolicy: Sendable {
    private let decide: @Sendable (Page) -> Decision
    /// The rules; empty if the policy is a function.
    package let rules: [Rule]

    /// A page that sends a request, and the target of the request.
    package struct Page: Sendable {
        /// `Origin` and `Host`, as received.
        let origin: String
        let host: String?
        /// Whether the request came over TLS.
        ///
        /// A page from `https` is accepted also without TLS, because a proxy in front may have terminated it.
        let isSecure: Bool
        /// The page's scheme, `http` or `https`, as a trusted proxy reports it; `nil` if none does.
        let scheme: String?

        package init(origin: String, host: String?, isSecure: Bool, scheme: String? = nil) {
            self.origin = origin
            self.host = host
            self.isSecure = isSecure
            self.scheme = scheme
        }
    }

    /// The decision about a page.
    package enum Decision: Sendable {
        case refused
        case allowed
        /// Allowed by a rule that names one origin, so that the page may use its user's credentials.
        case allowedWithCredentials
    }

    /// Creates a custom policy from a function that is called with `Origin` and `Host` as received.
    public init(_ isAllowed: @escaping @Sendable (_ origin: String, _ host: String?) -> Bool) {
        rules = []
        decide = { isAllowed($0.origin, $0.host) ? .allowed : .refused }
    }

    /// Makes a policy that accepts a page if a rule does.
    package init(_ rules: [Rule]) {
        self.rules = rules
        decide = { page in
            let allowing = rules.filter { $0.allows(page) }
            if allowing.isEmpty { return .refused }
            // A list that accepts all of localhost does not let each page there act with its reader's credentials.
            return allowing.contains(where: \.isExact) ? .allowedWithCredentials : .allowed
        }
    }

    /// Accepts pages of the requested host, with any scheme and port; the default.
    ///
    /// All names and addresses of loopback count as one host.
    public static let sameHost = OriginPolicy([.sameHost])

    /// Accepts all pages.
    public static let any = OriginPolicy([.any])

    /// Accepts pages of these origins, such as `https://example.com` or `https://*.example.com`, and `null`.
    ///
    /// Case is ignored, and a scheme's default port may be omitted. A text that is not an origin matches no page.
    public static func list(_ origins: [String]) -> OriginPolicy {
        OriginPolicy(origins.compactMap { $0 == "null" ? Rule.null : Rule.Pattern($0).map(Rule.pattern) })
    }

    /// The decision about a page.
    package func decision(on page: Page) -> Decision { decide(page) }

    /// Whether the policy accepts pages of exactly this origin, so that they may act with their reader's cookie.
    ///
    /// Not if a rule accepts many origins, such as all of localhost.
    package func allowsExactly(_ page: Page) -> Bool { rules.contains { $0.allowsExactly(page) } }

    func allows(_ origin: String?, host: String?) -> Bool {
        guard let origin else { return true }
        return decide(Page(origin: origin, host: host, isSecure: false)) != .refused
    }
}

extension OriginPolicy {
    /// One entry of a list of origins.
    package enum Rule: Sendable, Hashable {
        /// The origin that the request was sent to: the same host and port, with a scheme that is at least as secure.
        case sameOrigin
        /// An origin with the host that the request was sent to; ports are not compared.
        case sameHost
        /// Every origin, including `null`.
        case any
        /// Pages without an origin: files, sandboxed frames, data URLs.
        case null
        /// Origins of a scheme, a host and a port.
        case pattern(Pattern)

        /// A scheme, a host whose first label may be `*`, and a port.
        package struct Pattern: Sendable, Hashable {
            /// In lower case, without `://`.
            package let scheme: String
            /// The hosts.
            package let host: HostPattern
            /// `nil` for the scheme's default port.
            package let port: UInt16?
        }

        /// Parses `same-origin`, `same-host`, `any`, `null`, or a pattern such as `https://*.example.com`; `nil` if
        /// `text` is none of these.
        package init?(_ text: String) {
            switch text {
            case "same-origin": self = .sameOrigin
            case "same-host": self = .sameHost
            case "any": self = .any
            case "null": self = .null
            default:
                guard let pattern = Pattern(text) else { return nil }
                self = .pattern(pattern)
            }
        }

        /// Whether the rule names one origin, which may then use credentials.
        var isExact: Bool {
            if case .pattern(let pattern) = self { !pattern.host.isWildcard } else { false }
        }

        /// See ``OriginPolicy/allowsExactly(_:)``.
        package func allowsExactly(_ page: Page) -> Bool {
            switch self {
            case .pattern: isExact && allows(page)
            case .sameOrigin: Self.isSameOrigin(page)
            case .sameHost, .any, .null: false
            }
        }

        /// Whether a page may connect.
        ///
        /// All names of loopback count as one host, and a developer's page often comes from another port than the
        /// server's.
        package func allows(_ page: Page) -> Bool {
            switch self {
            case .any: return true
            case .null: return page.origin == "null" || page.origin == "file://"
            case .sameHost, .sameOrigin:
                guard let origin = Origin(page.origin), let server = HostAndPort(page.host ?? "") else { return false }
                if origin.place.isLoopback, server.isLoopback { return true }
                return self == .sameHost ? origin.place.host == server.host : Self.isSameOrigin(page)
            case .pattern(let pattern):
                return Origin(page.origin).map(pattern.matches) ?? false
            }
        }

        private static func isSameOrigin(_ page: Page) -> Bool {
            guard let origin = Origin(page.origin), var server = HostAndPort(page.host ?? "") else { return false }
            if server.port == origin.defaultPort { server.port = nil }
            guard origin.place == server else { return false }
            if let scheme = page.scheme { return origin.scheme == scheme }
            return origin.scheme == "https" || (origin.scheme == "http" && !page.isSecure)
        }
    }
}

extension OriginPolicy.Rule.Pattern {
    init?(_ text: String) {
        guard let origin = Origin(text), let host = HostPattern(host: origin.place.host) else { return nil }
        self.host = host
        scheme = origin.scheme
        port = origin.place.port
    }

    fileprivate func matches(_ origin: Origin) -> Bool {
        origin.scheme == scheme && origin.place.port == port && host.matches(origin.place.host)
    }
}

extension OriginPolicy.Rule: CustomStringConvertible {
    /// The text that ``init(_:)`` reads.
    package var description: String {
        switch self {
        case .sameOrigin: "same-origin"
        case .sameHost: "same-host"
        case .any: "any"
        case .null: "null"
        case .pattern(let pattern):
            "\(pattern.scheme)://\(pattern.host)\(pattern.port.map { ":\($0)" } ?? "")"
        }
    }
}

/// `scheme://authority` without anything after it, in lower case.
private struct Origin {
    let scheme: String
    /// The host and port, without the scheme's default port: RFC 6454 §4 treats it as absent.
    var place: HostAndPort

    init?(_ text: String) {
        let text = text.lowercased()
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else { return nil }
        scheme = String(text[..<colon])
        guard let first = scheme.utf8.first, 0x61...0x7A ~= first,
            scheme.utf8.allSatisfy({ 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || "+-.".utf8.contains($0) }),
            let place = HostAndPort(String(text[colon...].dropFirst(3)))
        else { return nil }
        self.place = place
        if place.port == defaultPort { self.place.port = nil }
    }

    /// The scheme's default port.
    var defaultPort: UInt16? {
        switch scheme {
        case "http": 80
        case "https": 443
        default: nil
        }
    }
}
