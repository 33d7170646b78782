package import WSTransport

extension Settings {
    /// The rights of clients.
    package struct Access: Sendable, Equatable {
        /// The rights of anonymous clients.
        package var anonymous = Anonymous()
        /// Whether the rights of anonymous clients also apply beyond loopback.
        package var anonymousAnywhere = false
        /// The path of the users file as written; use ``Settings/accessFilePath`` instead.
        package var users = "DATA_DIR/access.jsonl"
        /// How many passwords are checked at a time.
        package var passwordChecks = 2
        /// How long a correct password is remembered instead of being computed again; `nil` for not at all.
        package var credentialCache: Duration? = .seconds(300)
        /// How long a client of `/ws` without any rights has to authenticate.
        package var authenticationTimeout = Duration.seconds(10)
        /// The limits of browser logins.
        package var sessions = Sessions()
        /// Which tokens are accepted in the query of a URL.
        package var queryTokens = AccessOptions.QueryTokens.short
        /// The cookie that carries a token.
        package var cookie = Cookie()
        /// How client certificates name users; `nil` if they do not authenticate.
        package var certificates: CertificateIdentity?
        /// Whether clients of Unix sockets are authenticated as the system user of their process.
        package var peers = false
        /// The login servers whose tokens are accepted.
        package var jwt: [JWT] = []
        /// The rules for the rights of clients.
        package var rules: [Rule] = []

        package init() {}

        /// The limits of browser logins, by `/session`.
        package struct Sessions: Sendable, Equatable {
            /// The lifetime of a session, from the login.
            package var lifetime = Duration.seconds(12 * 3600)
            /// How long a session may have neither a request nor an open connection.
            package var idle = Duration.seconds(3600)
            /// The maximum of one user; one more login ends the user's oldest session.
            package var perUser = 32
            /// The maximum of all users.
            package var maximum = 10_000

            package init() {}
        }

        /// The cookie that carries a token.
        package struct Cookie: Sendable, Equatable {
            /// The name of the cookie; empty if no cookie is read.
            package var name = ""

            package init() {}
        }

        /// The rights of anonymous clients.
        package struct Anonymous: Sendable, Equatable {
            /// The two lists as written; `nil` if not set, which means everything on loopback and nothing beyond.
            package var publish: [String]?
            package var subscribe: [String]?

            package init() {}

            /// The topic filters that anonymous clients may publish to on loopback, each one valid; empty for none.
            package var publishOnLoopback: [String] { publish ?? ["#"] }
            /// The topic filters that anonymous clients may subscribe to on loopback, each one valid; empty for none.
            package var subscribeOnLoopback: [String] { subscribe ?? ["#", "$SYS/#"] }
        }

        /// Whether any rights are configured; without them the broker does not listen beyond loopback.
        package var isWritten: Bool { anonymous != Anonymous() || !rules.isEmpty }
        /// The topic filters that anonymous clients may publish to beyond loopback.
        package var publishBeyondLoopback: [String] {
            anonymousAnywhere ? anonymous.publishOnLoopback : anonymous.publish ?? []
        }
        /// The topic filters that anonymous clients may subscribe to beyond loopback.
        package var subscribeBeyondLoopback: [String] {
            anonymousAnywhere ? anonymous.subscribeOnLoopback : anonymous.subscribe ?? []
        }
    }

    /// The administration socket.
    package struct Admin: Sendable, Equatable {
        /// The socket's path as written; use ``Settings/adminSocketPath`` instead.
        package var socket = "DATA_DIR" + defaultName
        /// The group of the socket's file, a name or a number, which gets write permission; `nil` for its owner only.
        package var socketGroup: String?
        /// The directory that the broker may write backups to; `nil` for none.
        package var backupDirectory: String?
        /// The path of the socket relative to the data directory.
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
                    The rights of anonymous clients: lists of topic filters; an empty list, [], for none. A lone # is \
                    everything except $SYS. A list that is omitted allows everything on loopback, and nothing beyond \
                    it.
                    """,
                    // An empty section is unlikely to mean the default, which allows everything.
                    emptied: "a mapping of publish and subscribe", isShown: { $0 != Anonymous() }),
                Setting(
                    "anonymous_anywhere", \.anonymousAnywhere, .boolean,
                    """
                    true: these rights apply beyond loopback, too; otherwise brokerd refuses to listen there while \
                    anonymous clients may publish.
                    """
                ),
                Setting(
                    "users", \.users, .path,
                    """
                    The users file; a leading DATA_DIR stands for data_dir. Only its owner may read it. A changed file \
                    is loaded automatically.
                    """),
                Setting(
                    "password_checks", \.passwordChecks, .count(1...64),
                    """
                    Passwords that are checked at the same time; each check takes 32 MiB and about 0.3 s of a \
                    processor.
                    """),
                Setting(
                    "credential_cache", \.credentialCache,
                    ConfigurationValue.duration(.seconds(1) ... .seconds(86_400)).orNever,
                    "How long a correct password is remembered instead of being computed again."),
                Setting(
                    "authentication_timeout", \.authenticationTimeout, .timeSpan,
                    "How long a client of /ws without any rights has to authenticate."),
                Setting(
                    section: "sessions", \.sessions, Sessions.record,
                    "Logins from browsers (/session), which are kept in memory."),
                Setting(
                    "query_tokens", \.queryTokens, .choice,
                    "Which tokens are accepted in a URL (token=). short: those that live for at most an hour."),
                Setting(section: "cookie", \.cookie, Cookie.record, "A cookie with a token, for pages of this site."),
                Setting(
                    optionalSection: "certificates", \.certificates, CertificateIdentity.record,
                    "How client certificates name users; absent: certificates do not authenticate."),
                Setting(
                    "peers", \.peers, .boolean,
                    "true: clients of Unix sockets are authenticated as the system user of their process."),
                Setting(
                    list: "jwt", \.jwt, of: JWT.record, expected: "a list of issuers ([] for none)",
                    "Login servers whose JSON Web Tokens are accepted.", mayBeNothing: true,
                    check: { items, decoder in
                        for (number, one) in items.enumerated()
                        where items[..<number].contains(where: { $0.item.issuer.exact == one.item.issuer.exact }) {
                            decoder.fail(one.section.mark, one.section.path, "expected each issuer once")
                        }
                    }),
                Setting(
                    list: "rules", \.rules, of: Rule.record, expected: "a list of rules ([] for none)",
                    """
                    The rights of authenticated clients: those of all rules that apply are added up, and a deny in any \
                    of them wins. {user}, {claim.PATH}, {client} and {address} in a filter stand for values of the \
                    client, and {{ for a brace.
                    """, mayBeNothing: true),
            ])
    }
}

extension Settings.Access.Anonymous {
    static var record: ConfigurationRecord<Self> {
        let (filter, list) = (
            ConfigurationValue<String>.anonymousFilter(example: "sensors/#"), "a list of topic filters ([] for none)"
        )
        return ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    optionalValues: "publish", \.publish, of: filter, expected: list,
                    "Filters that these clients may publish to.", traits: .init(example: "[\"#\"]")),
                Setting(
                    optionalValues: "subscribe", \.subscribe, of: filter, expected: list,
                    "Filters that these clients may subscribe to.", traits: .init(example: "[\"#\", \"$SYS/#\"]")),
            ])
    }
}

extension Settings {
    /// Warnings about rules that are probably mistakes, as sentences.
    package var ruleWarnings: [String] {
        access.rules.enumerated().compactMap { number, rule in
            rule.allowsNothing ? "access.rules[\(number)] allows nothing: its deny covers all that it allows" : nil
        }
    }

    /// Checks the access settings against other settings.
    func checkAccess(_ node: ConfigurationNode?, _ decoder: inout ConfigurationDecoder) {
        if let node = node?["cookie"]?["name"], !access.cookie.name.isEmpty {
            // Any page could act with the cookie, or an attacker on the network path could read it.
            if origins.contains(.any) {
                decoder.fail(node.mark, "access.cookie.name", "expected no cookie with origins: [any]")
            }
            if let open = listen.first(where: { $0.tls == nil && !$0.address.isLoopback && !$0.address.isPath }) {
                decoder.fail(
                    node.mark, "access.cookie.name",
                    "expected no cookie while a listener beyond loopback has no TLS: \(open.address)")
            }
        }
        guard case .list(let nodes) = node?["rules"]?.content else { return }
        for (number, (rule, node)) in zip(access.rules, nodes).enumerated() {
            guard let name = rule.listener, let node = node["listener"],
                !listen.contains(where: { $0.address.description == name })
            else { continue }
            decoder.fail(node, "access.rules[\(number)].listener", expected: "the address of a listener")
        }
    }
}

extension Settings.Access.Sessions {
    static var record: ConfigurationRecord<Self> {
        let span = ConfigurationValue.duration(.seconds(1) ... .seconds(30 * 86_400))
        return ConfigurationRecord(
            initial: Self(),
            members: [
                Setting("lifetime", \.lifetime, span, "How long a login lasts."),
                Setting(
                    "idle", \.idle, span, "How long a login lasts without a request or an open connection."),
                Setting(
                    "per_user", \.perUser, .count(1...1_000_000),
                    "Logins of one user; one more ends the oldest."),
                Setting(
                    "maximum", \.maximum, .count(1...1_000_000),
                    "Logins of all users; one more is refused with 503."),
            ])
    }
}

extension Settings.Access.Cookie {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "name", \.name,
                    .text("the name of a cookie, or nothing (\"\")") { text in
                        text.utf8.count <= 100
                            && text.utf8.allSatisfy { 0x21...0x7E ~= $0 && !"()<>@,;:\\\"/[]?={}".utf8.contains($0) }
                    }, "The name of the cookie; empty: no cookie is read.")
            ])
    }
}

extension CertificateIdentity {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "user", \.user, .choice,
                    "The field that names the user; fingerprint: only certificates that are in the users file.",
                    traits: .init(example: "san-dns")),
                Setting(
                    "roles", \.roles, .choice, "The field that names roles; ou: the organizational units.",
                    traits: .init(example: "ou")),
            ])
    }
}

extension Settings.Admin {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(),
            members: [
                Setting(
                    "socket", \.socket, .path, "The path of the admin socket; a leading DATA_DIR stands for data_dir.",
                    traits: .init(reload: .restart)),
                Setting(
                    optional: "socket_group", \.socketGroup, .path,
                    """
                    The group whose members may use the socket, a name or number, with all administrative rights. The \
                    mode is then 0660, and the directory must admit the group, which data_dir does not; absent: mode \
                    0600.
                    """, traits: .init(reload: .restart, example: "operators")),
                Setting(
                    optional: "backup_directory", \.backupDirectory, .path,
                    """
                    The only directory that the broker writes backups to (brokerctl backup --on-broker); absent: it \
                    writes no backups, only sends them.
                    """, traits: .init(example: "/var/backups/broker")),
            ])
    }
}

extension ConfigurationValue where Value == OriginPolicy.Rule {
    static var origin: Self {
        Self(
            expected: "same-origin, same-host, any, null, or a pattern such as https://*.example.com",
            read: { OriginPolicy.Rule($0.text) }, write: { .text($0.description) }, null: .null)
    }
}

extension Setting where Owner == Settings {
    /// A setting for host names: a word, or a list of names.
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

/// The host names that a broker accepts.
package enum HostRule: Sendable, Equatable {
    /// All names: no check.
    case any
    /// Names that no DNS server can point elsewhere, and these.
    case known([HostPattern])

    /// Only names that no DNS server can point elsewhere: the default.
    package static let auto = HostRule.known([])
}
