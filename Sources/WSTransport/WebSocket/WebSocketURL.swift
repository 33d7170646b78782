/// The URL that a client opens: `ws://user:password@host:port/path?query`, or `wss://…`.
///
/// `http` and `https` are other names for them; `unix:/socket:/path`, or `ws+unix:`, is a socket in the file system.
///
/// RFC 6455 §3, RFC 3986. Schemes and hosts are case-insensitive. In path and query, characters that a URL cannot
/// contain are percent-encoded; escapes stay as they are.
package struct WebSocketURL: Hashable, Sendable {
    /// The address of the server; the host is in lower case.
    package let endpoint: Endpoint
    /// The request's target: path and query, percent-encoded; begins with `/`.
    package let target: String
    /// The credentials; `nil` if the URL has none.
    package let credentials: BasicCredentials?

    /// Why a text is not a valid URL.
    package enum ParseError: Error, Equatable, Sendable, CustomStringConvertible {
        /// Another scheme, or none.
        case unknownScheme
        /// The part before `@`.
        case malformedUser
        case malformedHost
        case malformedPort
        /// A control character, or a `%` that does not begin an escape.
        case malformedPath
        /// RFC 6455 §3: a fragment is not allowed.
        case fragment

        /// A phrase for people.
        package var description: String {
            switch self {
            case .unknownScheme: "expected ws://HOST/PATH or wss://HOST/PATH"
            case .malformedUser: "the user or the password is malformed"
            case .malformedHost: "the host is missing or malformed (names beyond ASCII: in their xn-- form)"
            case .malformedPort: "expected a port from 1 to 65535"
            case .malformedPath: "the path or the query has a control character or an incomplete percent-escape"
            case .fragment: "a WebSocket's URL has no fragment; write # as %23"
            }
        }
    }

    /// Parses `text`; the default port is 80, or 443 for the secure schemes.
    package init(parsing text: String) throws(ParseError) {
        guard let (scheme, rest) = Self.splitScheme(text) else { throw .unknownScheme }
        if scheme == "ws+unix" || scheme == "unix" {
            let path = rest.hasPrefix("//") ? rest.dropFirst(2) : rest
            let colon = path.firstIndex(of: ":") ?? path.endIndex
            guard path.hasPrefix("/"), !path.utf8.contains(0) else { throw .malformedHost }
            endpoint = .unix(path: String(path[..<colon]))
            target = try Self.target(path[colon...].dropFirst())
            credentials = nil
            return
        }
        let isSecure: Bool
        switch scheme {
        case "wss", "https": isSecure = true
        case "ws", "http": isSecure = false
        default: throw .unknownScheme
        }
        guard rest.utf8.starts(with: "//".utf8) else { throw .unknownScheme }
        let (authority, path) = Self.splitAuthority(rest.dropFirst(2))
        var place = authority
        var credentials: BasicCredentials?
        if let at = authority.utf8.lastIndex(of: UInt8(ascii: "@")) {
            credentials = BasicCredentials(userInformation: authority[..<at])
            guard credentials != nil else { throw .malformedUser }
            place = authority[authority.utf8.index(after: at)...]
        }
        let found: URLAuthority
        do throws(URLAuthority.Problem) {
            found = try URLAuthority(parsing: place)
        } catch {
            throw error == .port ? .malformedPort : .malformedHost
        }
        endpoint = .internet(
            host: found.host.lowercasedASCII(), port: found.port ?? (isSecure ? 443 : 80), isSecure: isSecure)
        target = try Self.target(path)
        self.credentials = credentials
    }

    /// Makes a URL from a path, with its query and percent-encoded, for a server without a URL, or with known parts.
    package init(endpoint: Endpoint, path: String, credentials: BasicCredentials? = nil) {
        self.endpoint = endpoint
        target = path.utf8.first == UInt8(ascii: "/") ? path : "/" + path
        self.credentials = credentials
    }

    /// The target of `reference` in a response from this URL (RFC 3986 §5.2, RFC 9110 §10.2.2).
    ///
    /// A fragment is for browsers, and is dropped.
    func resolving(_ reference: String) throws(ParseError) -> WebSocketURL {
        let reference = reference.prefix { $0 != "#" }
        if Self.splitScheme(reference) != nil { return try WebSocketURL(parsing: String(reference)) }
        if reference.utf8.starts(with: "//".utf8) {
            guard case .internet(_, _, let isSecure) = endpoint else { throw .malformedHost }
            return try WebSocketURL(parsing: (isSecure ? "wss:" : "ws:") + reference)
        }
        let mark = reference.utf8.firstIndex(of: UInt8(ascii: "?")) ?? reference.endIndex
        var path = String(reference[..<mark])
        var query = reference[mark...]
        if path.isEmpty {
            path = self.path
            if query.isEmpty { query = target.dropFirst(path.count) }
        } else if path.utf8.first != UInt8(ascii: "/") {
            path = String(self.path.reversed().drop { $0 != "/" }.reversed()) + path
        }
        return WebSocketURL(
            endpoint: endpoint, path: try Self.target(Self.withoutDotSegments(path) + query), credentials: credentials)
    }

    /// The target without its query.
    var path: String { String(target.prefix { $0 != "?" }) }

    /// The scheme in lower case, and everything after its colon.
    private static func splitScheme(_ text: some StringProtocol) -> (String, Substring)? {
        let text = Substring(text)
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), text.utf8.first?.isLetter == true,
            text.utf8[..<colon].allSatisfy({ $0.isLetter || $0.isDigit || "+-.".utf8.contains($0) })
        else { return nil }
        return (text[..<colon].lowercasedASCII(), text[text.utf8.index(after: colon)...])
    }

    private static func splitAuthority(_ text: Substring) -> (authority: Substring, path: Substring) {
        let end = text.utf8.firstIndex { "/?#".utf8.contains($0) } ?? text.endIndex
        return (text[..<end], text[end...])
    }

    /// Path and query in the form in which a request sends them.
    private static func target(_ text: some StringProtocol) throws(ParseError) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = text.utf8.first == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]
        var escape = 0
        for byte in text.utf8 {
            if escape > 0 {
                guard byte.hexadecimalValue != nil else { throw .malformedPath }
                escape -= 1
            }
            switch byte {
            case UInt8(ascii: "#"): throw .fragment
            case 0..<0x20, 0x7F: throw .malformedPath
            case UInt8(ascii: "%"):
                escape = 2
                bytes.append(byte)
            case let byte where byte > 0x7F || " \"<>\\^`{|}".utf8.contains(byte):
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 0x0F)]]
            default: bytes.append(byte)
            }
        }
        guard escape == 0 else { throw .malformedPath }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// RFC 3986 §5.2.4, for a path that begins with `/`.
    private static func withoutDotSegments(_ path: String) -> String {
        var kept: [Substring] = []
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            switch segment {
            case ".": if index == segments.count - 1 { kept.append("") }
            case "..":
                _ = kept.popLast()
                if index == segments.count - 1 { kept.append("") }
            default: kept.append(segment)
            }
        }
        return "/" + kept.joined(separator: "/")
    }
}

extension WebSocketURL: CustomStringConvertible {
    /// The URL without user and password.
    package var description: String {
        switch endpoint {
        case .internet(_, _, let isSecure): (isSecure ? "wss://" : "ws://") + endpoint.hostField + target
        case .unix(let path): "unix:" + path + target
        }
    }
}
