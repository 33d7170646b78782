package import WSTransport

/// The settings of a reactor's broker, as they were read last.
private final class LiveSettings {
    var values: Settings
    init(_ values: Settings) { self.values = values }
}

extension Shard {
    /// Makes a shard and what its endpoints have in common, by settings.
    package convenience init(
        reactor: Reactor, sequencer: Sequencer, order: any Order, store: any MessageStore, settings: Settings,
        counters: ShardCounters
    ) {
        self.init(
            reactor: reactor, sequencer: sequencer, order: order, store: store,
            settings: ExchangeSettings(settings), access: AccessRules(settings), counters: counters)
        reactor[LiveSettings.self] = LiveSettings(settings)
        reactor[EndpointState.self] = EndpointState(on: self, settings: EndpointSettings(settings))
    }

    /// The settings as they were read last.
    package var configuration: Settings { reactor[LiveSettings.self]?.values ?? Settings() }

    /// Takes over other settings, and has its sessions do so.
    package func adopt(_ settings: Settings) {
        let old = configuration
        reactor[LiveSettings.self]?.values = settings
        // Before its sessions look at them.
        endpoints.settings = EndpointSettings(settings)
        if settings.access != old.access { adopt(AccessRules(settings)) }
        self.settings = ExchangeSettings(settings)
    }
}

extension ExchangeSettings {
    /// What the configuration says about the exchange.
    package init(_ settings: Settings) {
        self.init(
            limits: Limits(
                message: settings.limits.message, pending: settings.limits.pending,
                pendingAge: settings.limits.pendingAge?.nanoseconds,
                subscriptionsPerClient: settings.limits.subscriptionsPerClient,
                subscriptions: settings.limits.subscriptions, publishRate: settings.limits.publishRate),
            topicLimits: settings.topicLimits, rules: HistoryRules(settings),
            reconnectsPerSecond: settings.drain.reconnectsPerSecond)
    }
}

extension HistoryRules {
    /// The rules of a configuration, which the reader has checked.
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

extension AccessRules {
    /// What the configuration says about rights.
    convenience init(_ settings: Settings) {
        func templates(_ names: [String]) -> [FilterTemplate] {
            // The reader has checked them; one that no longer parses allows nothing.
            names.compactMap { name in
                (try? TopicFilter(name, limits: settings.topicLimits)).map(FilterTemplate.init)
            }
        }
        func rule(isLocal: Bool?, _ publish: [String], _ subscribe: [String]) -> AccessRule {
            var condition = AccessRule.Condition()
            condition.isAnonymous = true
            condition.isLocal = isLocal
            var rule = AccessRule(for: condition)
            rule.publish = templates(publish)
            rule.subscribe = templates(subscribe)
            return rule
        }
        let access = settings.access
        let (publish, subscribe) = (access.anonymous.publishOnLoopback, access.anonymous.subscribeOnLoopback)
        let (publishBeyond, subscribeBeyond) = (access.publishBeyondLoopback, access.subscribeBeyondLoopback)
        // Rules that look at where a client came in cost each new one a look.
        guard publishBeyond != publish || subscribeBeyond != subscribe else {
            self.init([rule(isLocal: nil, publish, subscribe)])
            return
        }
        self.init([
            rule(isLocal: true, publish, subscribe), rule(isLocal: false, publishBeyond, subscribeBeyond),
        ])
    }
}

extension EndpointSettings {
    /// What the configuration says about the ways in.
    init(_ settings: Settings) {
        self.init(
            socketOptions: WebSocketConnection.Options(WebSocketOptions(settings)),
            objectOptions: WebSocketConnection.Options(WebSocketOptions(objects: settings)),
            origins: settings.origins, hosts: settings.hosts, trustedProxies: settings.trustedProxies,
            keepaliveSeconds: settings.keepalive.interval.map { Int($0.components.seconds) } ?? 0)
    }
}
