package import WSTransport

/// All settings of a broker, as read from its configuration.
///
/// `Settings()` is the broker without a configuration: the values here are the defaults, which `Config/broker.yaml`
/// shows as well. A key that this version refuses has no property here.
///
/// A setting is a property of a section, and a ``Setting`` in the section's `record` in the same file.
package struct Settings: Sendable, Equatable {
    /// The listeners; never empty.
    package var listen: [Settings.Listener] = [Settings.Listener()]
    /// The directory of the store and of the admin socket, relative to the working directory.
    package var dataDirectory = "./data"
    /// The event loops.
    package var reactors = Reactors()
    /// The resources that clients may use.
    package var limits = Limits()
    /// How dead peers are detected.
    package var keepalive = Keepalive()
    /// The database file.
    package var store = Store()
    /// Retained values.
    package var retained = Retained()
    package var publish = Publish()
    /// How much history is kept: the first rule that matches a topic counts.
    package var history: [History] = []
    /// permessage-deflate.
    package var compression = Compression()
    /// The origins whose pages may connect: an `Origin` must match one of these; empty for none.
    package var origins: [OriginPolicy.Rule] = [.sameOrigin]
    /// The host names that requests may have in `Host`.
    package var hosts = HostRule.auto
    /// The proxies whose statements about clients are trusted; empty for none.
    package var trustedProxies: [TrustedProxy] = []
    /// How clients are disconnected at shutdown.
    package var drain = Drain()
    /// The rights of clients.
    package var access = Access()
    /// The administration socket.
    package var admin = Admin()
    /// `GET /metrics`.
    package var metrics = Settings.Metrics()
    /// The broker's own figures below `$SYS/broker`.
    package var systemTopics = Settings.SystemTopics()
    /// The log and the audit log.
    package var log = Log()
    /// The cluster that serves one topic space; `nil` for a single broker.
    package var cluster: Cluster?

    package init() {}
}

extension Settings {
    /// The limits for topics and filters from clients.
    package var topicLimits: TopicLimits { limits.topicLimits }

    /// The path of the admin socket: ``Admin/socket``, with a leading `DATA_DIR` replaced by ``dataDirectory``.
    package var adminSocketPath: String { placed(admin.socket) }

    /// The path of the users file: ``Access/users``, with `DATA_DIR` replaced in the same way.
    package var accessFilePath: String { placed(access.users) }

    private func placed(_ path: String) -> String {
        let placeholder = "DATA_DIR/"
        guard path.hasPrefix(placeholder) else { return path }
        let name = path.dropFirst(placeholder.count)
        return dataDirectory.hasSuffix("/") ? dataDirectory + name : "\(dataDirectory)/\(name)"
    }

    /// Why the broker must not listen with these settings, as a sentence for the administrator; `nil` if it may.
    ///
    /// Call it after the command line was applied. Anonymous clients may publish beyond this machine only if two
    /// settings say so, and a broker without access settings may not listen beyond it.
    package func refusalToListen() -> String? { refusalToListen(on: listen.map(\.address)) }

    /// The same as the error of the listener, with its path.
    var listenError: String? {
        guard let place = listen.firstIndex(where: { !$0.address.isLoopback }), let refusal = refusalToListen() else {
            return nil
        }
        return "listen[\(place)].address: \(refusal)"
    }

    /// Like ``refusalToListen()``, for the addresses of sockets that were passed to this process.
    func refusalToListen(on addresses: [ListenAddress]) -> String? {
        guard !access.anonymousAnywhere, !access.publishBeyondLoopback.isEmpty || !access.isWritten,
            let exposed = addresses.first(where: { !$0.isLoopback })
        else { return nil }
        guard !access.publishBeyondLoopback.isEmpty else {
            return """
                refusing to listen on \(exposed), beyond loopback, where nobody may do anything: \
                say in access.rules and access.anonymous who may do what
                """
        }
        return """
            refusing to listen on \(exposed), beyond loopback, while anonymous clients may publish: \
            set access.anonymous.publish to [], or say access.anonymous_anywhere: true
            """
    }
}

extension Settings {
    /// All settings.
    static var record: ConfigurationRecord<Settings> {
        ConfigurationRecord(initial: Self(), members: placeMembers + clientMembers + reportMembers, check: check)
    }

    private static var placeMembers: [Setting<Self>] {
        [
            Setting(
                list: "listen", \.listen, of: Settings.Listener.record, expected: "a list of listeners",
                "The listeners: one item for each socket.", traits: .init(reload: .restart),
                check: Settings.Listener.check),
            Setting(
                "data_dir", \.dataDirectory, .path,
                """
                The directory of the database and the admin socket, relative to the working directory. Created if it \
                does not exist.
                """, traits: .init(reload: .restart)),
            Setting(section: "reactors", \.reactors, Reactors.record),
            Setting(
                section: "limits", \.limits, Limits.record,
                """
                The resources that clients may use. A request beyond a limit is refused with an error that names the \
                limit.
                """),
            Setting(section: "keepalive", \.keepalive, Keepalive.record, "How unresponsive peers are detected."),
            Setting(section: "store", \.store, Store.record),
            Setting(section: "publish", \.publish, Publish.record, "The detection of repeated publications."),
            Setting(section: "retained", \.retained, Retained.record),
            Setting(
                list: "history", \.history, of: History.record, expected: "a list of rules ([] for none)",
                """
                Messages that are kept for clients that resume with `since`. The first rule that matches a topic \
                counts. At least one limit of a rule must be set; each applies to a single topic, and the newest \
                message of a topic is kept whatever its size.
                """, mayBeNothing: true, check: History.check),
        ]
    }

    private static var clientMembers: [Setting<Self>] {
        [
            Setting(
                section: "compression", \.compression, Compression.record,
                """
                permessage-deflate (RFC 7692) for WebSockets whose client offers it. Each message is compressed \
                independently, and a broadcast only once.
                """),
            Setting(
                values: "origins", \.origins, of: .origin,
                expected: "a list, each \(ConfigurationValue.origin.expected)",
                """
                The web pages that may connect: same-origin (host and port as in the request's Host, and https if a \
                proxy terminates TLS), same-host (ports are not compared), any, null (pages of files and sandboxed \
                frames), or patterns such as https://*.example.com. On loopback all of localhost, *.localhost, \
                127.0.0.0/8 and ::1 are one host, whatever the port.
                """),
            .hosts(
                """
                The names that the broker accepts in a request's Host; others get 421. Unix sockets accept any.
                auto: the names that can only mean this broker: localhost, *.localhost, the address that was connected to, \
                on loopback 127.0.0.0/8 and ::1, the DNS names of the listener's certificate, and beyond loopback \
                without TLS the machine's own name.
                A list, such as [broker.example.com, "*.lan"]: these, too. It must contain the public name that a \
                proxy passes on.
                any: every name; an attacker's page may then read everything on loopback (DNS rebinding).
                """),
            Setting(
                values: "trusted_proxies", \.trustedProxies, of: .trustedProxy,
                expected: "a list of addresses and networks ([] for none)",
                """
                The proxies whose statements about a client's address are trusted, on listeners with proxy_protocol or \
                forwarded: addresses and networks such as 10.0.0.0/8 or ::1, and unix for every process \
                that connects to a unix: listener.
                """),
            Setting(
                section: "drain", \.drain, Drain.record, "How clients are disconnected when the broker shuts down."),
            Setting(section: "access", \.access, Access.record),
            Setting(section: "admin", \.admin, Admin.record, "How brokerctl reaches the broker on the same machine."),
        ]
    }

    private static var reportMembers: [Setting<Self>] {
        [
            Setting(section: "metrics", \.metrics, Settings.Metrics.record),
            Setting(
                section: "system_topics", \.systemTopics, Settings.SystemTopics.record,
                "The broker's own statistics below $SYS/broker."),
            Setting(section: "log", \.log, Log.record),
            Setting(
                optionalSection: "cluster", \.cluster, Cluster.record,
                "Several brokers that serve one topic space, through Redis or Valkey (docs/cluster.md); absent: a single broker.",
                traits: .init(reload: .restart)),
        ]
    }

    private static func check(
        _ settings: inout Settings, _ file: ConfigurationSection, _ decoder: inout ConfigurationDecoder
    ) {
        checkProxies(settings, file, &decoder)
        checkAdministration(settings, file, &decoder)
        let longest = ListenAddress.maximumPathLength
        if let node = file.value(of: "listen"), case .list(let items) = node.content, items.isEmpty {
            decoder.fail(node.mark, "listen", "expected at least one listener, found an empty list")
        }
        if let node = file.value(of: "data_dir"), settings.admin.socket == Admin().socket,
            settings.adminSocketPath.utf8.count > longest
        {
            let most = longest - Admin.defaultName.utf8.count
            decoder.fail(
                node, "data_dir", expected: "a path of at most \(most) bytes, because the admin socket lies in it")
        }
        if let node = file.value(of: "admin")?["socket"] {
            let path = settings.adminSocketPath
            if path.utf8.count > longest {
                decoder.fail(node, "admin.socket", expected: "a path of at most \(longest) bytes")
            } else if settings.listen.contains(where: { $0.address == .unix(path: path) }) {
                decoder.fail(node, "admin.socket", expected: "a path where no listener is")
            }
        }
        settings.checkAccess(file.value(of: "access"), &decoder)
        checkCluster(settings, file, &decoder)
        if let node = file.value(of: "retained")?["maximum_bytes"], let bytes = settings.retained.maximumBytes,
            bytes > settings.store.maximumSize
        {
            let most = SettingsWriter.size(settings.store.maximumSize)
            decoder.fail(node, "retained.maximum_bytes", expected: "at most store.maximum_size (\(most))")
        }
    }

    /// No broker of a cluster may refuse what the log has accepted, because its state would differ from the others'.
    private static func checkCluster(
        _ settings: Settings, _ file: ConfigurationSection, _ decoder: inout ConfigurationDecoder
    ) {
        guard settings.cluster != nil, let retained = file.value(of: "retained") else { return }
        for (key, isLimited) in [
            ("maximum_messages", settings.retained.maximumMessages != nil),
            ("maximum_bytes", settings.retained.maximumBytes != nil),
        ] where isLimited {
            decoder.fail(
                retained[key]?.mark ?? retained.mark, "retained.\(key)",
                "expected unlimited with cluster: no broker may refuse what all the others keep")
        }
    }

    /// Reports listeners that trust proxies although none are configured, which would trust or accept nobody, and
    /// listeners that trust both forms, which would take a client's field for the proxy's.
    private static func checkProxies(
        _ settings: Settings, _ file: ConfigurationSection, _ decoder: inout ConfigurationDecoder
    ) {
        guard let node = file.value(of: "listen"), case .list = node.content else { return }
        for (number, listener) in settings.listen.enumerated() {
            if listener.proxyProtocol, listener.forwarded != .none {
                decoder.fail(
                    node.mark, "listen[\(number)].forwarded",
                    "expected without proxy_protocol, which names the client of a connection")
            }
        }
        guard settings.trustedProxies.isEmpty, !decoder.hasFailed("trusted_proxies") else { return }
        for (number, listener) in settings.listen.enumerated() {
            if listener.proxyProtocol {
                decoder.fail(
                    node.mark, "listen[\(number)].proxy_protocol", "expected with trusted_proxies only, which is empty")
            }
            if listener.forwarded != .none {
                decoder.fail(
                    node.mark, "listen[\(number)].forwarded", "expected with trusted_proxies only, which is empty")
            }
        }
    }

    /// Reports listeners on which others could read the traffic of administrators.
    private static func checkAdministration(
        _ settings: Settings, _ file: ConfigurationSection, _ decoder: inout ConfigurationDecoder
    ) {
        guard let node = file.value(of: "listen"), case .list(let items) = node.content else { return }
        for (item, (number, listener)) in zip(items, settings.listen.enumerated()) where !listener.mayBeAdministered {
            decoder.fail(
                item["admin"]?.mark ?? item.mark, "listen[\(number)].admin",
                "expected with tls, or on loopback: anyone on the path to \(listener.address) could read the credentials"
            )
        }
    }

    /// The settings that differ in `other`, each with when the change takes effect.
    package func changes(to other: Settings) -> [SettingChange] { Self.record.changes(self, other, "") }
}
