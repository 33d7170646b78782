/// Makes settings of a configuration's tree, section by section.
struct SettingsDecoder {
    var settings = Settings()
    var decoder = ConfigurationDecoder()

    mutating func decode(_ root: ConfigurationNode) {
        guard let file = decoder.section(root, path: "", kind: "") else { return }
        decoder.decode(file, "data_dir", .path, into: &settings.dataDirectory)
        decodeListeners(file)
        if let section = decoder.section("reactors", of: file) { decodeReactors(section) }
        if let section = decoder.section("limits", of: file) { decodeLimits(section) }
        if let section = decoder.section("keepalive", of: file) { decodeKeepalive(section) }
        decodeStorage(file)
        decodeOrigins(file)
        decodeHosts(file)
        if let section = decoder.section("compression", of: file) { decodeCompression(section) }
        if let section = decoder.section("drain", of: file) {
            decoder.decode(
                section, "reconnects_per_second", .count(1...10_000_000), into: &settings.drain.reconnectsPerSecond)
        }
        if let section = decoder.section("access", of: file) { decodeAccess(section) }
        if let section = decoder.section("admin", of: file) { decodeAdmin(section) }
        if let node = file.value(of: "data_dir"), settings.admin == Settings.Admin(),
            settings.adminSocketPath.utf8.count > ListenAddress.maximumPathLength
        {
            let most = ListenAddress.maximumPathLength - Settings.Admin.defaultName.utf8.count
            decoder.fail(
                node, "data_dir", expected: "a path of at most \(most) bytes, since the admin socket lies in it")
        }
        if let section = decoder.section("system_topics", of: file) {
            let interval = ConfigurationValue<Duration>.timeSpan.or("0", "0s", "unlimited", listed: "0 for none")
            decoder.decode(section, "interval", interval, into: &settings.systemTopics.interval)
        }
        if let section = decoder.section("metrics", of: file) {
            decoder.decode(section, "enabled", .boolean, into: &settings.metrics.enabled)
        }
        if let section = decoder.section("log", of: file) {
            decoder.decode(section, "level", .choice, into: &settings.log.level)
            decoder.decode(section, "format", .choice, into: &settings.log.format)
        }
    }

    private mutating func decodeListeners(_ file: ConfigurationSection) {
        guard let items = decoder.items(of: file, "listen", expected: "a list of listeners") else { return }
        if items.isEmpty, let node = file.value(of: "listen") {
            decoder.fail(node.mark, "listen", "expected at least one listener, found an empty list")
            return
        }
        var seen: [ListenAddress: String] = [:]
        settings.listen = []
        for (node, path) in items {
            var listener = Settings.Listener()
            if let section = decoder.section(node, path: path, kind: "listen[]") {
                let isAddress = decodeAddress(section, into: &listener.address)
                decodeFile(section, into: &listener)
                decoder.decode(section, "path_prefix", .pathPrefix, into: &listener.pathPrefix)
                decoder.decodeUnavailable(section, "proxy_protocol", .boolean, default: false)
                listener.tls = decodeTLS(section)
                let place = section.value(of: "address")?.mark ?? section.mark
                if isAddress, let first = seen[listener.address] {
                    decoder.fail(
                        place, "\(path).address",
                        "expected another address, found \(listener.address), where \(first) listens")
                } else if isAddress, listener.address.isFixed {
                    seen[listener.address] = path
                }
            }
            settings.listen.append(listener)
        }
    }

    /// What only a path's file has, and what only `[::]` has.
    private mutating func decodeFile(_ section: ConfigurationSection, into listener: inout Settings.Listener) {
        var group = ""
        decoder.decode(section, "mode", .fileMode, into: &listener.mode)
        if decoder.decode(section, "group", .path, into: &group), !group.isEmpty { listener.group = group }
        decoder.decode(section, "ipv6_only", .boolean, into: &listener.ipv6Only)
        for key in ["mode", "group"] where !listener.address.isPath {
            guard let node = section.value(of: key) else { continue }
            decoder.fail(node.mark, "\(section.path).\(key)", "expected with an address such as unix:/path only")
        }
        if let node = section.value(of: "ipv6_only"), listener.ipv6Only, !listener.address.isEveryIPv6 {
            decoder.fail(node.mark, "\(section.path).ipv6_only", "expected with [::] only")
        }
    }

    private mutating func decodeTLS(_ listener: ConfigurationSection) -> Settings.Listener.TLS? {
        let node = listener.value(of: "tls")
        if let node, case .nothing = node.content { return nil }
        guard let section = decoder.section(node, path: "\(listener.path).tls", kind: "listen[].tls") else {
            return nil
        }
        var files = Settings.Listener.TLS(certificate: "", key: "")
        var authorities = ""
        decodeIdentity(section, &files.certificate, &files.key)
        let items = decoder.items(of: section, "certificates", expected: "a list of certificates with their keys")
        for (node, path) in items ?? [] {
            guard let section = decoder.section(node, path: path, kind: "listen[].tls.certificates[]") else { continue }
            var other = Settings.Listener.TLS.Identity(certificate: "", key: "")
            decodeIdentity(section, &other.certificate, &other.key)
            files.others.append(other)
        }
        if decoder.decode(section, "client_ca", .path, into: &authorities), !authorities.isEmpty {
            files.clientAuthorities = authorities
        }
        return files
    }

    /// Both files have to be there.
    private mutating func decodeIdentity(
        _ section: ConfigurationSection, _ certificate: inout String, _ privateKey: inout String
    ) {
        for key in ["certificate", "key"] where section.value(of: key) == nil {
            decoder.fail(section.mark, "\(section.path).\(key)", "expected the path of a PEM file, found nothing")
        }
        decoder.decode(section, "certificate", .path, into: &certificate)
        decoder.decode(section, "key", .path, into: &privateKey)
    }

    /// The one key that has to be there: a default would be two listeners in one place.
    private mutating func decodeAddress(_ section: ConfigurationSection, into address: inout ListenAddress) -> Bool {
        let value = ConfigurationValue<ListenAddress>.listenAddress
        guard section.value(of: "address") != nil else {
            decoder.fail(section.mark, "\(section.path).address", "expected \(value.expected), found nothing")
            return false
        }
        return decoder.decode(section, "address", value, into: &address)
    }

    private mutating func decodeReactors(_ section: ConfigurationSection) {
        let count = ConfigurationValue<Int>.count(1...256).or("auto", listed: "auto")
        decoder.decode(section, "count", count, into: &settings.reactors.count)
        decoder.decode(section, "backend", .choice, into: &settings.reactors.backend)
    }

    private mutating func decodeLimits(_ section: ConfigurationSection) {
        let count = ConfigurationValue<Int>.count(1...1_000_000_000)
        let age = ConfigurationValue<Duration>.timeSpan
        decoder.decode(section, "connections", .count(1...10_000_000), into: &settings.limits.connections)
        decoder.decode(
            section, "connections_per_address", count.liftable, into: &settings.limits.connectionsPerAddress)
        decoder.decode(section, "handshake_timeout", .timeSpan, into: &settings.limits.handshakeTimeout)
        decoder.decode(section, "idle_timeout", .timeSpan, into: &settings.limits.idleTimeout)
        decoder.decode(section, "request_head", .size(256...1 << 20), into: &settings.limits.requestHead)
        decoder.decode(section, "message", .size(1...256 << 20), into: &settings.limits.message)
        decoder.decode(section, "topic", .size(1...65_535), into: &settings.limits.topic)
        decoder.decode(section, "topic_levels", .count(1...1024), into: &settings.limits.topicLevels)
        decoder.decode(
            section, "subscriptions_per_client", .count(1...10_000_000), into: &settings.limits.subscriptionsPerClient)
        decoder.decode(section, "wildcards", .count(0...1024), into: &settings.limits.wildcards)
        decoder.decode(section, "subscriptions", count.liftable, into: &settings.limits.subscriptions)
        decoder.decode(section, "pending", .size(1 << 10...1 << 30), into: &settings.limits.pending)
        decoder.decode(section, "pending_age", age.liftable, into: &settings.limits.pendingAge)
        let unsent = ConfigurationValue<Int>.size(1 << 10...1 << 30)
        decoder.decode(section, "unsent_in_kernel", unsent.liftable, into: &settings.limits.unsentInKernel)
        decoder.decode(section, "publish_rate", count.liftable, into: &settings.limits.publishRate)
        decoder.decode(section, "memory", .memory, into: &settings.limits.memory)
    }

    private mutating func decodeKeepalive(_ section: ConfigurationSection) {
        let interval = ConfigurationValue<Duration>.timeSpan.or("0", "0s", "unlimited", listed: "0 for none")
        decoder.decode(section, "interval", interval, into: &settings.keepalive.interval)
        decoder.decode(section, "timeout", .timeSpan, into: &settings.keepalive.timeout)
    }

    private mutating func decodeStorage(_ file: ConfigurationSection) {
        let size = ConfigurationValue<Int>.size(1 << 20...64 << 40)
        if let section = decoder.section("store", of: file) {
            decoder.decode(section, "maximum_size", size, into: &settings.store.maximumSize)
            decoder.decode(section, "views", .count(0...512), into: &settings.store.views)
        }
        if let section = decoder.section("retained", of: file) {
            let count = ConfigurationValue<Int>.count(1...1_000_000_000_000)
            let bytes = ConfigurationValue<Int>.size(1...64 << 40)
            decoder.decode(section, "maximum_messages", count.liftable, into: &settings.retained.maximumMessages)
            decoder.decode(section, "maximum_bytes", bytes.liftable, into: &settings.retained.maximumBytes)
            if let bytes = settings.retained.maximumBytes, bytes > settings.store.maximumSize,
                let node = section.value(of: "maximum_bytes")
            {
                decoder.fail(
                    node, "retained.maximum_bytes",
                    expected: "at most store.maximum_size (\(SettingsWriter.size(settings.store.maximumSize)))")
            }
        }
        decodeHistory(file)
    }

    private mutating func decodeCompression(_ section: ConfigurationSection) {
        decoder.decode(section, "enabled", .boolean, into: &settings.compression.enabled)
        decoder.decode(section, "level", .count(1...9), into: &settings.compression.level)
        decoder.decode(section, "minimum", .size(0...1 << 30), into: &settings.compression.minimum)
    }

    private mutating func decodeOrigins(_ file: ConfigurationSection) {
        let value = ConfigurationValue<OriginRule>.origin
        guard let items = decoder.items(of: file, "origins", expected: "a list, each \(value.expected)") else { return }
        settings.origins = []
        for (node, path) in items {
            if node.isNull {
                settings.origins.append(.null)
            } else if case .scalar(let text, _) = node.content, let rule = OriginRule(text) {
                settings.origins.append(rule)
            } else {
                decoder.fail(node, path, expected: value.expected)
            }
        }
    }

    private mutating func decodeHosts(_ file: ConfigurationSection) {
        let expected = "auto, any, or a list of names such as [broker.example.com, \"*.lan\"]"
        guard let node = file.value(of: "hosts") else { return }
        switch node.content {
        case .scalar("auto", _): settings.hosts = .auto
        case .scalar("any", _): settings.hosts = .any
        case .list:
            var names: [HostPattern] = []
            for (item, path) in decoder.items(of: file, "hosts", expected: expected) ?? [] {
                if case .scalar(let text, _) = item.content, let name = HostPattern(text) {
                    names.append(name)
                } else {
                    decoder.fail(item, path, expected: "a name such as broker.example.com or \"*.lan\", without a port")
                }
            }
            settings.hosts = .known(names)
        default: decoder.fail(node, "hosts", expected: expected)
        }
    }

    private mutating func decodeAccess(_ section: ConfigurationSection) {
        let anonymous = section.value(of: "anonymous")
        if let anonymous, case .nothing = anonymous.content {
            // Whoever empties this section hardly means the default, which is everything.
            decoder.fail(anonymous, "access.anonymous", expected: "a mapping of publish and subscribe")
        } else if let anonymous = decoder.section("anonymous", of: section) {
            if let filters = decodeFilters(anonymous, "publish") { settings.access.anonymous.publish = filters }
            if let filters = decodeFilters(anonymous, "subscribe") { settings.access.anonymous.subscribe = filters }
        }
        decoder.decode(section, "anonymous_anywhere", .boolean, into: &settings.access.anonymousAnywhere)
        decoder.refuse(section, "users")
        decoder.refuse(section, "jwt")
        decoder.refuse(section, "rules")
    }

    private mutating func decodeFilters(_ section: ConfigurationSection, _ key: String) -> [String]? {
        let expected = "a list of topic filters ([] for none)"
        guard let items = decoder.items(of: section, key, expected: expected) else { return nil }
        var filters: [String] = []
        for (node, path) in items {
            guard case .scalar(let text, _) = node.content else {
                decoder.fail(node, path, expected: "a topic filter such as \"sensors/#\"")
                continue
            }
            do throws(TopicError) {
                filters.append(try TopicFilter(text, limits: settings.topicLimits).name)
            } catch {
                decoder.fail(
                    node.mark, path, "expected a topic filter such as \"sensors/#\", found \(node.summary): \(error)")
            }
        }
        return filters
    }

    private mutating func decodeAdmin(_ section: ConfigurationSection) {
        decoder.decode(section, "socket", .path, into: &settings.admin.socket)
        let path = settings.adminSocketPath
        guard let node = section.value(of: "socket") else { return }
        if path.utf8.count > ListenAddress.maximumPathLength {
            decoder.fail(
                node, "admin.socket", expected: "a path of at most \(ListenAddress.maximumPathLength) bytes")
        } else if settings.listen.contains(where: { $0.address == .unix(path: path) }) {
            decoder.fail(node, "admin.socket", expected: "a path where no listener is")
        }
    }
}

extension ListenAddress {
    fileprivate var isEveryIPv6: Bool { if case .internet("::", _) = self { true } else { false } }

    /// Whether two listeners cannot both have it: port 0 is another port each time.
    fileprivate var isFixed: Bool {
        if case .internet(_, port: 0) = self { false } else { true }
    }
}

extension ConfigurationValue where Value == ListenAddress {
    fileprivate static var listenAddress: Self {
        Self(expected: "an address such as 127.0.0.1:8080, [::1]:8080 or unix:/path") { text, _ in ListenAddress(text) }
    }
}

extension ConfigurationValue where Value == UInt32 {
    /// Octal, with or without quotes: 0660.
    fileprivate static var fileMode: Self {
        Self(expected: "permissions such as \"0660\"") { text, _ in
            guard 3...4 ~= text.utf8.count, let mode = UInt32(text, radix: 8), mode <= 0o777 else { return nil }
            return mode
        }
    }
}

extension ConfigurationValue where Value == OriginRule {
    fileprivate static var origin: Self {
        Self(expected: "same-origin, same-host, any, null, or a pattern such as https://*.example.com") { text, _ in
            OriginRule(text)
        }
    }
}

extension ConfigurationValue where Value == String {
    fileprivate static var path: Self { text("a path", where: { !$0.isEmpty }) }

    /// RFC 3986 §3.3: the characters that a path's segments may have without an escape.
    fileprivate static var pathPrefix: Self {
        text("a path such as /broker, or nothing (\"\")") { text in
            text.isEmpty
                || text.hasPrefix("/") && !text.hasSuffix("/") && !text.contains("//")
                    && text.utf8.allSatisfy { byte in
                        0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte
                            || "/-._~!$&'()*+,;=:@".utf8.contains(byte)
                    }
        }
    }
}

extension ConfigurationValue where Value == Duration {
    fileprivate static var timeSpan: Self { duration(.milliseconds(10)...(.seconds(7 * 86_400))) }
}
