internal import WSTransport

/// The credentials of a request, and the way in which it presents them.
///
/// Only the first way that a request uses counts: otherwise a valid cookie would hide wrong credentials in the field.
struct Presented: Sendable {
    /// The ways, in order of precedence.
    enum Way: Sendable {
        case field
        case subprotocol
        /// The cookie of a browser session.
        case session
        /// The cookie that is configured.
        case cookie
        case query
        case certificate
        case peer
        /// The body of a login at `/session`.
        case body
        case nothing
    }

    let credentials: Credentials
    let way: Way
    /// Whether wrong credentials count as a guess.
    ///
    /// A page of another site can make its readers' browsers request a URL with a token, which would otherwise lock the
    /// readers out.
    let isGuess: Bool

    init(_ credentials: Credentials, by way: Way) {
        (self.credentials, self.way) = (credentials, way)
        isGuess = true
    }

    init(_ exchange: HTTPExchange, _ shard: Shard, _ gate: Gate) {
        let request = exchange.request
        let fields = request.head.fields
        let access = shard.access
        if let field = fields.first(.authorization) {
            way = .field
            // Two fields are malformed: a proxy may have checked the other one.
            credentials = fields.count(of: .authorization) == 1 ? Credentials(authorization: field) : .malformed
        } else if let token = Self.subprotocolToken(fields) {
            (credentials, way) = (.bearer(token), .subprotocol)
        } else if let cookie = Self.cookie(exchange, fields, access, shard, gate) {
            (credentials, way) = cookie
        } else if let token = request.parameter("token") {
            let isOnce = request.query.count { $0.name == "token" } == 1
            (credentials, way) = (isOnce ? .bearer(token) : .malformed, .query)
        } else if access.options.certificates != nil, let certificate = exchange.stream?.peerCertificate {
            (credentials, way) = (.certificate(Credentials.Certificate(certificate, access.options)), .certificate)
        } else if access.options.hasPeers, gate.isLocal, !gate.listener.isEmpty,
            // The proxy's user is not the user of its clients.
            let user = exchange.stream?.peerCredentials?.uid
        {
            (credentials, way) = (.peer(user), .peer)
        } else {
            (credentials, way) = (.nothing, .nothing)
        }
        let site = way == .query ? fields.first("Sec-Fetch-Site") : nil
        isGuess = site != "cross-site" && site != "same-site"
    }

    /// The prefix of a token among the offered subprotocols.
    private static let prefix = "bearer.".utf8

    /// Whether an offered subprotocol is a token.
    static func isToken(_ subprotocol: String) -> Bool { subprotocol.utf8.starts(with: prefix) }

    private static func subprotocolToken(_ fields: HTTPFields) -> String? {
        guard fields.has(.webSocketProtocol) else { return nil }
        let offers = fields.list("Sec-WebSocket-Protocol").filter(isToken)
        // Of two tokens, neither counts.
        return offers.first.map { offers.count == 1 ? String(Substring($0.utf8.dropFirst(prefix.count))) : "" }
    }

    /// The credentials of a cookie, which counts only if no other site's page can have sent it.
    private static func cookie(
        _ exchange: HTTPExchange, _ fields: HTTPFields, _ access: Access, _ shard: Shard, _ gate: Gate
    ) -> (Credentials, Way)? {
        guard fields.has(.cookie), let (credentials, way) = cookie(fields, access.options, gate) else { return nil }
        let endpoints = shard.endpoints
        if let origin = fields.first(.origin) {
            let page = OriginPolicy.Page(
                origin: origin, host: exchange.request.head.host, isSecure: gate.isSecure,
                scheme: gate.scheme(of: exchange, endpoints))
            guard endpoints.settings.origins.allowsExactly(page) else { return nil }
        } else {
            let isReading = exchange.request.method == "GET" || exchange.request.method == "HEAD"
            guard isReading, !Handshake.isUpgrade(exchange.request.head),
                fields.first("Sec-Fetch-Site") == "same-origin"
            else { return nil }
        }
        return (credentials, way)
    }

    /// The cookie of a browser session, or else the configured cookie.
    private static func cookie(
        _ fields: HTTPFields, _ options: AccessOptions, _ gate: Gate
    ) -> (Credentials, Way)? {
        let sessions = values(ofCookie: BrowserSessions.cookie, fields)
        if let value = sessions.first {
            // Another page of this site may have set a second cookie of this name.
            return (sessions.count == 1 ? .session(value) : .malformed, .session)
        }
        // A compromised page of this site must not be able to administer the broker.
        guard !options.cookie.isEmpty, !gate.isForAdministrators else { return nil }
        let values = values(ofCookie: options.cookie, fields)
        guard let value = values.first else { return nil }
        return (values.count == 1 ? .bearer(value) : .malformed, .cookie)
    }

    private static func values(ofCookie name: String, _ fields: HTTPFields) -> [String] {
        let name = "\(name)=".utf8
        let pairs = fields.all("Cookie").flatMap { $0.utf8.split(separator: UInt8(ascii: ";")) }
        return pairs.compactMap { pair -> String? in
            let text = pair.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            return text.starts(with: name) ? String(Substring(text.dropFirst(name.count))) : nil
        }
    }
}

extension Credentials {
    /// Parses `Authorization` (RFC 9110 §11.6.2); `Basic` is RFC 7617.
    init(authorization field: String) {
        let space = UInt8(ascii: " ")
        let parts = field.utf8.split(separator: space, maxSplits: 1, omittingEmptySubsequences: true).map(
            Substring.init)
        guard parts.count == 2, let scheme = parts.first?.lowercased() else {
            self = .malformed
            return
        }
        let value = Substring(parts[1].utf8.drop { $0 == space })
        switch scheme {
        case "bearer": self = .bearer(String(value))
        case "basic": self = Self.basic(value) ?? .malformed
        default: self = .malformed
        }
    }

    private static func basic(_ value: Substring) -> Credentials? {
        guard let bytes = Base64.decode(value), let text = String(validating: bytes, as: UTF8.self),
            let colon = text.utf8.firstIndex(of: UInt8(ascii: ":"))
        else { return nil }
        return .basic(user: String(text[..<colon]), password: String(text[text.utf8.index(after: colon)...]))
    }
}

extension Credentials.Certificate {
    /// Copies the fields of a certificate that the configuration selects.
    init(_ certificate: TLSPeerCertificate, _ options: AccessOptions) {
        self.init()
        fingerprint = certificate.fingerprint
        units = certificate.organizationalUnits
        switch options.certificates?.user {
        case .commonName: names = certificate.commonNames
        case .dnsName: names = certificate.dnsNames
        case .mailAddress: names = certificate.mailAddresses
        case .uri: names = certificate.uris
        case .fingerprint, nil: break
        }
    }
}
