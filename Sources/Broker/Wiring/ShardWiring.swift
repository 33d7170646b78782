package import WSTransport

/// The current settings of a reactor's shard.
private final class LiveSettings {
    var values: Settings
    init(_ values: Settings) { self.values = values }
}

extension Shard {
    /// Makes a shard and the state that its endpoints share, from the settings.
    ///
    /// - Parameter access: the access rights at the start; `nil` for those of the settings, without users.
    package convenience init(
        reactor: Reactor, sequencer: Sequencer, order: any Order, store: any MessageStore, settings: Settings,
        access: Access? = nil, counters: ShardCounters
    ) {
        self.init(
            reactor: reactor, sequencer: sequencer, order: order, store: store,
            settings: ExchangeSettings(settings), access: access ?? Access(settings, users: UserTable()),
            counters: counters)
        reactor[LiveSettings.self] = LiveSettings(settings)
        reactor[EndpointState.self] = EndpointState(on: self, settings: EndpointSettings(settings))
    }

    /// The current settings.
    package var configuration: Settings { reactor[LiveSettings.self]?.values ?? Settings() }

    /// Applies new settings, also to the sessions.
    ///
    /// - Parameter access: the new access rights; `nil` for those of the settings, with the present users.
    package func adopt(_ settings: Settings, _ access: Access? = nil) {
        let old = configuration
        reactor[LiveSettings.self]?.values = settings
        reactor[AuditTally.self]?.hasAuthentications = settings.log.auditAuthentications == .all
        // Before its sessions use them.
        endpoints.settings = EndpointSettings(settings)
        reactor[ListeningPost.self]?.takeOverSettings()
        if let access {
            adopt(access)
        } else if settings.access != old.access {
            adopt(Access(settings, users: self.access.users))
        }
        self.settings = ExchangeSettings(settings)
    }
}

extension ExchangeSettings {
    /// The settings of the exchange from the configuration.
    package init(_ settings: Settings) {
        self.init(
            limits: Limits(
                message: settings.limits.message, batch: settings.limits.batch, pending: settings.limits.pending,
                pendingAge: settings.limits.pendingAge?.nanoseconds,
                subscriptionsPerClient: settings.limits.subscriptionsPerClient,
                subscriptions: settings.limits.subscriptions, publishRate: settings.limits.publishRate,
                quotas: Quotas.Rules(settings.limits),
                rulesMeterPublishing: settings.access.rules.contains(where: \.limits.metersPublishing)),
            topicLimits: settings.topicLimits, rules: HistoryRules(settings),
            reconnectsPerSecond: settings.drain.reconnectsPerSecond)
        flightMemory = settings.log.flightMemory
        limits.requestsPerClient = settings.limits.requestsPerClient
        limits.ephemeralValues = settings.limits.ephemeralValues
        limits.ephemeralBytes = settings.limits.ephemeralBytes
        limits.ephemeralMemory = settings.limits.ephemeralMemory
    }
}

extension KeyRules {
    /// The rules for keys from the configuration.
    package init(_ settings: Settings) {
        self.init()
        window = settings.publish.keyWindow.nanoseconds / 1_000_000
        maximumBytes = settings.publish.keys
        maximumBytesPerUser = settings.publish.keysPerUser
    }
}

extension HistoryRules {
    /// The history rules of a configuration, which its reader has checked.
    package init(_ settings: Settings) {
        self.init(
            settings.history.compactMap { rule in
                guard let filter = try? TopicFilter(rule.filter, limits: settings.topicLimits) else { return nil }
                return HistoryRule(
                    filter: filter, messages: rule.messages, age: rule.age.map { $0.nanoseconds / 1_000_000 },
                    bytes: rule.bytes)
            })
    }
}

extension EndpointSettings {
    /// The settings of the endpoints from the configuration.
    init(_ settings: Settings) {
        self.init(
            socketOptions: WebSocketConnection.Options(WebSocketOptions(settings)),
            objectOptions: WebSocketConnection.Options(WebSocketOptions(objects: settings)),
            unauthenticatedOptions: WebSocketConnection.Options(WebSocketOptions(unauthenticated: settings)),
            adminOptions: WebSocketConnection.Options(WebSocketOptions(administrators: settings)),
            origins: OriginPolicy(settings.origins), hosts: settings.hosts, trustedProxies: settings.trustedProxies,
            keepaliveSeconds: settings.keepalive.interval.map { Int($0.components.seconds) } ?? 0)
    }
}

extension Quotas.Rules {
    /// The limits of addresses and users from the configuration.
    init(_ limits: Settings.Limits) {
        self.init()
        countsLoopback = limits.countsLoopback
        failures = limits.authenticationFailures.map(Rate.init)
        address.connections = limits.perAddress.connections
        address.arrivals = limits.perAddress.newConnections.map(Rate.init)
        address.publishes = limits.perAddress.publishRate
        address.bytes = limits.perAddress.publishBytes
        address.subscriptions = limits.perAddress.subscriptions
        user.connections = limits.perUser.connections
        user.publishes = limits.perUser.publishRate
        user.bytes = limits.perUser.publishBytes
        user.subscriptions = limits.perUser.subscriptions
    }
}

extension Rate {
    fileprivate init(_ frequency: Settings.Limits.Frequency) {
        self.init(frequency.count, perMilliseconds: frequency.period == .second ? 1000 : 60_000)
    }
}
