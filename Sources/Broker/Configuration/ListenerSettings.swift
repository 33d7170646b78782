extension Settings {
    /// One listening socket.
    package struct Listener: Sendable, Equatable {
        /// Where to listen.
        package var address = ListenAddress.defaultAddress
        /// Whether `[::]` accepts only IPv6 connections.
        package var ipv6Only = false
        /// The permissions of a Unix socket's file.
        package var mode: UInt32 = 0o600
        /// The group of a Unix socket's file, a name or a number; `nil` for that of the process.
        package var group: String?
        /// The prefix of every path of this listener, such as `/broker`; never ends with `/`; may be empty.
        package var pathPrefix = ""
        /// Whether each connection begins with a PROXY header, and comes from a trusted proxy.
        package var proxyProtocol = false
        /// Which header fields of a trusted proxy name the client.
        package var forwarded = Forwarded.none
        /// Whether clients connect through a proxy, so that they may be anywhere.
        package var believesProxies: Bool { proxyProtocol || forwarded != .none }
        /// Whether the listener has `/admin`, for clients with administrative rights.
        package var admin = false
        /// The TLS files; `nil` for no TLS.
        package var tls: TLS?

        package init() {}

        package init(address: ListenAddress, pathPrefix: String = "", tls: TLS? = nil) {
            self.address = address
            self.pathPrefix = pathPrefix
            self.tls = tls
        }

        /// The PEM files for TLS, relative to the working directory.
        package struct TLS: Sendable, Equatable {
            /// The certificate and its chain.
            package var certificate: String
            /// The certificate's private key, not encrypted.
            package var key: String
            /// Further certificates, each for clients that request one of its names; the first match counts.
            package var others: [Identity] = []
            /// A file of the authorities of client certificates; `nil` if no client certificate is requested.
            package var clientAuthorities: String?
            /// A file of revoked client certificates; `nil` if revocations are not checked.
            package var clientRevocations: String?
            /// Whether a client certificate is required.
            package var clientAuthentication = ClientAuthentication.required

            package enum ClientAuthentication: String, Sendable, CaseIterable {
                case required, optional
            }

            package init(certificate: String, key: String, clientAuthorities: String? = nil) {
                self.certificate = certificate
                self.key = key
                self.clientAuthorities = clientAuthorities
            }

            /// A further certificate.
            package struct Identity: Sendable, Equatable {
                /// The certificate and its chain.
                package var certificate: String
                /// The certificate's private key, not encrypted.
                package var key: String

                package init(certificate: String, key: String) {
                    self.certificate = certificate
                    self.key = key
                }
            }
        }
    }
}

extension Settings.Listener {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(initial: Self(), members: addressMembers + requestMembers) { listener, section, decoder in
            for key in ["mode", "group"] where !listener.address.isPath {
                guard let node = section.value(of: key) else { continue }
                decoder.fail(node.mark, "\(section.path).\(key)", "expected with an address such as unix:/path only")
            }
            if let node = section.value(of: "ipv6_only"), listener.ipv6Only, !listener.address.isEveryIPv6 {
                decoder.fail(node.mark, "\(section.path).ipv6_only", "expected with [::] only")
            }
        }
    }

    private static var addressMembers: [Setting<Self>] {
        let address = ConfigurationValue<ListenAddress>.listenAddress
        return [
            // With a default, a second listener could silently get the same address.
            Setting(
                "address", \.address, address,
                """
                IPv4, [IPv6] such as [::1]:8080, or unix:/path; port 0: any free one; [::]:8080: all addresses of both \
                families; localhost:8080 and :8080 stand for 127.0.0.1:8080. systemd:NAME: the sockets that systemd \
                passes by this FileDescriptorName; systemd: all others that it passes.
                """, traits: .init(reload: .restart, required: address.expected)),
            Setting(
                "ipv6_only", \.ipv6Only, .boolean,
                "For [::] only. true: accept IPv6 only, if another listener has the same port of an IPv4 address.",
                traits: .init(reload: .restart, example: "false"), isShown: { $0.ipv6Only }),
            Setting(
                "mode", \.mode, .fileMode, "For unix:/path only: the permissions of the socket's file.",
                traits: .init(reload: .restart, example: "\"0600\""), isShown: { $0.address.isPath }),
            Setting(
                optional: "group", \.group, .path,
                "For unix:/path only: the group of the socket's file, a name or number; absent: that of the process.",
                traits: .init(reload: .restart, example: "www-data")),
        ]
    }

    private static var requestMembers: [Setting<Self>] {
        [
            Setting(
                "path_prefix", \.pathPrefix, .pathPrefix, "A prefix of every path, such as /broker.",
                traits: .init(reload: .restart)),
            Setting(
                "proxy_protocol", \.proxyProtocol, .boolean,
                """
                true: every connection must come from one of trusted_proxies and begin with a PROXY header (v1 or v2), \
                which names the client. Others are reset.
                """, traits: .init(reload: .restart)),
            Setting(
                "forwarded", \.forwarded, .choice,
                """
                The header field by which trusted_proxies name the client of a request: the rightmost address that is \
                not one of theirs. With x-forwarded-for, X-Forwarded-Proto is used, too.
                """, traits: .init(reload: .restart)),
            Setting(
                "admin", \.admin, .boolean,
                """
                true: the listener has /admin, for users and tokens with administrative rights; only over TLS or on \
                loopback.
                """, traits: .init(reload: .restart)),
            Setting(
                optionalSection: "tls", \.tls, TLS.record,
                "TLS 1.2 and 1.3; absent: no TLS. Changed files are loaded automatically.",
                traits: .init(reload: .restart)),
        ]
    }

    /// Whether administration is off, or nobody on the network path can read its traffic.
    var mayBeAdministered: Bool { mayBeAdministered(at: address) }

    /// Like ``mayBeAdministered``, for the address of a socket that was passed to this process.
    func mayBeAdministered(at address: ListenAddress) -> Bool { !admin || tls != nil || address.isLoopback }

    /// Reports listeners with the same address.
    static func check(
        _ listeners: [(item: Self, section: ConfigurationSection)], _ decoder: inout ConfigurationDecoder
    ) {
        var seen: [ListenAddress: String] = [:]
        for (listener, section) in listeners {
            let path = "\(section.path).address"
            guard let mark = section.value(of: "address")?.mark, !decoder.hasFailed(path) else { continue }
            if let first = seen[listener.address] {
                decoder.fail(
                    mark, path, "expected another address, found \(listener.address), where \(first) listens")
            } else if listener.address.isFixed {
                seen[listener.address] = section.path
            }
        }
    }
}

extension Settings.Listener.TLS {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(certificate: "", key: ""),
            members: [
                Setting(
                    "certificate", \.certificate, .path,
                    "PEM, with the chain; all paths here are relative to the working directory.", traits: .file),
                Setting("key", \.key, .path, "PEM, not encrypted.", traits: .file),
                Setting(
                    list: "certificates", \.others, of: Identity.record,
                    expected: "a list of certificates with their keys",
                    "Further certificates, for clients that request one of their names (SNI).", isFlow: true),
                Setting(
                    optional: "client_ca", \.clientAuthorities, .path,
                    """
                    PEM; clients must present a certificate of one of these authorities.
                    """, traits: .init(example: "FILE")),
                Setting(
                    optional: "client_crl", \.clientRevocations, .path,
                    """
                    PEM; revocation lists of the authorities of client_ca, a valid one for each. Open connections are \
                    checked again when a file changes, and each hour.
                    """, traits: .init(example: "FILE")),
                Setting(
                    "client_auth", \.clientAuthentication, .choice,
                    """
                    optional: a client may connect without a certificate; a certificate that it presents must be \
                    valid.
                    """,
                    traits: .init(example: "required"), isShown: { $0.clientAuthorities != nil }),
            ]
        ) { tls, section, decoder in
            for key in ["client_crl", "client_auth"] where tls.clientAuthorities == nil {
                guard let node = section.value(of: key) else { continue }
                decoder.fail(node.mark, "\(section.path).\(key)", "expected with client_ca only")
            }
        }
    }
}

extension Settings.Listener.TLS.Identity {
    static var record: ConfigurationRecord<Self> {
        ConfigurationRecord(
            initial: Self(certificate: "", key: ""),
            members: [
                Setting("certificate", \.certificate, .path, "PEM, with the chain.", traits: .file),
                Setting("key", \.key, .path, "PEM, not encrypted.", traits: .file),
            ])
    }
}

extension SettingTraits {
    /// A required file.
    fileprivate static var file: SettingTraits { .init(required: "the path of a PEM file", example: "FILE") }
}

extension ListenAddress {
    fileprivate var isEveryIPv6: Bool { if case .internet("::", _) = self { true } else { false } }

    /// Whether the address can be used only once; port 0 is another port each time.
    fileprivate var isFixed: Bool {
        if case .internet(_, port: 0) = self { false } else { true }
    }
}

extension ConfigurationValue where Value == ListenAddress {
    fileprivate static var listenAddress: Self {
        Self(
            expected: "an address such as 127.0.0.1:8080, [::1]:8080 or unix:/path", read: { ListenAddress($0.text) },
            write: { .text($0.description) })
    }
}

extension ConfigurationValue where Value == UInt32 {
    /// File permissions in octal, with or without quotes: 0660.
    fileprivate static var fileMode: Self {
        Self(
            expected: "permissions such as \"0660\"",
            read: { scalar in
                guard 3...4 ~= scalar.text.utf8.count, let mode = UInt32(scalar.text, radix: 8), mode <= 0o777 else {
                    return nil
                }
                return mode
            },
            write: { mode in
                let digits = String(mode, radix: 8)
                return .text(String(repeating: "0", count: max(0, 4 - digits.count)) + digits)
            })
    }
}

extension ConfigurationValue where Value == String {
    /// A path prefix of characters that need no escape in a segment (RFC 3986 §3.3).
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

extension Settings {
    /// An address or a network whose statements about clients are trusted.
    package struct TrustedProxy: Sendable, Hashable, CustomStringConvertible {
        /// The text as written: `10.0.0.0/8`, `::1`, `unix`.
        package let description: String
        /// The network; `nil` for every process at a Unix socket.
        let range: AddressRange?

        /// Parses `unix`, an address or a network; `nil` for anything else.
        package init?(_ text: String) {
            range = AddressRange(text)
            guard range != nil || text == "unix" else { return nil }
            description = text
        }
    }

    /// Which header fields of trusted proxies a listener uses.
    package enum Forwarded: String, Sendable, CaseIterable {
        case none
        /// `X-Forwarded-For` and `X-Forwarded-Proto`.
        case xForwardedFor = "x-forwarded-for"
        /// `Forwarded` (RFC 7239).
        case forwarded
    }
}

extension ConfigurationValue where Value == Settings.TrustedProxy {
    static var trustedProxy: Self {
        Self(
            expected: "an address such as 10.0.0.1, a network such as 10.0.0.0/8, or unix",
            read: { Settings.TrustedProxy($0.text) }, write: { .text($0.description) })
    }
}

extension [Settings.TrustedProxy] {
    /// Whether a peer is one of the proxies.
    ///
    /// - Parameter host: the peer's address without the port, as the system writes it; `nil` if it connected by a Unix
    ///   socket.
    func contains(host: String?) -> Bool {
        contains { proxy in
            switch (proxy.range, host) {
            case (let range?, let host?): range.contains(host)
            case (nil, nil): true
            default: false
            }
        }
    }
}
