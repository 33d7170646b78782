/// Writes settings as the configuration that sets them: every key, at its value.
package enum SettingsWriter {
    /// The configuration in YAML; ``ConfigurationReader`` makes the same settings of it.
    package static func yaml(_ settings: Settings) -> String {
        let limits = settings.limits
        let listeners = settings.listen.map { listener in
            """
              - address: \(quoted(listener.address.description))\(file(listener))
                path_prefix: \(quoted(listener.pathPrefix))
                proxy_protocol: false
            """ + tls(listener.tls)
        }
        return """
            listen:
            \(listeners.joined(separator: "\n"))
            data_dir: \(quoted(settings.dataDirectory))
            reactors:
              count: \(settings.reactors.count.map(String.init) ?? "auto")
              backend: \(settings.reactors.backend.rawValue)
            limits:
              connections: \(limits.connections)
              connections_per_address: \(limited(limits.connectionsPerAddress, String.init))
              handshake_timeout: \(duration(limits.handshakeTimeout))
              idle_timeout: \(duration(limits.idleTimeout))
              request_head: \(size(limits.requestHead))
              message: \(size(limits.message))
              topic: \(limits.topic)
              topic_levels: \(limits.topicLevels)
              wildcards: \(limits.wildcards)
              subscriptions_per_client: \(limits.subscriptionsPerClient)
              subscriptions: \(limited(limits.subscriptions, String.init))
              pending: \(size(limits.pending))
              pending_age: \(limited(limits.pendingAge, duration))
              unsent_in_kernel: \(limited(limits.unsentInKernel, size))
              publish_rate: \(limited(limits.publishRate, String.init))
              memory: \(memory(limits.memory))
            keepalive:
              interval: \(settings.keepalive.interval.map(duration) ?? "0")
              timeout: \(duration(settings.keepalive.timeout))
            store:
              maximum_size: \(size(settings.store.maximumSize))
              views: \(settings.store.views)
            retained:
              maximum_messages: \(limited(settings.retained.maximumMessages, String.init))
              maximum_bytes: \(limited(settings.retained.maximumBytes, size))
            history:\(history(settings.history))
            compression:
              enabled: \(settings.compression.enabled)
              level: \(settings.compression.level)
              minimum: \(size(settings.compression.minimum))
            origins: \(list(settings.origins.map(\.description)))
            hosts: \(hosts(settings.hosts))
            drain:
              reconnects_per_second: \(settings.drain.reconnectsPerSecond)
            access:
              anonymous:
                publish: \(list(settings.access.anonymous.publish))
                subscribe: \(list(settings.access.anonymous.subscribe))
              anonymous_anywhere: \(settings.access.anonymousAnywhere)
              rules: []
            admin:
              socket: \(quoted(settings.admin.socket))
            metrics:
              enabled: \(settings.metrics.enabled)
            system_topics:
              interval: \(settings.systemTopics.interval.map(duration) ?? "0")
            log:
              level: \(settings.log.level.rawValue)
              format: \(settings.log.format.rawValue)

            """
    }

    private static func hosts(_ rule: HostRule) -> String {
        switch rule {
        case .auto: "auto"
        case .any: "any"
        case .known(let names): list(names.map(\.description))
        }
    }

    private static func memory(_ limit: Settings.Limits.Memory) -> String {
        switch limit {
        case .share(let percent): "\(percent)%"
        case .bytes(let bytes): size(bytes)
        case .unlimited: "unlimited"
        }
    }

    private static func history(_ rules: [Settings.History]) -> String {
        guard !rules.isEmpty else { return " []" }
        return rules.map { rule in
            """

              - filter: \(quoted(rule.filter))
                messages: \(limited(rule.messages, String.init))
                age: \(limited(rule.age, duration))
                bytes: \(limited(rule.bytes, size))
            """
        }.joined()
    }

    private static func file(_ listener: Settings.Listener) -> String {
        guard listener.address.isPath else { return listener.ipv6Only ? "\n    ipv6_only: true" : "" }
        let digits = String(listener.mode, radix: 8)
        return "\n    mode: \"\(String(repeating: "0", count: max(0, 4 - digits.count)))\(digits)\""
            + (listener.group.map { "\n    group: \(quoted($0))" } ?? "")
    }

    private static func tls(_ files: Settings.Listener.TLS?) -> String {
        guard let files else { return "" }
        let others = files.others.map {
            "\n        - { certificate: \(quoted($0.certificate)), key: \(quoted($0.key)) }"
        }
        return """

                tls:
                  certificate: \(quoted(files.certificate))
                  key: \(quoted(files.key))
            """ + (others.isEmpty ? "" : "\n      certificates:" + others.joined())
                + (files.clientAuthorities.map { "\n      client_ca: \(quoted($0))" } ?? "")
    }

    /// A number of bytes in the largest unit that divides it, such as `16MiB`.
    static func size(_ bytes: Int) -> String {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        where bytes != 0 && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return String(bytes)
    }

    /// A time span in the largest unit that divides it, such as `25s`.
    static func duration(_ duration: Duration) -> String {
        let milliseconds = duration / .milliseconds(1)
        for (unit, length) in [("d", 86_400_000.0), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
        where milliseconds != 0 && milliseconds.truncatingRemainder(dividingBy: length) == 0 {
            return "\(Int(milliseconds / length))\(unit)"
        }
        return "\(Int(milliseconds))ms"
    }

    private static func limited<Value>(_ value: Value?, _ text: (Value) -> String) -> String {
        value.map(text) ?? "unlimited"
    }

    private static func list(_ texts: [String]) -> String { "[\(texts.map(quoted).joined(separator: ", "))]" }

    /// A double-quoted scalar, in which only `\` and `"` are special (YAML 1.2 §7.3.1).
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\", "\"": result += "\\\(scalar)"
            case "\0"..."\u{1F}", "\u{7F}"..."\u{9F}":
                result += "\\u\(String(scalar.value + 0x10000, radix: 16).dropFirst())"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
