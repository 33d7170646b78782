/// Everything that can be set about a broker, as read from its configuration.
///
/// `Settings()` is the broker without any configuration: what stands here is the default, and `Config/broker.yaml` shows
/// the same. A key that this version refuses (users, tokens, rules) has no member here.
package struct Settings: Sendable, Equatable {
    /// Where the broker listens; never empty.
    package var listen: [Listener] = [Listener()]
    /// The directory of the store and of the admin socket, relative to the working directory.
    package var dataDirectory = "./data"
    /// The event loops.
    package var reactors = Reactors()
    /// What clients may use up.
    package var limits = Limits()
    /// How dead peers are found.
    package var keepalive = Keepalive()
    /// The database file.
    package var store = Store()
    /// Retained values.
    package var retained = Retained()
    /// What is kept for those who come back: the first rule that matches a topic counts.
    package var history: [History] = []
    /// permessage-deflate.
    package var compression = Compression()
    /// Which web pages may connect: a request with an `Origin` has to match one of these; empty: none.
    package var origins: [OriginRule] = [.sameOrigin]
    /// Which names a request may ask for in `Host`.
    package var hosts = HostRule.auto
    /// How clients are sent away.
    package var drain = Drain()
    /// Who may do what.
    package var access = Access()
    /// The administrator's way in.
    package var admin = Admin()
    /// `GET /metrics`.
    package var metrics = Metrics()
    /// The broker's own figures below `$SYS/broker`.
    package var systemTopics = SystemTopics()
    /// What is logged, and how.
    package var log = Log()

    package init() {}

    /// One listening socket.
    package struct Listener: Sendable, Equatable {
        /// Where to listen.
        package var address = ListenAddress.defaultAddress
        /// Whether `[::]` takes connections by IPv6 only.
        package var ipv6Only = false
        /// The permissions of a path's file.
        package var mode: UInt32 = 0o600
        /// The group of a path's file, a name or a number; `nil`: that of the process.
        package var group: String?
        /// What stands before every path of this listener, such as `/broker`; never ends with `/`; empty: nothing.
        package var pathPrefix = ""
        /// The files that its connections are encrypted with; `nil`: they are not.
        package var tls: TLS?

        package init() {}

        package init(address: ListenAddress, pathPrefix: String = "", tls: TLS? = nil) {
            self.address = address
            self.pathPrefix = pathPrefix
            self.tls = tls
        }

        /// PEM files, relative to the working directory.
        package struct TLS: Sendable, Equatable {
            /// The certificate, then those that lead to its authority.
            package var certificate: String
            /// Its private key, not encrypted.
            package var key: String
            /// What clients are shown that ask for one of its names; the first that has it.
            package var others: [Identity] = []
            /// The authorities of which clients have to show a certificate; `nil`: none is asked for.
            package var clientAuthorities: String?

            package init(certificate: String, key: String, clientAuthorities: String? = nil) {
                self.certificate = certificate
                self.key = key
                self.clientAuthorities = clientAuthorities
            }

            /// A further certificate.
            package struct Identity: Sendable, Equatable {
                /// The certificate, then those that lead to its authority.
                package var certificate: String
                /// Its private key, not encrypted.
                package var key: String

                package init(certificate: String, key: String) {
                    self.certificate = certificate
                    self.key = key
                }
            }
        }
    }

    /// The event loops.
    package struct Reactors: Sendable, Equatable {
        /// The number of loops, each with its thread; `nil`: one per core.
        package var count: Int?
        /// How a loop gives the kernel what a turn has brought.
        package var backend = Backend.auto

        package init() {}

        /// A kernel interface to send by; what comes is waited for by epoll in any case.
        package enum Backend: String, Sendable, CaseIterable {
            /// The one that measures better, as far as the kernel has it.
            case auto
            /// A call for each connection.
            case epoll
            /// One call for many connections.
            case ioUring = "io_uring"
        }
    }

    /// What clients may use up.
    package struct Limits: Sendable, Equatable {
        /// Open connections of all listeners.
        package var connections = 100_000
        /// Open connections of one client address; `nil`: unlimited.
        package var connectionsPerAddress: Int?
        /// From accepting a connection to the end of its first request head.
        package var handshakeTimeout = Duration.seconds(10)
        /// How long an HTTP connection may be idle between two requests.
        package var idleTimeout = Duration.seconds(75)
        /// A request line and its fields, in bytes.
        package var requestHead = 16 << 10
        /// A message's payload or a request's body, in bytes.
        package var message = 1 << 20
        /// A topic or filter, in bytes of UTF-8.
        package var topic = 1024
        /// The levels of a topic or filter.
        package var topicLevels = 32
        /// The `+` of a filter.
        package var wildcards = 8
        /// Filters that one client holds at a time.
        package var subscriptionsPerClient = 1000
        /// Filters that all clients together hold; `nil`: unlimited.
        package var subscriptions: Int? = 1_000_000
        /// Bytes that wait to be sent on one connection.
        package var pending = 1 << 20
        /// How long the oldest of them may wait; `nil`: unlimited.
        package var pendingAge: Duration? = .seconds(30)
        /// Bytes that the kernel may hold unsent of one connection (`TCP_NOTSENT_LOWAT`); `nil`: as many as it likes.
        package var unsentInKernel: Int? = 16 << 10
        /// Publishes a second on one connection; `nil`: unlimited.
        package var publishRate: Int?
        /// What all clients together may hold: input that waits, and what they have not taken.
        package var memory = Memory.share(percent: 25)

        package init() {}

        /// A part of the memory.
        package enum Memory: Sendable, Equatable {
            /// Of what the machine has, or the container may use; 1 to 100.
            case share(percent: Int)
            /// In bytes.
            case bytes(Int)
            case unlimited
        }
    }

    /// How dead peers are found.
    package struct Keepalive: Sendable, Equatable {
        /// The silence after which a PING is sent; `nil`: keepalive is off.
        package var interval: Duration? = .seconds(25)
        /// How long after that PING a peer may stay silent before it is evicted.
        package var timeout = Duration.seconds(10)

        package init() {}
    }

    /// The database file.
    package struct Store: Sendable, Equatable {
        /// The size up to which the file may grow, in bytes.
        package var maximumSize = 16 << 30
        /// How many views of one moment of the store new subscribers hold at a time.
        package var views = 64

        package init() {}
    }

    /// Retained values.
    package struct Retained: Sendable, Equatable {
        /// The number of topics with a retained value; `nil`: unlimited.
        package var maximumMessages: Int?
        /// The payloads of all retained values together, in bytes; `nil`: unlimited.
        package var maximumBytes: Int?

        package init() {}
    }

    /// How much is kept of each topic that a filter matches.
    package struct History: Sendable, Equatable {
        /// A valid topic filter.
        package var filter: String
        /// The last so many messages of a topic; `nil`: unlimited.
        package var messages: Int?
        /// How old they may become; `nil`: unlimited.
        package var age: Duration?
        /// The payloads of a topic's messages together, in bytes; `nil`: unlimited.
        package var bytes: Int?

        package init(filter: String, messages: Int? = nil, age: Duration? = nil, bytes: Int? = nil) {
            self.filter = filter
            self.messages = messages
            self.age = age
            self.bytes = bytes
        }
    }

    /// permessage-deflate.
    package struct Compression: Sendable, Equatable {
        /// Whether it is agreed to where a client offers it.
        package var enabled = false
        /// The effort, from 1 (fast) to 9 (small).
        package var level = 1
        /// Smaller messages are sent as they are, in bytes.
        package var minimum = 256

        package init() {}
    }

    /// How clients are sent away.
    package struct Drain: Sendable, Equatable {
        /// How many of them are told to come back in one second.
        package var reconnectsPerSecond = 5000

        package init() {}
    }

    /// Who may do what.
    package struct Access: Sendable, Equatable {
        /// What clients without an identity may do.
        package var anonymous = Anonymous()
        /// Whether they may do so beyond loopback, too.
        package var anonymousAnywhere = false

        package init() {}

        /// What clients without an identity may do.
        package struct Anonymous: Sendable, Equatable {
            /// The topic filters they may publish to, each a valid one; empty: nothing.
            package var publish = ["#"]
            /// The topic filters they may subscribe to, each a valid one; empty: nothing.
            package var subscribe = ["#"]

            package init() {}
        }
    }

    /// The administrator's way in.
    package struct Admin: Sendable, Equatable {
        /// The socket's path as it was written; ``Settings/adminSocketPath`` is the one to use.
        package var socket = "DATA_DIR" + defaultName
        /// What stands after the data directory's path.
        static let defaultName = "/admin.sock"

        package init() {}
    }

    /// The broker's own figures below `$SYS/broker`.
    package struct SystemTopics: Sendable, Equatable {
        /// How often those that have changed are published; `nil`: never.
        package var interval: Duration? = .seconds(10)

        package init() {}
    }

    /// `GET /metrics`.
    package struct Metrics: Sendable, Equatable {
        /// Whether it is answered at all.
        package var enabled = true

        package init() {}
    }

    /// What is logged, and how.
    package struct Log: Sendable, Equatable {
        /// The least urgent lines that are written.
        package var level = Level.info
        /// The form of a line.
        package var format = Format.text

        package init() {}

        /// How urgent a line is; a smaller level is a more urgent one.
        package enum Level: String, Sendable, CaseIterable, Comparable {
            case error
            case warning
            case info
            case debug

            package static func < (left: Level, right: Level) -> Bool { left.rank < right.rank }

            private var rank: Int {
                switch self {
                case .error: 0
                case .warning: 1
                case .info: 2
                case .debug: 3
                }
            }
        }

        /// The form of a line.
        package enum Format: String, Sendable, CaseIterable {
            case text
            case json
        }
    }
}

extension Settings {
    /// The limits that a topic or filter from outside has to keep.
    package var topicLimits: TopicLimits {
        TopicLimits(
            maximumBytes: limits.topic, maximumLevels: limits.topicLevels, maximumWildcards: limits.wildcards)
    }

    /// Where the admin socket is: ``Admin/socket`` with `DATA_DIR` at its begin replaced by ``dataDirectory``.
    package var adminSocketPath: String {
        let placeholder = "DATA_DIR/"
        guard admin.socket.hasPrefix(placeholder) else { return admin.socket }
        let name = admin.socket.dropFirst(placeholder.count)
        return dataDirectory.hasSuffix("/") ? dataDirectory + name : "\(dataDirectory)/\(name)"
    }

    /// Why the broker must not listen as it is set up, in a sentence for the administrator; `nil` when it may.
    ///
    /// To be asked when the command line has had its say: a stranger who may publish has to be meant.
    package func refusalToListen() -> String? {
        guard !access.anonymousAnywhere, !access.anonymous.publish.isEmpty,
            let exposed = listen.first(where: { !$0.address.isLoopback })
        else { return nil }
        return """
            refusing to listen on \(exposed.address), beyond loopback, while anonymous clients may publish: \
            set access.anonymous.publish to [], or say access.anonymous_anywhere: true
            """
    }
}
