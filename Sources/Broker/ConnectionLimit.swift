internal import Synchronization
internal import WSTransport

/// Limits on connections, over all reactors.
///
/// Checked when a connection is accepted, so that silent connections count, too. Any thread.
final class ConnectionLimit: Sendable {
    private let figures: Figures
    private let memory: MemoryWatch
    private let firstReservedDescriptor: Int32
    /// From this descriptor on, even health checks are refused.
    private let firstOfAdministrator: Int32
    private let quotas: Quotas
    private let bans: Bans
    private let events: EventStream
    private let perAddress = Mutex<[String: Int]>([:])

    /// How many descriptors are reserved for the administrator, a reload, the store and health checks from this
    /// machine.
    static let reservedDescriptors = 32

    init(
        figures: Figures, memory: MemoryWatch, quotas: Quotas, bans: Bans = Bans(), events: EventStream = EventStream()
    ) {
        self.events = events
        self.quotas = quotas
        self.bans = bans
        self.figures = figures
        self.memory = memory
        let limit = Machine.descriptorLimit
        let reserved = min(Self.reservedDescriptors, limit / 4)
        firstReservedDescriptor = Int32(clamping: limit - reserved)
        firstOfAdministrator = Int32(clamping: limit - reserved / 2)
    }

    /// The settings for serving a listener's connections, from the shard's current settings.
    ///
    /// - Parameters:
    ///   - believes: whether the listener accepts what trusted proxies say about their clients.
    ///   - hasPreface: whether a PROXY header names its clients.
    func settings(
        for shard: Shard, pathPrefix: String, believes: Bool = false, hasPreface: Bool = false
    ) -> HTTPSettings {
        var settings = HTTPSettings(shard.configuration)
        settings.pathPrefix = pathPrefix
        settings.makeRefusal = { [unowned shard] refusal in
            refusal.count(on: shard)
            return Routes.refusal(refusal)
        }
        settings.standardFields = OriginGate.standardFields
        settings.refused = { [self, unowned shard] refusal, request, peer in
            switch refusal.status {
            case 414, 431: tell("limits.request_head", peer, shard)
            // The body of a login has a limit that is not a setting.
            case 413 where refusal.isBodyTooLong && request?.path != pathPrefix + "/session":
                tell("limits.message", peer, shard)
                if shard.recorder.isTraced, let path = request?.path, path.hasPrefix(pathPrefix + "/t/"),
                    let name = PercentCoding.decode(String(path.dropFirst(pathPrefix.count + 3)))
                {
                    let refusal = Refusal(.tooLarge, "The body is longer than the limit limits.message.")
                    shard.recorder.refused(refusal, name, 0)
                }
            default: break
            }
        }
        settings.isDraining = { [unowned shard] in shard.isDraining }
        settings.entrance.firstReservedDescriptor = firstReservedDescriptor
        settings.entrance.refuseReserved = { [firstOfAdministrator] descriptor, peer in
            // Health checks are answered all the same.
            guard descriptor < firstOfAdministrator, peer?.isLoopback ?? false else { return nil }
            return HTTPRefusal(Refusal(.unavailable, "The broker is short of descriptors."))
        }
        // Always answered, because a supervisor without an answer would end a broker that is only full.
        settings.isAlwaysAnswered = { head in
            head.path == pathPrefix + "/health/live" || head.path == pathPrefix + "/health/ready"
        }
        // A page would not see a status.
        settings.showsRefusal = { head in
            head.method == "GET" && Handshake.isUpgrade(head) && head.fields.first("Origin") != nil
        }
        let limits = shard.configuration.limits
        let rules = shard.settings.limits.quotas
        // Clients of a proxy are counted when their requests name them.
        let isExempt = { [unowned shard] (peer: SocketAddress?) in believes && shard.endpoints.trusts(peer) }
        // The account of the connection that was admitted last, which `ending` asks for at once. It is kept, because by
        // the time the connection ends its account may have been removed, and other proxies may be trusted.
        var counted: Account?
        settings.entrance.admit = { [self, unowned shard] peer in
            counted = isExempt(peer) ? nil : quotas.address(peer, rules, isForwarded: hasPreface)
            return admit(peer, limits, counted, rules, shard)
        }
        settings.entrance.isShutOut = { [self, unowned shard] peer in
            !isExempt(peer) && isShutOut(peer, shard)
        }
        let isSingle = limits.connectionsPerAddress != nil
        settings.entrance.ending = { [self] peer in
            let account = counted
            counted = nil
            guard isSingle || account != nil else { return nil }
            return { [self] in
                if isSingle { leave(peer) }
                if let account { quotas.left(account) }
            }
        }
        return settings
    }

    private func isShutOut(_ peer: SocketAddress?, _ shard: Shard) -> Bool {
        guard shard.isShutOut(peer) else { return false }
        bans.connections.add(1, ordering: .relaxed)
        return true
    }

    private func admit(
        _ peer: SocketAddress?, _ limits: Settings.Limits, _ account: Account?, _ rules: Quotas.Rules, _ shard: Shard
    ) -> HTTPRefusal? {
        // The new connection is already counted.
        if figures.admitted > limits.connections {
            figures.refusedConnections.add(1, ordering: .relaxed)
            tell("limits.connections", peer, shard)
            return HTTPRefusal(
                Refusal(.unavailable, "The limit of \(limits.connections) connections is reached."))
        }
        if memory.isTight {
            figures.refusedMemory.add(1, ordering: .relaxed)
            tell("limits.memory", peer, shard)
            return HTTPRefusal(Refusal(.unavailable, "The broker is short of memory."))
        }
        if let account, let found = quotas.admit(account, rules, now: shard.reactor.now) {
            figures.refusedAddresses.add(1, ordering: .relaxed)
            tell("limits.\(found.limit)", peer, shard)
            return HTTPRefusal(found.refusal)
        }
        if let most = limits.connectionsPerAddress, let address = address(of: peer), !enter(address, most) {
            figures.refusedAddresses.add(1, ordering: .relaxed)
            tell("limits.connections_per_address", peer, shard)
            if let account { quotas.left(account) }
            return HTTPRefusal(
                Refusal(.limitExceeded, "The limit of \(most) connections from one address is reached."))
        }
        return nil
    }

    private func tell(_ limit: String, _ peer: SocketAddress?, _ shard: Shard) {
        func event() -> AuditEvent {
            var event = AuditEvent(.limitHit, target: limit)
            event.address = peer?.description
            return event
        }
        shard.reactor[AuditTally.self]?.count(
            AuditTally.Matter(.limitHit, limit + " " + (peer?.host ?? "")), event())
        events.refused(peer, by: "limit", limit)
    }

    /// The address to count by; `nil` for a socket in the file system, whose clients have no address.
    private func address(of peer: SocketAddress?) -> String? {
        guard let peer, peer.path == nil else { return nil }
        return peer.network?.host
    }

    private func enter(_ address: String, _ most: Int) -> Bool {
        perAddress.withLock { counts in
            let count = counts[address, default: 0]
            guard count < most else { return false }
            counts[address] = count + 1
            return true
        }
    }

    private func leave(_ peer: SocketAddress?) {
        guard let address = address(of: peer) else { return }
        perAddress.withLock { counts in
            let count = counts[address, default: 0] - 1
            counts[address] = count > 0 ? count : nil
        }
    }
}
