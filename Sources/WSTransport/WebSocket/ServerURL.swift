/// The URL of a server: `http://host:port/prefix`, `ws://…`, `https://…`, `wss://…`, or `unix:/path`.
package struct ServerURL: Hashable, Sendable {
    /// The address of the server.
    package let endpoint: Endpoint
    /// A prefix of every path; begins with `/` and does not end with one, or is empty.
    package let pathPrefix: String

    /// Why a text is not the URL of a server.
    package enum ParseError: Error, Equatable, Sendable, CustomStringConvertible {
        /// Another scheme, or none.
        case unknownScheme
        case malformedHost
        case malformedPort
        /// Something other than host, port and path, or a byte that a URL cannot contain.
        case malformedPath

        /// A phrase for people.
        package var description: String {
            switch self {
            case .unknownScheme:
                "expected http://HOST:PORT, ws://HOST:PORT, https://HOST:PORT, wss://HOST:PORT or unix:/PATH"
            case .malformedHost: "the host is missing or malformed"
            case .malformedPort: "expected a port from 1 to 65535"
            case .malformedPath: "only a path may follow the port"
            }
        }
    }

    /// Parses `text`; the default port is 80, or 443 for `https` and `wss`.
    package init(parsing text: String) throws(ParseError) {
        guard let colon = text.firstIndex(of: ":") else { throw .unknownScheme }
        var rest = text[text.index(after: colon)...]
        let isSecure: Bool
        switch text[..<colon].lowercased() {
        case "unix":
            if rest.hasPrefix("//") { rest = rest.dropFirst(2) }
            guard !rest.isEmpty, !rest.utf8.contains(0) else { throw .malformedPath }
            endpoint = .unix(path: String(rest))
            pathPrefix = ""
            return
        case "https", "wss": isSecure = true
        case "http", "ws": isSecure = false
        default: throw .unknownScheme
        }
        guard rest.hasPrefix("//") else { throw .unknownScheme }
        rest = rest.dropFirst(2)
        let authority = rest.prefix { !"/?#".contains($0) }
        endpoint = try Self.endpoint(authority, isSecure)
        var path = rest[authority.endIndex...]
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") })
        else { throw .malformedPath }
        while path.last == "/" { path = path.dropLast() }
        pathPrefix = String(path)
    }

    private static func endpoint(_ text: Substring, _ isSecure: Bool) throws(ParseError) -> Endpoint {
        do throws(URLAuthority.Problem) {
            let authority = try URLAuthority(parsing: text)
            let port = authority.port ?? (isSecure ? 443 : 80)
            return .internet(host: authority.host, port: port, isSecure: isSecure)
        } catch {
            throw error == .port ? .malformedPort : .malformedHost
        }
    }
}
