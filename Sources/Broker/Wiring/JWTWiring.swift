internal import Cryptography
internal import WSTransport

extension JWTIssuer {
    /// An issuer from its settings, without its keys.
    init(_ settings: Settings.Access.JWT) {
        self.init(settings.issuer, audience: settings.audience, algorithms: Set(settings.acceptedAlgorithms))
        leeway = settings.leeway.components.seconds
        maximumLifetime = settings.maximumLifetime.components.seconds
        userClaim = settings.userClaim
        rolesClaim = settings.rolesClaim
        grantsClaim = settings.grantsClaim
        mayGrant = settings.mayGrant.compactMap { try? TopicFilter($0, limits: .none) }
    }
}

extension JWTKeySource {
    /// The source of an issuer's keys from its settings; reads a secret.
    init(_ settings: Settings.Access.JWT) throws(SecretError) {
        if let secret = settings.secret {
            self = .secret(try secret.read())
        } else if let keys = settings.keys, keys.hasPrefix("file:") {
            self = .file(path: SecretText.expanded(String(keys.dropFirst(5))))
        } else {
            do throws(WebSocketURL.ParseError) {
                let url = try WebSocketURL(parsing: settings.keys ?? "")
                self = .url(url, ca: settings.ca, refresh: settings.refresh)
            } catch {
                throw SecretError("expected the address of a key set: \(error)")
            }
        }
    }
}
