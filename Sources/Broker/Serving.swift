internal import Synchronization
internal import WSTransport

/// Sets up what each reactor of the broker serves.
struct Serving: Sendable {
    let group: ReactorGroup
    let order: any Order
    let sequencer: Sequencer
    /// `nil` if the broker is not in a cluster.
    let cluster: ClusterNode?
    let store: any MessageStore
    let settings: Settings
    let facts: BrokerFacts
    let connectionLimit: ConnectionLimit
    let memory: MemoryWatch
    let listeners: Listeners
    let certificates: Certificates
    let journal: Journal
    let audit: AuditLog
    let events: EventStream
    let quotas: Quotas
    /// The access rights at the start.
    let access: Access
    let checks: CredentialChecks
    /// One for each reactor.
    let counters: [ShardCounters]

    /// Creates everything that runs on a reactor.
    ///
    /// Called on the reactor's own thread.
    func begin(on reactor: Reactor) throws(Errno) {
        let shard = Shard(
            reactor: reactor, sequencer: sequencer, order: order, store: store, settings: settings,
            access: access,
            counters: counters[reactor.index])
        shard.endpoints.movedAside = facts.movedAside
        if let cluster {
            shard.numberClients(from: cluster.clientBase)
            shard.hindrance = { [weak cluster] in cluster?.hindrance }
            shard.adopt(facts.bans.list) { _ in }
            shard.isServing = { [door = cluster.door] in door.isOpen.load(ordering: .relaxed) }
        }
        let post = ListeningPost()
        reactor[ListeningPost.self] = post
        shard.endpoints.sessions = SessionDesk(checks.sessions, ShardGroup(group.remotes))
        memory.begin(on: reactor)
        let tally = AuditTally(audit, on: reactor)
        tally.hasAuthentications = settings.log.auditAuthentications == .all
        reactor[AuditTally.self] = tally
        let reporter = Reporter(tally, events, journal)
        reactor[Reporter.self] = reporter
        reactor[EventStream.self] = events
        shard.witness = reporter
        shard.quotas = quotas
        let everyone = ShardGroup(group.remotes)
        reactor[AdminDesk.self] = AdminDesk(shard: shard, everyone: everyone, facts: facts)
        reactor[PendingLook.self] = PendingLook(on: shard, everyone)
        func users(_ listener: Settings.Listener, at address: ListenAddress) -> any DirectHandler {
            Routes.users(
                facts.figures, hasMetrics: settings.metrics.enabled, isAdministered: listener.admin, checks,
                listener: listener.address.description, isLocal: address.isLoopback && !listener.believesProxies,
                isSecure: listener.tls != nil,
                isPrivate: address.isLoopback || listener.tls != nil, forwarded: listener.forwarded,
                hasPreface: listener.proxyProtocol)
        }
        for (number, listener) in settings.listen.enumerated() {
            try listeners.take(number, on: reactor) { (descriptor, address, isShared) throws(Errno) in
                let gate = OriginGate(
                    shard: shard, address: address, isSecure: listener.tls != nil, forwarded: listener.forwarded,
                    journal: journal
                ) { [certificates] name in certificates.context(of: number)?.isFor(name) ?? false }
                let server = try HTTPListener(
                    on: reactor, listening: descriptor, isShared: isShared, handler: users(listener, at: address),
                    // Both numbers only increase.
                    revision: { [endpoints = shard.endpoints, certificates] in
                        endpoints.version + certificates.revision.load(ordering: .acquiring)
                    }
                ) { [unowned shard, connectionLimit, certificates] in
                    var settings = connectionLimit.settings(
                        for: shard, pathPrefix: listener.pathPrefix, believes: listener.forwarded != .none,
                        hasPreface: listener.proxyProtocol)
                    settings.inspect = { gate.inspect($0, host: $1, stream: $2) }
                    settings.entrance.isProxy =
                        listener.proxyProtocol ? { [unowned shard] in shard.endpoints.trusts($0) } : nil
                    settings.entrance.proxyPatience = settings.headTimeout
                    settings.entrance.tls = certificates.context(of: number)
                    return settings
                }
                post.add(server)
            }
        }
        try listeners.take(Listeners.admin, on: reactor) { (descriptor, _, _) throws(Errno) in
            // On one reactor only, like the socket.
            cluster?.watch(from: shard)
            SystemTopics(shard, facts.figures, version: BrokerVersion.current) { [unowned shard] in
                shard.configuration.systemTopics.interval?.nanoseconds
            }.begin()
            let server = try HTTPListener(
                on: reactor, listening: descriptor, handler: Routes.administrators()
            ) { [unowned shard] in
                var settings = HTTPSettings(shard.configuration)
                settings.makeRefusal = Routes.refusal
                settings.isDraining = { [unowned shard] in shard.isDraining }
                settings.entrance.isSpared = true
                return settings
            }
            post.add(server)
        }
    }
}

extension ReactorBackend {
    /// The backend that the configuration names.
    init(_ backend: Settings.Reactors.Backend) {
        self =
            switch backend {
            case .auto: .auto
            case .epoll: .epoll
            case .ioUring: .ioUring
            }
    }
}
