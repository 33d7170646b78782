/// One entry of the list of web origins that may connect.
///
/// Source: RFC 6454 §7.
package enum OriginRule: Sendable, Hashable {
    /// The origin is the one that the request was sent to: host and port, and a scheme that is not less secure.
    case sameOrigin
    /// The origin's host is the one that the request was sent to; ports are not compared.
    case sameHost
    /// Every origin, `null` too.
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
        /// `nil`: the scheme's own port.
        package let port: UInt16?
    }

    /// Reads `same-origin`, `same-host`, `any`, `null`, or a pattern such as `https://*.example.com`; `nil` when `text` is none
    /// of these.
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

    /// Whether it names one origin, which may then use credentials.
    package var isExact: Bool {
        if case .pattern(let pattern) = self { !pattern.host.isWildcard } else { false }
    }

    /// Whether it lets in pages of exactly this origin, which may then act with their reader's cookie.
    ///
    /// Not so where it lets in a crowd, as all of localhost.
    package func isExactly(_ origin: String, host: String, isSecure: Bool) -> Bool {
        switch self {
        case .pattern: return isExact && allows(origin, host: host, isSecure: isSecure)
        case .sameOrigin:
            guard let page = Origin(origin), var server = HostAndPort(host) else { return false }
            if server.port == page.defaultPort { server.port = nil }
            return page.place == server && (page.scheme == "https" || (page.scheme == "http" && !isSecure))
        case .sameHost, .any, .null: return false
        }
    }

    /// Whether a page of `origin` may connect to `host`, both as in the request's fields.
    ///
    /// On loopback all names are one host, and a developer's page comes from another port than the broker's.
    ///
    /// - Parameters:
    ///   - isSecure: whether the request came by TLS. A page that did may always ask one that did not: a proxy in front has
    ///     ended its TLS.
    ///   - scheme: `http` or `https`, where a trusted proxy says which one the page's browser has used.
    package func allows(_ origin: String, host: String, isSecure: Bool, scheme: String? = nil) -> Bool {
        switch self {
        case .any: return true
        case .null: return origin == "null" || origin == "file://"
        case .sameHost, .sameOrigin:
            guard let page = Origin(origin), var server = HostAndPort(host) else { return false }
            if page.place.isLoopback, server.isLoopback { return true }
            if self == .sameHost { return page.place.host == server.host }
            if server.port == page.defaultPort { server.port = nil }
            if let scheme { return page.place == server && page.scheme == scheme }
            return page.place == server && (page.scheme == "https" || (page.scheme == "http" && !isSecure))
        case .pattern(let pattern):
            guard let page = Origin(origin) else { return false }
            return pattern.matches(page)
        }
    }
}

extension OriginRule.Pattern {
    fileprivate init?(_ text: String) {
        guard let origin = Origin(text), let host = HostPattern(host: origin.place.host) else { return nil }
        self.host = host
        scheme = origin.scheme
        port = origin.place.port
    }

    fileprivate func matches(_ page: Origin) -> Bool {
        page.scheme == scheme && page.place.port == port && host.matches(page.place.host)
    }
}

extension OriginRule: CustomStringConvertible {
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
    /// Without the scheme's own port: RFC 6454 §4 calls the origin with it the same.
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

    /// The scheme's own port.
    var defaultPort: UInt16? {
        switch scheme {
        case "http": 80
        case "https": 443
        default: nil
        }
    }
}
