internal import WSTransport

extension RedisLog.Options {
    /// The options from the settings of a cluster; reads passwords and certificates.
    ///
    /// - Parameters:
    ///   - partition: which of the logs it is.
    ///   - facts: creates the report about this broker for the others.
    ///   - onChange: gets the status whenever its state changes.
    ///   - isCongested: whether no more of the log should be read.
    ///   - copies: how stores are copied from one broker to another.
    package init(
        _ settings: Settings.Cluster, partition: Int = 0, node: UInt64,
        facts: @escaping @Sendable () -> String = { "{}" },
        onChange: @escaping @Sendable (RedisLog.Status) -> Void = { _ in },
        isCongested: @escaping @Sendable () -> Bool = { false }, copies: StoreCopies? = nil
    ) throws(ClusterSettingsError) {
        let (engine, key) = settings.logs[partition]
        let security = try Self.security(engine.tls, key)
        func access(_ user: String?, _ password: SecretText?, _ member: String) throws(ClusterSettingsError)
            -> EngineLink.Access
        {
            var access = EngineLink.Access()
            access.user = user
            do throws(SecretError) {
                access.password = try password.map { secret throws(SecretError) in
                    String(decoding: try secret.read(), as: UTF8.self)
                }
            } catch {
                throw ClusterSettingsError("\(key).\(member): \(error)")
            }
            access.security = security
            return access
        }
        func secured(_ endpoints: [Endpoint]) -> [Endpoint] {
            endpoints.map { endpoint in
                guard case .internet(let host, let port, _) = endpoint else { return endpoint }
                return .internet(host: host, port: port, isSecure: security != nil)
            }
        }
        let place: EngineRoute.Place =
            engine.sentinels.isEmpty
            ? .addresses(secured(engine.addresses))
            : .sentinels(
                secured(engine.sentinels), name: engine.master,
                try access(engine.sentinelUser, engine.sentinelPassword, "sentinel_password"))
        self.init(
            cluster: Self.name(of: partition, in: settings), node: node, place: place,
            access: try access(engine.user, engine.password, "password"))
        limits.timeout = engine.timeout.nanoseconds
        readsAt = engine.readFrom == .replica ? .replica : .primary
        needsPersistence = !engine.isVolatile
        patience = settings.publishTimeout.nanoseconds
        absence = max(absence, settings.lease.nanoseconds)
        keptBytes = settings.log.bytes
        keptAge = settings.log.age.nanoseconds / 1_000_000
        self.facts = facts
        self.onChange = onChange
        onTime = { Lifetime.follow(logTime: $0) }
        self.isCongested = isCongested
        self.copies = copies
    }

    /// The prefix of a log's keys; with several logs it includes their number, so that brokers with another number of
    /// logs do not take the keys for theirs.
    private static func name(of partition: Int, in settings: Settings.Cluster) -> String {
        settings.partitions == 1 ? settings.name : "\(settings.name).\(partition)of\(settings.partitions)"
    }

    private static func security(
        _ tls: Settings.Cluster.TLS?, _ key: String
    ) throws(ClusterSettingsError) -> StreamOpening.Security? {
        guard let tls else { return nil }
        do throws(TLSFileError) {
            var identity: TLSIdentity?
            if let certificate = tls.certificate, let key = tls.key {
                identity = TLSIdentity(certificate: certificate, key: key)
            }
            let context = try TLSContext.client(tls.ca.map { .file($0) } ?? .system, identity: identity)
            return StreamOpening.Security(context, serverName: tls.serverName)
        } catch {
            throw ClusterSettingsError("\(key).tls: \(error)")
        }
    }
}

/// Why the settings of a cluster cannot be used, as one sentence.
package struct ClusterSettingsError: Error, CustomStringConvertible, Sendable {
    package let description: String
    init(_ description: String) { self.description = description }
}
