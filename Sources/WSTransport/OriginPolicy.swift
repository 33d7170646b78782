/// Which pages may open WebSockets of a server (RFC 6455 §10.2).
///
/// A request without `Origin` does not come from a browser, and every policy admits it.
public struct OriginPolicy: Sendable {
    private let isAllowed: @Sendable (_ origin: String, _ host: String?) -> Bool

    /// A custom policy, called with `Origin` and `Host` as they were sent.
    public init(_ isAllowed: @escaping @Sendable (_ origin: String, _ host: String?) -> Bool) {
        self.isAllowed = isAllowed
    }

    /// Pages of the requested host, whatever their scheme and port: the default.
    public static let sameHost = OriginPolicy { origin, host in
        guard let host, let start = origin.firstRange(of: "://")?.upperBound else { return false }
        return name(origin[start...]) == name(host[...])
    }

    /// All pages.
    public static let any = OriginPolicy { _, _ in true }

    /// Pages of these origins, such as `https://example.com`, compared without regard to case.
    public static func list(_ origins: [String]) -> OriginPolicy {
        let known = Set(origins.map { $0.lowercased() })
        return OriginPolicy { origin, _ in known.contains(origin.lowercased()) }
    }

    /// A host without its port, in small letters.
    private static func name(_ authority: Substring) -> String {
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") { return authority[...end].lowercased() }
        return authority.prefix { $0 != ":" && $0 != "/" }.lowercased()
    }

    func allows(_ origin: String?, host: String?) -> Bool { origin.map { isAllowed($0, host) } ?? true }
}
