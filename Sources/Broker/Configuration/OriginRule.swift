/// One entry of the list of web origins that may connect.
///
/// Source: RFC 6454 §7.
package enum OriginRule: Sendable, Hashable {
    /// The origin's host is the one the request was sent to; ports are not compared.
    case sameHost
    /// Every origin, `null` too.
    case any
    /// Origins of a scheme, a host and a port.
    case pattern(Pattern)

    /// A scheme, a host whose first label may be `*`, and a port.
    package struct Pattern: Sendable, Hashable {
        /// In lower case, without `://`.
        package let scheme: String
        /// In lower case, without a leading `*.`; an IPv6 address keeps its brackets.
        package let host: String
        /// Whether any number of labels may stand before ``host``; at least one has to.
        package let isWildcard: Bool
        /// `nil`: the scheme's own port.
        package let port: UInt16?
    }

    /// Reads `same-host`, `any`, or a pattern such as `https://*.example.com`; `nil` when `text` is none of these.
    package init?(_ text: String) {
        switch text {
        case "same-host": self = .sameHost
        case "any": self = .any
        default:
            guard let pattern = Pattern(text) else { return nil }
            self = .pattern(pattern)
        }
    }

    /// Whether a page of `origin` may connect to `host`, both as they stand in the request's fields.
    package func allows(_ origin: String, host: String) -> Bool {
        switch self {
        case .any: return true
        case .sameHost:
            guard let page = Origin(origin), let server = Authority(host.lowercased()) else { return false }
            return page.authority.host == server.host
        case .pattern(let pattern):
            guard let page = Origin(origin) else { return false }
            return pattern.matches(page)
        }
    }
}

extension OriginRule.Pattern {
    fileprivate init?(_ text: String) {
        guard let origin = Origin(text) else { return nil }
        isWildcard = origin.authority.host.hasPrefix("*.")
        host = isWildcard ? String(origin.authority.host.dropFirst(2)) : origin.authority.host
        guard !host.isEmpty, !host.contains("*") else { return nil }
        scheme = origin.scheme
        port = origin.authority.port
    }

    fileprivate func matches(_ page: Origin) -> Bool {
        let authority = page.authority
        guard page.scheme == scheme, authority.port == port, !authority.host.contains("*") else { return false }
        return isWildcard ? authority.host.hasSuffix(".\(host)") : authority.host == host
    }
}

extension OriginRule: CustomStringConvertible {
    /// The text that ``init(_:)`` reads.
    package var description: String {
        switch self {
        case .sameHost: "same-host"
        case .any: "any"
        case .pattern(let pattern):
            "\(pattern.scheme)://\(pattern.isWildcard ? "*." : "")\(pattern.host)\(pattern.port.map { ":\($0)" } ?? "")"
        }
    }
}

/// `scheme://authority` and nothing behind it, in lower case.
private struct Origin {
    let scheme: String
    let authority: Authority

    init?(_ text: String) {
        let text = text.lowercased()
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else { return nil }
        scheme = String(text[..<colon])
        guard let first = scheme.utf8.first, 0x61...0x7A ~= first,
            scheme.utf8.allSatisfy({ 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || "+-.".utf8.contains($0) }),
            var authority = Authority(String(text[colon...].dropFirst(3)))
        else { return nil }
        switch (scheme, authority.port) {
        case ("http", 80), ("https", 443): authority.port = nil  // RFC 6454 §4: the same origin as without a port.
        default: break
        }
        self.authority = authority
    }
}

/// `host` or `host:port`.
private struct Authority {
    let host: String
    var port: UInt16?

    init?(_ text: String) {
        var hostEnd = text.endIndex
        if let colon = text.lastIndex(of: ":"), !text[colon...].contains("]") {
            let digits = text[text.index(after: colon)...]
            guard 1...5 ~= digits.utf8.count, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let port = UInt16(digits)
            else { return nil }
            self.port = port
            hostEnd = colon
        }
        host = String(text[..<hostEnd])
        let isAddress = host.hasPrefix("[") && host.hasSuffix("]") && host.utf8.count > 2
        let allowed: (UInt8) -> Bool = { byte in
            0x61...0x7A ~= byte || 0x30...0x39 ~= byte || "-._*".utf8.contains(byte)
                || (isAddress && "[:]".utf8.contains(byte))
        }
        guard !host.isEmpty, host.utf8.allSatisfy(allowed) else { return nil }
    }
}
