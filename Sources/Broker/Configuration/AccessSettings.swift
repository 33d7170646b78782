extension Settings {
    /// The rights of clients.
    package struct Access: Sendable, Equatable {
        /// What clients without an identity may do.
        package var anonymous = Anonymous()
        /// Whether they may do so beyond loopback, too.
        package var anonymousAnywhere = false

        package init() {}

        /// What clients without an identity may do.
        package struct Anonymous: Sendable, Equatable {
            /// The two lists as they are written; `nil`: not at all, which is everything on loopback and nothing beyond.
            package var publish: [String]?
            package var subscribe: [String]?

            package init() {}

            /// The topic filters they may publish to on loopback, each a valid one; empty: nothing.
            package var publishOnLoopback: [String] { publish ?? ["#"] }
            /// The topic filters they may subscribe to on loopback, each a valid one; empty: nothing.
            package var subscribeOnLoopback: [String] { subscribe ?? ["#", "$SYS/#"] }
        }

        /// Whether it says at all who may do what, so that a broker beyond loopback is meant to be there.
        package var isWritten: Bool { anonymous != Anonymous() }
        /// The filters that clients without an identity may publish to beyond loopback.
        package var publishBeyondLoopback: [String] {
            anonymousAnywhere ? anonymous.publishOnLoopback : anonymous.publish ?? []
        }
        /// The filters that clients without an identity may subscribe to beyond loopback.
        package var subscribeBeyondLoopback: [String] {
            anonymousAnywhere ? anonymous.subscribeOnLoopback : anonymous.subscribe ?? []
        }
    }

    /// The administration socket.
    package struct Admin: Sendable, Equatable {
        /// The socket's path as written; use ``Settings/adminSocketPath`` instead.
        package var socket = "DATA_DIR" + defaultName
        /// The part after the data directory's path.
        static let defaultName = "/admin.sock"

        package init() {}
    }
}

extension Settings.Access {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    section: "anonymous", \.anonymous, Anonymous.record,
                    """
                    What clients without an identity may do: lists of topic filters; empty lists, [], for nothing. A lone # \
                    is all but $SYS. A list that is left out allows everything on loopback, and nothing beyond it.
                    """,
                    // An empty section is unlikely to mean the default, which allows everything.
                    emptied: "a mapping of publish and subscribe", isShown: { $0 != Anonymous() }),
                Setting(
                    "anonymous_anywhere", \.anonymousAnywhere, .boolean,
                    "true: all of that holds beyond loopback, too; else brokerd refuses to listen there while they may publish."
                ),
                Setting(unavailable: "users", .value, "Names and password hashes.", example: "FILE"),
                Setting(unavailable: "jwt", .section(tokens), "Bearer tokens."),
                Setting(
                    unavailable: "rules", .list(rules, isFlow: false), "What clients with an identity may do."),
            ])
    }

    private static var tokens: [SettingOutline] {
        [
            .later("keys", "A JWK set or PEM public keys.", "FILE"),
            .later("issuer", "The tokens' `iss`.", "https://example.com"),
            .later("audience", "One of the tokens' `aud`.", "broker"),
        ]
    }

    private static var rules: [SettingOutline] {
        [
            .later("user", "Whom the rule is for: a user.", "alice"),
            .later("role", "Or everyone with this role.", "sensors"),
            .later("publish", "Filters that may be published to.", "[\"sensors/#\"]"),
            .later("subscribe", "Filters that may be subscribed to.", "[\"sensors/#\"]"),
            .later("deny", "Filters that neither may touch.", "[\"sensors/secret/#\"]"),
        ]
    }
}

extension SettingOutline {
    /// A key of a section that this version does not support.
    fileprivate static func later(_ key: String, _ doc: String, _ example: String) -> SettingOutline {
        SettingOutline(key: key, form: .value, doc: doc, traits: .init(example: example))
    }
}

extension Settings.Access.Anonymous {
    static var record: ConfigurationRecord<Self> {
        let (filter, list) = (
            ConfigurationValue<String>.filter(example: "sensors/#"), "a list of topic filters ([] for none)"
        )
        return ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    optionalValues: "publish", \.publish, of: filter, expected: list,
                    "Filters that they may publish to.", traits: .init(example: "[\"#\"]")),
                Setting(
                    optionalValues: "subscribe", \.subscribe, of: filter, expected: list,
                    "Filters that they may subscribe to.", traits: .init(example: "[\"#\", \"$SYS/#\"]")),
            ])
    }
}

extension Settings.Admin {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "socket", \.socket, .path, "A path; DATA_DIR at its begin stands for data_dir.",
                    traits: .init(reload: .restart))
            ])
    }
}

extension ConfigurationValue where Value == OriginRule {
    static var origin: Self {
        Self(
            expected: "same-origin, same-host, any, null, or a pattern such as https://*.example.com",
            read: { OriginRule($0.text) }, write: { .text($0.description) }, null: .null)
    }
}

extension Setting where Owner == Settings {
    /// Words, or a list of names.
    static func hosts(_ doc: String) -> Setting {
        let expected = "auto, any, or a list of names such as [broker.example.com, \"*.lan\"]"
        let name = ConfigurationValue<HostPattern>(
            expected: "a name such as broker.example.com or \"*.lan\", without a port",
            read: { HostPattern($0.text) }, write: { .text($0.description) })
        let outline = SettingOutline(key: "hosts", form: .value, expected: expected, doc: doc)
        return Setting(
            outline: outline,
            decode: { node, path, settings, decoder in
                switch node.content {
                case .scalar("auto", _): settings.hosts = .auto
                case .scalar("any", _): settings.hosts = .any
                case .list:
                    let items = decoder.items(of: node, path, expected: expected) ?? []
                    settings.hosts = .known(items.compactMap { decoder.read($0.node, $0.path, name) })
                default: decoder.fail(node, path, expected: expected)
                }
            },
            written: { settings in
                let value: WrittenValue =
                    switch settings.hosts {
                    case .auto: .plain("auto")
                    case .any: .plain("any")
                    case .known(let names): .values(names.map(name.write))
                    }
                return WrittenSetting(outline: outline, value: value)
            },
            changes: { old, new, path in old.hosts == new.hosts ? [] : [SettingChange(path: path, reload: .live)] })
    }
}
