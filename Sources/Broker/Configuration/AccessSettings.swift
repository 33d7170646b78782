package import WSTransport

extension Settings {
    /// The rights of clients.
    package struct Access: Sendable, Equatable {
        /// What clients without an identity may do.
        package var anonymous = Anonymous()
        /// Whether they may do so beyond loopback, too.
        package var anonymousAnywhere = false
        /// The file of users and tokens as written; use ``Settings/accessFilePath`` instead.
        package var users = "DATA_DIR/access.jsonl"
        /// How many passwords are checked at a time.
        package var passwordChecks = 2
        /// How long a password that was right need not be computed again; `nil`: it is each time.
        package var credentialCache: Duration? = .seconds(300)
        /// How long a client of `/ws` that may do nothing has to authenticate.
        package var authenticationTimeout = Duration.seconds(10)
        /// How long people at browsers stay logged in, and how many may.
        package var sessions = Sessions()
        /// Which tokens may be in an address.
        package var queryTokens = AccessOptions.QueryTokens.short
        /// A cookie with a token.
        package var cookie = Cookie()
        /// What of client certificates names users; `nil`: they are no identity.
        package var certificates: CertificateIdentity?
        /// Whether the user of the process at the other end of a Unix socket is the user.
        package var peers = false
        /// Login servers whose tokens are believed.
        package var jwt: [JWT] = []
        /// What those with an identity may do.
        package var rules: [Rule] = []

        package init() {}

        /// Logins of people at browsers, by `/session`.
        package struct Sessions: Sendable, Equatable {
            /// From the login on.
            package var lifetime = Duration.seconds(12 * 3600)
            /// Without a request or an open connection.
            package var idle = Duration.seconds(3600)
            /// How many one user may have; with one more the oldest ends.
            package var perUser = 32
            /// How many there may be in all.
            package var maximum = 10_000

            package init() {}
        }

        /// A cookie with a token.
        package struct Cookie: Sendable, Equatable {
            /// Empty: no cookie is looked at.
            package var name = ""

            package init() {}
        }

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
        package var isWritten: Bool { anonymous != Anonymous() || !rules.isEmpty }
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
        /// The group of the socket's file, a name or a number, which may write to it; `nil`: its owner only.
        package var socketGroup: String?
        /// Where the broker itself may write backups; `nil`: nowhere.
        package var backupDirectory: String?
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
                Setting(
                    "users", \.users, .path,
                    """
                    The file of users and tokens; DATA_DIR at its begin stands for data_dir. Only its owner may read it. \
                    A changed file is taken over by itself.
                    """),
                Setting(
                    "password_checks", \.passwordChecks, .count(1...64),
                    "Passwords that are checked at a time; each takes 32 MiB and some 0.3 s of a processor."),
                Setting(
                    "credential_cache", \.credentialCache,
                    ConfigurationValue.duration(.seconds(1) ... .seconds(86_400)).orNever,
                    "How long a password that was right need not be computed again."),
                Setting(
                    "authentication_timeout", \.authenticationTimeout, .timeSpan,
                    "How long a client of /ws that may do nothing has to authenticate."),
                Setting(
                    section: "sessions", \.sessions, Sessions.record,
                    "Logins of people at browsers (/session), which are kept in memory."),
                Setting(
                    "query_tokens", \.queryTokens, .choice,
                    "Tokens that are accepted in an address (token=): short: those that live an hour at most."),
                Setting(section: "cookie", \.cookie, Cookie.record, "A cookie with a token, for pages of this site."),
                Setting(
                    optionalSection: "certificates", \.certificates, CertificateIdentity.record,
                    "What of a client certificate names the user; absent: certificates are no identity."),
                Setting(
                    "peers", \.peers, .boolean,
                    "true: on Unix sockets, the user that the peer's process runs as is the user."),
                Setting(
                    list: "jwt", \.jwt, of: JWT.record, expected: "a list of issuers ([] for none)",
                    "Login servers whose JSON Web Tokens are believed.", mayBeNothing: true,
                    check: { items, decoder in
                        for (number, one) in items.enumerated()
                        where items[..<number].contains(where: { $0.item.issuer.exact == one.item.issuer.exact }) {
                            decoder.fail(one.section.mark, one.section.path, "expected each issuer once")
                        }
                    }),
                Setting(
                    list: "rules", \.rules, of: Rule.record, expected: "a list of rules ([] for none)",
                    """
                    What clients with an identity may do: all rules that apply add up, and a deny of any of them wins. \
                    {user}, {claim.PATH}, {client} and {address} in a filter stand for what is known of the client, and \
                    {{ for a brace.
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
                    "Filters that they may publish to.", traits: .init(example: "[\"#\"]")),
                Setting(
                    optionalValues: "subscribe", \.subscribe, of: filter, expected: list,
                    "Filters that they may subscribe to.", traits: .init(example: "[\"#\", \"$SYS/#\"]")),
            ])
    }
}

extension Settings {
    /// What is likely to be a mistake in the rules: sentences.
    package var ruleWarnings: [String] {
        access.rules.enumerated().compactMap { number, rule in
            rule.allowsNothing ? "access.rules[\(number)] allows nothing: its deny covers all that it allows" : nil
        }
    }

    /// Looks at what rights and credentials have to keep with other settings.
    func checkAccess(_ node: ConfigurationNode?, _ decoder: inout ConfigurationDecoder) {
        if let node = node?["cookie"]?["name"], !access.cookie.name.isEmpty {
            // A page of anybody's could act with the cookie, or a listener on the way read it.
            if origins.contains(.any) {
                decoder.fail(node.mark, "access.cookie.name", "expected no cookie with origins: [any]")
            }
            if let open = listen.first(where: { $0.tls == nil && !$0.address.isLoopback && !$0.address.isPath }) {
                decoder.fail(
                    node.mark, "access.cookie.name",
                    "expected no cookie where a listener beyond loopback has no TLS, as \(open.address)")
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
                    "idle", \.idle, span, "How long it lasts without a request and without an open connection."),
                Setting(
                    "per_user", \.perUser, .count(1...1_000_000),
                    "Logins that one user may have; with one more the oldest ends."),
                Setting(
                    "maximum", \.maximum, .count(1...1_000_000),
                    "Logins of all users; beyond it nobody logs in, and gets 503."),
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
                    }, "Its name; empty: none is looked at.")
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
                    "The part that names the user; fingerprint: only certificates that the file of users names.",
                    traits: .init(example: "san-dns")),
                Setting(
                    "roles", \.roles, .choice, "The part that names roles: the organizational units.",
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
                    "socket", \.socket, .path, "A path; DATA_DIR at its begin stands for data_dir.",
                    traits: .init(reload: .restart)),
                Setting(
                    optional: "socket_group", \.socketGroup, .path,
                    """
                    The group whose members may use the socket, a name or number: they have every right of \
                    administration. The mode is 0660 then, and the directory has to let them in, which data_dir does not; \
                    absent: 0600.
                    """, traits: .init(reload: .restart, example: "operators")),
                Setting(
                    optional: "backup_directory", \.backupDirectory, .path,
                    """
                    Where the broker itself writes backups (brokerctl backup --on-broker), and nowhere else; absent: it \
                    writes none, and sends them.
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

/// The host names that a broker accepts.
package enum HostRule: Sendable, Equatable {
    /// All names: no check.
    case any
    /// Those that lead to nobody else, whatever a DNS says, and these.
    case known([HostPattern])

    /// Those that lead to nobody else: the default.
    package static let auto = HostRule.known([])
}
