/// An HTTP proxy that connects to servers by CONNECT (RFC 9110 §9.3.6).
package struct ClientProxy: Hashable, Sendable {
    /// The address of the proxy.
    package let endpoint: Endpoint
    /// The credentials for `Proxy-Authorization`; `nil` for none.
    package let credentials: BasicCredentials?

    /// Why a text does not name a proxy.
    package enum ParseError: Error, Equatable, Sendable, CustomStringConvertible {
        /// A scheme other than `http`, or none.
        case unknownScheme
        case malformedUser
        case malformedAddress
        /// Something after the port.
        case surplus

        /// A phrase for people.
        package var description: String {
            switch self {
            case .unknownScheme: "expected http://HOST:PORT"
            case .malformedUser: "the user or the password is malformed"
            case .malformedAddress: "the host or the port is missing or malformed"
            case .surplus: "nothing may follow the port"
            }
        }
    }

    /// Makes a proxy at `endpoint`.
    package init(endpoint: Endpoint, credentials: BasicCredentials? = nil) {
        self.endpoint = endpoint
        self.credentials = credentials
    }

    /// Parses `http://user:password@host:port`; the default port is 80.
    package init(parsing text: String) throws(ParseError) {
        guard text.prefix(7).isSameIgnoringCase("http://") else { throw .unknownScheme }
        let url: WebSocketURL
        do throws(WebSocketURL.ParseError) {
            url = try WebSocketURL(parsing: text)
        } catch {
            switch error {
            case .malformedUser: throw .malformedUser
            case .unknownScheme, .malformedHost, .malformedPort: throw .malformedAddress
            case .malformedPath, .fragment: throw .surplus
            }
        }
        guard url.target == "/" else { throw .surplus }
        self.init(endpoint: url.endpoint, credentials: url.credentials)
    }
}
