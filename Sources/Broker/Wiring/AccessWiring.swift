internal import Cryptography
internal import WSTransport

extension Access {
    /// Access rights and credentials from the configuration.
    package convenience init(_ settings: Settings, users: UserTable, webTokens: JWTAuthority? = nil) {
        self.init(
            AccessRules(settings), users: users, options: AccessOptions(settings.access), webTokens: webTokens)
    }
}

extension AccessOptions {
    fileprivate init(_ settings: Settings.Access) {
        self.init()
        queryTokens = settings.queryTokens
        cookie = settings.cookie.name
        hasPeers = settings.peers
        certificates = settings.certificates
        authenticationTimeout = settings.authenticationTimeout.nanoseconds
        sessions.lifetime = settings.sessions.lifetime.components.seconds
        sessions.idle = settings.sessions.idle.nanoseconds
        sessions.perUser = settings.sessions.perUser
        sessions.all = settings.sessions.maximum
        credentialCache = settings.credentialCache?.nanoseconds ?? 0
    }
}

extension AccessRules {
    /// The rules from the configuration.
    convenience init(_ settings: Settings) {
        self.init(Self.anonymous(settings) + settings.access.rules.map { Self.rule($0, settings) })
    }

    private static func anonymous(_ settings: Settings) -> [AccessRule] {
        func rule(isLocal: Bool?, _ publish: [String], _ subscribe: [String]) -> AccessRule {
            var condition = AccessRule.Condition()
            condition.isAnonymous = true
            condition.isLocal = isLocal
            var rule = AccessRule(for: condition)
            rule.publish = templates(publish, settings)
            rule.subscribe = templates(subscribe, settings)
            return rule
        }
        let access = settings.access
        let (publish, subscribe) = (access.anonymous.publishOnLoopback, access.anonymous.subscribeOnLoopback)
        let (publishBeyond, subscribeBeyond) = (access.publishBeyondLoopback, access.subscribeBeyondLoopback)
        // Rules whose condition is where a client came from need a check for each new client.
        guard publishBeyond != publish || subscribeBeyond != subscribe else {
            return [rule(isLocal: nil, publish, subscribe)]
        }
        return [rule(isLocal: true, publish, subscribe), rule(isLocal: false, publishBeyond, subscribeBeyond)]
    }

    private static func rule(_ written: Settings.Access.Rule, _ settings: Settings) -> AccessRule {
        var condition = AccessRule.Condition()
        condition.isEveryone = written.everyone
        condition.user = written.user
        condition.role = written.role
        condition.addresses = written.addresses.compactMap { AddressRange($0) }
        condition.listener = written.listener
        var rule = AccessRule(for: condition)
        rule.publish = templates(written.publish, settings)
        rule.subscribe = templates(written.subscribe, settings)
        rule.retain = written.retain.map { templates($0, settings) }
        rule.limits = written.limits
        rule.denyPublish = templates(written.deny.publish, settings)
        rule.denySubscribe = templates(written.deny.subscribe, settings)
        rule.admin = Set(written.admin)
        return rule
    }

    /// The templates; the configuration's reader has checked them, and an invalid one would allow nothing.
    private static func templates(_ texts: [String], _ settings: Settings) -> [FilterTemplate] {
        texts.compactMap { try? FilterTemplate($0, limits: settings.topicLimits) }
    }
}

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
