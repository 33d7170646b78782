extension Settings.Access {
    /// A rule: the rights and limits of some clients.
    package struct Rule: Sendable, Equatable {
        /// Whether the rule applies to every client that is not anonymous.
        package var everyone = false
        /// Applies to one user; `nil` if not stated.
        package var user: String?
        /// Applies to clients with this role; `nil` if not stated.
        package var role: String?
        /// Applies to clients in these networks; empty for any address.
        package var addresses: [String] = []
        /// Applies to clients of the listener with this address; `nil` for all listeners.
        package var listener: String?
        /// Topic filters with placeholders, each one valid.
        package var publish: [String] = []
        package var subscribe: [String] = []
        /// The filters of topics whose retained values may be set and deleted; `nil` if `publish` decides.
        package var retain: [String]?
        package var deny = Denial()
        /// The rights that the rule gives on `/admin`.
        package var admin: [AdminRight] = []
        /// The limits of each user that the rule applies to.
        package var limits = RuleLimits()

        package init() {}

        /// Filters that are denied, whatever allows them.
        package struct Denial: Sendable, Equatable {
            package var publish: [String] = []
            package var subscribe: [String] = []

            package init() {}
        }
    }
}

extension Settings.Access.Rule {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(initial: Self(), members: conditions + rights) { rule, section, decoder in
            if !rule.everyone, ["user", "role"].allSatisfy({ section.value(of: $0) == nil }) {
                decoder.fail(section.mark, section.path, "expected user, role or everyone: true, found none of them")
            }
        }
    }

    /// Whether the rule denies everything that it allows.
    var allowsNothing: Bool {
        func outlines(_ texts: [String]) -> [TopicFilter] {
            texts.compactMap { text in
                do throws(FilterTemplate.Mistake) { return try FilterTemplate(text, limits: .none).outline } catch {
                    return nil
                }
            }
        }
        func areCovered(_ allowed: [String], _ denied: [String]) -> Bool {
            let denied = outlines(denied)
            return outlines(allowed).allSatisfy { filter in denied.contains { $0.covers(filter) } }
        }
        let publishes = publish + (retain ?? [])
        return !(publishes + subscribe).isEmpty && admin.isEmpty && areCovered(publishes, deny.publish)
            && areCovered(subscribe, deny.subscribe)
    }

    private static var name: ConfigurationValue<String> { .text("a name", where: Principal.isName) }
    private static var filter: ConfigurationValue<String> { .template(example: "sensors/{user}/#") }
    private static let list = "a list of topic filters ([] for none)"

    private static var conditions: [Setting<Self>] {
        let network = ConfigurationValue<String>.text("an address or a network such as 10.0.0.0/8") {
            AddressRange($0) != nil
        }
        return [
            Setting(
                "everyone", \.everyone, .boolean, "true: applies to every client that is not anonymous.",
                traits: .init(example: "true")),
            Setting(optional: "user", \.user, name, "Applies to one user.", traits: .init(example: "alice")),
            Setting(
                optional: "role", \.role, name,
                "Applies to users with this role.", traits: .init(example: "sensor")),
            Setting(
                values: "address", \.addresses, of: network, expected: "a list of addresses and networks",
                "Applies only to clients in these addresses and networks; empty: anywhere.",
                traits: .init(example: "[10.0.0.0/8]")),
            Setting(
                optional: "listener", \.listener, .path, "Applies only to clients of the listener with this address.",
                traits: .init(example: "\"127.0.0.1:8080\"")),
        ]
    }

    private static var rights: [Setting<Self>] {
        [
            Setting(
                values: "publish", \.publish, of: filter, expected: list, "Filters that these clients may publish to.",
                traits: .init(example: "[\"sensors/{user}/#\"]")),
            Setting(
                values: "subscribe", \.subscribe, of: filter, expected: list,
                "Filters that these clients may subscribe to.",
                traits: .init(example: "[\"config/{user}/#\"]")),
            .optionalFilters(
                "retain", \.retain, filter, list,
                "Filters of retained values that these clients may set and delete; absent: those of publish."),
            .denial(filter, list),
            Setting(
                values: "admin", \.admin, of: .choice, expected: "a list of read, write and operate",
                "The rights of these clients on /admin.", traits: .init(example: "[read]")),
            Setting(
                section: "limits", \.limits, RuleLimits.record,
                """
                The limits of each of these users, instead of limits.per_user; omitted limits are those of \
                limits.per_user. If several rules set a limit, the most generous one counts.
                """, isShown: { !$0.isEmpty }),
        ]
    }
}

extension RuleLimits {
    static var record: ConfigurationRecord<Self> {
        let count = ConfigurationValue<Int>.count(1...1_000_000_000)
        return ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    optional: "connections", \.connections, .amount(count), "Open connections.",
                    traits: .init(example: "5")),
                Setting(
                    optional: "publish_rate", \.publishRate, .amount(count.perSecond), "Publications a second.",
                    traits: .init(example: "20")),
                Setting(
                    optional: "publish_bytes", \.publishBytes, .amount(ConfigurationValue.size(1...1 << 40).perSecond),
                    "Bytes of payloads a second.", traits: .init(example: "1MiB")),
                Setting(
                    optional: "subscriptions", \.subscriptions, .amount(count),
                    "Filters subscribed to at a time.",
                    traits: .init(example: "10")),
            ])
    }
}

extension ConfigurationValue where Value == RuleLimits.Amount {
    /// A number, or `unlimited`.
    fileprivate static func amount(_ number: ConfigurationValue<Int>) -> Self {
        let liftable = number.liftable
        return Self(
            expected: liftable.expected,
            read: { scalar in
                guard let read = liftable.read(scalar) else { return nil }
                return read.map { Value.most($0) } ?? .unlimited
            }, write: { liftable.write($0.most) }, range: liftable.range)
    }
}

extension Setting where Owner == Settings.Access.Rule {
    /// A list of filters that may be omitted; an omitted list differs from an empty one.
    fileprivate static func optionalFilters(
        _ key: String, _ place: WritableKeyPath<Owner, [String]?>, _ filter: ConfigurationValue<String>,
        _ expected: String, _ doc: String
    ) -> Setting {
        let outline = SettingOutline(
            key: key, form: .value, expected: expected, doc: doc, traits: .init(example: "[\"sensors/{user}/state/#\"]")
        )
        return Setting(
            outline: outline,
            decode: { node, path, owner, decoder in
                guard let items = decoder.items(of: node, path, expected: expected) else { return }
                owner[keyPath: place] = items.compactMap { decoder.read($0.node, $0.path, filter) }
            },
            written: { owner in
                WrittenSetting(
                    outline: outline, value: owner[keyPath: place].map { .values($0.map(filter.write)) })
            },
            changes: { old, new, path in
                old[keyPath: place] == new[keyPath: place] ? [] : [SettingChange(path: path, reload: .live)]
            })
    }

    /// A list of filters for both, or a section with a list for each.
    fileprivate static func denial(_ filter: ConfigurationValue<String>, _ list: String) -> Setting {
        let expected = "\(list), or a mapping of publish and subscribe"
        let outline = SettingOutline(
            key: "deny", form: .value, expected: expected,
            doc:
                """
                Filters that these clients may neither publish nor subscribe to, whatever allows it, or a mapping of publish \
                and subscribe.
                """,
            traits: .init(example: "[\"sensors/secret/#\"]"))
        let record = ConfigurationRecord<Owner.Denial>(
            initial: Owner.Denial(),
            members: [
                Setting<Owner.Denial>(
                    values: "publish", \.publish, of: filter, expected: list,
                    "Filters that these clients may not publish to."),
                Setting<Owner.Denial>(
                    values: "subscribe", \.subscribe, of: filter, expected: list,
                    "Filters that these clients may not subscribe to."),
            ])
        return Setting(
            outline: outline,
            decode: { node, path, owner, decoder in
                switch node.content {
                case .list:
                    let items = decoder.items(of: node, path, expected: expected) ?? []
                    let filters = items.compactMap { decoder.read($0.node, $0.path, filter) }
                    (owner.deny.publish, owner.deny.subscribe) = (filters, filters)
                case .mapping: decoder.decode(record, node, path, into: &owner.deny)
                default: decoder.fail(node, path, expected: expected)
                }
            },
            written: { owner in
                let value: WrittenValue =
                    if owner.deny.publish == owner.deny.subscribe {
                        .values(owner.deny.publish.map(filter.write))
                    } else {
                        .section(record.written(owner.deny))
                    }
                return WrittenSetting(outline: outline, value: value)
            },
            changes: { old, new, path in old.deny == new.deny ? [] : [SettingChange(path: path, reload: .live)] })
    }
}

extension ConfigurationValue where Value == String {
    /// A topic filter with placeholders, within the limits of topics.
    fileprivate static func template(example: String) -> Self { template(example: example, hasPlaceholders: true) }

    /// A topic filter without placeholders.
    static func anonymousFilter(example: String) -> Self { template(example: example, hasPlaceholders: false) }

    private static func template(example: String, hasPlaceholders: Bool) -> Self {
        func mistake(_ scalar: ConfigurationScalar) -> String? {
            do throws(FilterTemplate.Mistake) {
                let template = try FilterTemplate(scalar.text, limits: scalar.topicLimits)
                guard hasPlaceholders || template.placeholders.isEmpty else {
                    return "An anonymous client has no values for placeholders."
                }
                return nil
            } catch {
                return "\(error)"
            }
        }
        return Self(
            expected: "a topic filter such as \"\(example)\"", read: { mistake($0) == nil ? $0.text : nil },
            write: { .text($0) }, explain: mistake)
    }
}

/// The settings that are the same at all brokers of a cluster, whatever each broker's file says.
///
/// These are the rights of clients, and the rules that the order uses: what the history keeps, and how long keys are
/// remembered.
package struct SharedRules: Sendable, Equatable {
    /// The settings; all others have their defaults.
    private var settings = Settings()

    /// Takes the rules from a broker's settings.
    package init(_ settings: Settings) { Self.copy(from: settings, to: &self.settings) }

    private static func copy(from source: Settings, to target: inout Settings) {
        target.access.anonymous = source.access.anonymous
        target.access.anonymousAnywhere = source.access.anonymousAnywhere
        target.access.rules = source.access.rules
        target.history = source.history
        target.publish = source.publish
    }

    /// The settings with these rules in place of their own.
    package func inForce(in settings: Settings) -> Settings {
        var settings = settings
        Self.copy(from: self.settings, to: &settings)
        return settings
    }

    /// The paths at which other rules differ from these.
    package func differences(from other: SharedRules) -> [String] { settings.changes(to: other.settings).map(\.path) }

    // MARK: As text

    private static let sections: [String: Set<String>?] = [
        "access": ["anonymous", "anonymous_anywhere", "rules"], "history": nil, "publish": nil,
    ]

    /// A configuration that contains only these rules.
    package var bytes: [UInt8] { SettingsWriter.json(settings, only: Self.sections) }

    /// Reads the rules of a configuration, and ignores everything else.
    package init(_ bytes: [UInt8]) throws(ConfigurationErrors) {
        self.init(try ConfigurationReader.parse(bytes, file: "the rules of the cluster"))
    }
}
