/// A host with its port, as in an origin or a request's `Host` field.
package struct HostAndPort: Equatable {
    /// In lower case; an IPv6 address keeps its brackets.
    package let host: String
    /// `nil` if there is none.
    package var port: UInt16?

    /// Reads `host` or `host:port`; `nil` for anything else.
    package init?(_ text: String) {
        let text = text.lowercased()
        var hostEnd = text.endIndex
        if let colon = text.lastIndex(of: ":"), !text[colon...].contains("]") {
            let digits = text[text.index(after: colon)...]
            guard 1...5 ~= digits.utf8.count, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let port = UInt16(digits)
            else { return nil }
            self.port = port
            hostEnd = colon
        }
        host = String(text[..<hostEnd])
        let isAddress = host.hasPrefix("[") && host.hasSuffix("]") && host.utf8.count > 2
        let allowed: (UInt8) -> Bool = { byte in
            0x61...0x7A ~= byte || 0x30...0x39 ~= byte || "-._*".utf8.contains(byte)
                || (isAddress && "[:]".utf8.contains(byte))
        }
        guard !host.isEmpty, host.utf8.allSatisfy(allowed) else { return nil }
    }

    /// The same without a trailing dot, if there is one.
    package var withoutRoot: HostAndPort? {
        host.hasSuffix(".") ? HostAndPort(String(host.dropLast())) : self
    }

    /// Whether it is an address, not a name.
    package var isAddress: Bool {
        if host.hasPrefix("[") { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy(Self.isNumber)
    }

    private static func isNumber(_ part: Substring) -> Bool {
        UInt8(part) != nil && part.utf8.allSatisfy { 0x30...0x39 ~= $0 }
    }

    /// Whether the name always means the local machine: DNS cannot give it to another machine (RFC 6761 §6.3).
    package var isLoopback: Bool {
        if host == "localhost" || host == "[::1]" || host.hasSuffix(".localhost") { return true }
        return host.hasPrefix("127.") && isAddress
    }
}

/// A host name, or with a leading `*.`, all names below it.
package struct HostPattern: Sendable, Hashable {
    /// In lower case, without a leading `*.`; an IPv6 address keeps its brackets.
    package let host: String
    /// Whether one or more labels must precede ``host``.
    package let isWildcard: Bool

    /// Reads a name such as `broker.example.com` or `*.lan`, or an address, IPv6 in brackets; `nil` for anything else.
    package init?(_ text: String) {
        guard let name = HostAndPort(text), name.port == nil else { return nil }
        self.init(host: name.host)
    }

    init?(host text: String) {
        isWildcard = text.hasPrefix("*.")
        host = isWildcard ? String(text.dropFirst(2)) : text
        guard !host.isEmpty, !host.contains("*") else { return nil }
    }

    /// Whether it matches `other`, which is in lower case.
    package func matches(_ other: String) -> Bool {
        guard !other.contains("*") else { return false }
        return isWildcard ? other.hasSuffix(".\(host)") : other == host
    }
}

extension HostPattern: CustomStringConvertible {
    /// The text that ``init(_:)`` reads.
    package var description: String { (isWildcard ? "*." : "") + host }
}
