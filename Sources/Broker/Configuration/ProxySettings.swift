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
