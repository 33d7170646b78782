internal import WSTransport

/// What one reactor's thread needs to make its part of the broker.
struct ReactorPlan: Sendable {
    let index: Int
    let remotes: [Remote]
    let sequencer: Sequencer
    let store: any MessageStore
    let settings: Settings
    let facts: BrokerFacts
    let door: Door
    let memory: MemoryWatch
    let sockets: ListeningSockets
    let certificates: Certificates
    let journal: Journal
    let transport: ReactorCounters
    let counters: ShardCounters

    /// Makes the reactor and all that runs on it.
    ///
    /// The reactor's own thread.
    func make() throws(Errno) -> Reactor {
        let reactor = try Reactor(
            index: index, counters: transport, remote: remotes[index],
            backend: ReactorBackend(settings.reactors.backend))
        let shard = Shard(
            reactor: reactor, sequencer: sequencer, store: store, settings: settings, counters: counters)
        shard.movedAside = facts.movedAside
        memory.begin(on: reactor)
        reactor[AdminDesk.self] = AdminDesk(shard: shard, everyone: ShardGroup(remotes), facts: facts)
        let users = Endpoints.users(facts.figures, hasMetrics: settings.metrics.enabled)
        for (number, listener) in settings.listen.enumerated() {
            guard let descriptor = sockets.take(listener: number, reactor: index) else { continue }
            let reception = Reception(
                shard: shard, address: listener.address, isSecure: listener.tls != nil, journal: journal
            ) { [certificates] name in certificates.context(of: number)?.isFor(name) ?? false }
            let server = try HTTPListener(
                on: reactor, listening: descriptor, isShared: listener.address.isPath && remotes.count > 1,
                handler: users
            ) { [unowned shard, door, certificates] in
                var settings = door.settings(for: shard, pathPrefix: listener.pathPrefix)
                settings.inspect = { reception.inspect($0, host: $1, stream: $2) }
                settings.tls = certificates.context(of: number)
                return settings
            }
            shard.stopActions.append { server.stop() }
        }
        if let descriptor = sockets.takeAdmin(reactor: index) {
            // On one reactor, as the socket is.
            SystemTopics(shard, facts.figures, version: BrokerVersion.current).begin()
            var options = WebSocketOptions(settings)
            // Nothing is gained on the same machine.
            options.compression = nil
            // An answer may be long, and a question may carry a whole message.
            options.maximumUnsent = 64 << 20
            options.maximumMessage = AdminSession.maximumQuestion(settings.limits)
            let handler = Endpoints.administrators(WebSocketConnection.Options(options))
            let server = try HTTPListener(on: reactor, listening: descriptor, handler: handler) { [unowned shard] in
                var settings = HTTPSettings(shard.settings)
                settings.makeRefusal = Endpoints.refusal
                settings.isDraining = { [unowned shard] in shard.isDraining }
                settings.isSpared = true
                return settings
            }
            shard.stopActions.append { server.stop() }
        }
        return reactor
    }
}

extension ReactorBackend {
    /// What the configuration names.
    init(_ backend: Settings.Reactors.Backend) {
        self =
            switch backend {
            case .auto: .auto
            case .epoll: .epoll
            case .ioUring: .ioUring
            }
    }
}
