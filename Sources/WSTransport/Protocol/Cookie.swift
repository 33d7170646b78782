/// A cookie as a server has set it (RFC 6265).
package struct Cookie: Hashable, Sendable {
    /// The origin of a cookie, or the target of a request.
    package struct Scope: Hashable, Sendable {
        /// In lower case; an IPv6 address without brackets.
        package let host: String
        /// Whether `host` is a numeric address, which has no parent domains.
        package let isAddress: Bool
        /// The path without its query, percent-encoded.
        package let path: String
        /// Whether it uses TLS.
        package let isSecure: Bool

        /// Makes a scope from its parts.
        package init(host: String, isAddress: Bool, path: String, isSecure: Bool) {
            self.host = host
            self.isAddress = isAddress
            self.path = path
            self.isSecure = isSecure
        }
    }

    /// The maximum size of name and value together, in bytes (RFC 6265 §6.1).
    package static let maximumSize = 4096
    /// The longest time for which a cookie is kept, in seconds: 400 days.
    static let maximumAge: Int64 = 400 * 86_400

    package let name: String
    package let value: String
    /// The host, or the parent domain, that it is for; in lower case.
    package let domain: String
    /// Whether it is sent only to exactly this host.
    package let isHostOnly: Bool
    package let path: String
    /// Whether it is sent only over TLS.
    package let isSecure: Bool
    /// In Unix seconds; `nil` if the owner of the jar decides.
    package let expires: Int64?

    /// Parses a `Set-Cookie` of a response from `scope`, at `now` in Unix seconds; `nil` if it sets no cookie (RFC 6265
    /// §5.2, §5.3).
    ///
    /// A cookie that must be deleted is returned as expired. There is no list of public suffixes: a domain without a
    /// dot is refused, but `co.uk` is not recognised as one.
    package init?(parsing text: String, from scope: Scope, now: Int64) {
        guard text.utf8.allSatisfy(\.isFieldCharacter) else { return nil }
        let parts = text.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        guard let (name, value) = Self.pair(parts[0]), !name.isEmpty,
            name.utf8.count + value.utf8.count <= Self.maximumSize
        else { return nil }
        var domain = ""
        var path: String?
        var maximumAge: Int64?
        var date: Int64?
        var isSecure = false
        for part in parts.dropFirst() {
            let (attribute, value) = Self.pair(part) ?? (String(Substring(part.trimmingWhitespace())), "")
            switch attribute.lowercasedASCII() {
            case "expires": date = CookieDate.parse(value) ?? date
            case "max-age": maximumAge = Self.seconds(value) ?? maximumAge
            case "domain": domain = String(value.drop { $0 == "." }).lowercasedASCII()
            case "path": path = value.utf8.first == UInt8(ascii: "/") ? value : nil
            case "secure": isSecure = true
            default: break
            }
        }
        // RFC 6265bis §5.7: a cookie set without TLS must not replace one that was set over TLS.
        guard scope.isSecure || !isSecure else { return nil }
        // A domain without a dot is shared by unrelated hosts, unless it is the whole name of the host.
        isHostOnly = domain.isEmpty || (domain == scope.host && (scope.isAddress || !domain.contains(".")))
        guard isHostOnly || (domain.contains(".") && Self.isHost(scope, within: domain)) else { return nil }
        let lowered = name.lowercasedASCII()
        if lowered.hasPrefix("__secure-") || lowered.hasPrefix("__host-") { guard isSecure else { return nil } }
        if lowered.hasPrefix("__host-") { guard domain.isEmpty, path == "/" else { return nil } }
        self.name = name
        self.value = value
        self.domain = isHostOnly ? scope.host : domain
        self.path = path ?? Self.defaultPath(scope.path)
        self.isSecure = isSecure
        let latest = now + Self.maximumAge
        if let maximumAge {
            expires = maximumAge <= 0 ? .min : min(latest, now + min(maximumAge, Self.maximumAge))
        } else {
            expires = date.map { min($0, latest) }
        }
    }

    /// Whether it has expired at `now`, in Unix seconds.
    package func isExpired(at now: Int64) -> Bool { expires.map { $0 <= now } ?? false }

    /// Whether it is sent with a request to `scope` (RFC 6265 §5.4).
    package func matches(_ scope: Scope) -> Bool {
        guard isHostOnly ? scope.host == domain : Self.isHost(scope, within: domain) else { return false }
        guard !isSecure || scope.isSecure else { return false }
        guard scope.path.utf8.starts(with: path.utf8) else { return false }
        let rest = scope.path.utf8.dropFirst(path.utf8.count)
        return rest.isEmpty || path.utf8.last == UInt8(ascii: "/") || rest.first == UInt8(ascii: "/")
    }

    /// Whether it is the same cookie, whatever its value (RFC 6265 §5.3).
    package func replaces(_ other: Cookie) -> Bool {
        name == other.name && domain == other.domain && path == other.path
    }

    /// §5.1.3: the same, or a name below it.
    private static func isHost(_ scope: Scope, within domain: String) -> Bool {
        scope.host == domain || (!scope.isAddress && scope.host.hasSuffix("." + domain))
    }

    /// §5.1.4: up to the last slash, without it.
    private static func defaultPath(_ path: String) -> String {
        guard path.utf8.first == UInt8(ascii: "/"), let last = path.lastIndex(of: "/"), last != path.startIndex else {
            return "/"
        }
        return String(path[..<last])
    }

    private static func pair(_ part: Substring.UTF8View.SubSequence) -> (String, String)? {
        guard let mark = part.firstIndex(of: UInt8(ascii: "=")) else { return nil }
        let value = part[part.index(after: mark)...].trimmingWhitespace()
        return (String(Substring(part[..<mark].trimmingWhitespace())), String(Substring(value)))
    }

    private static func seconds(_ text: String) -> Int64? {
        let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
        guard !digits.isEmpty, digits.allSatisfy(\.isDigit) else { return nil }
        // A number with too many digits means the far future, or the past.
        return Int64(text) ?? (digits.count == text.utf8.count ? .max : .min)
    }
}
