internal import WSTransport

/// What the proxies in front have written about where a request comes from.
///
/// Each proxy adds what it has seen at the end, so the end is what a trusted one says; all before the first that is not
/// trusted may be an invention of the client's.
enum ForwardedPath {
    /// The client: the rightmost address that is no trusted proxy's, or the leftmost of those where all are.
    ///
    /// What is no address ends the search: nothing that a stranger wrote may be skipped.
    ///
    /// - Parameter hops: in the order of the fields.
    /// - Returns: `nil`: there is no address at the end.
    static func client(of hops: [String], isTrusted: (SocketAddress) -> Bool) -> SocketAddress? {
        var last: SocketAddress?
        for hop in hops.reversed() {
            guard let address = address(hop) else { return last }
            guard isTrusted(address) else { return address }
            last = address
        }
        return last
    }

    /// An address as proxies write it, with a port or without: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
    static func address(_ text: String) -> SocketAddress? {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let host = text[text.index(after: text.startIndex)..<end]
            guard host.contains(":"), let port = port(text[text.index(after: end)...]) else { return nil }
            return SocketAddress(host: String(host), port: port)?.unmapped
        }
        let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
        guard colons == 1, let colon = text.firstIndex(of: ":") else {
            return SocketAddress(host: text, port: 0)?.unmapped
        }
        guard let port = port(text[colon...]) else { return nil }
        return SocketAddress(host: String(text[..<colon]), port: port)
    }

    /// - Parameter text: nothing, or a colon and a number, or a name that hides it (RFC 7239 §6.2).
    private static func port(_ text: Substring) -> UInt16? {
        guard !text.isEmpty else { return 0 }
        guard text.hasPrefix(":") else { return nil }
        let digits = text.dropFirst()
        if digits.hasPrefix("_") { return 0 }
        guard 1...5 ~= digits.utf8.count, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return UInt16(digits)
    }

    /// The elements of `Forwarded` (RFC 7239 §4): each a hop's `for` and `proto`; empty where there is none.
    static func elements(of value: String) -> [(from: String, scheme: String)] {
        var elements: [(from: String, scheme: String)] = []
        for element in split(value, at: ",") {
            var hop = (from: "", scheme: "")
            for pair in split(element, at: ";") {
                guard let equals = pair.firstIndex(of: "=") else { continue }
                let name = trimmed(pair[..<equals]).lowercased()
                let text = unquoted(trimmed(pair[pair.index(after: equals)...]))
                switch name {
                case "for": hop.from = text
                case "proto": hop.scheme = text.lowercased()
                default: break
                }
            }
            elements.append(hop)
        }
        return elements
    }

    /// The parts between separators that are in no quotes.
    private static func split(_ text: some StringProtocol, at separator: Character) -> [String] {
        var (parts, part, isQuoted, isEscaped) = ([String](), "", false, false)
        for character in text {
            if isEscaped {
                isEscaped = false
            } else if isQuoted, character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
            } else if character == separator, !isQuoted {
                parts.append(part)
                part = ""
                continue
            }
            part.append(character)
        }
        return parts + [part]
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return String(text)
    }

    private static func unquoted(_ text: String) -> String {
        guard text.utf8.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") else { return text }
        var (plain, isEscaped) = ("", false)
        for character in text.dropFirst().dropLast() {
            if !isEscaped, character == "\\" {
                isEscaped = true
                continue
            }
            isEscaped = false
            plain.append(character)
        }
        return plain
    }
}

extension ForwardedPath {
    /// What a trusted proxy's request says: the client, and the scheme that it has used.
    ///
    /// - Returns: `nil` for what is not said, or not believed.
    static func found(
        in fields: HTTPFields, _ kind: Settings.Forwarded, _ trusted: [Settings.TrustedProxy]
    ) -> (client: SocketAddress?, scheme: String?) {
        func isTrusted(_ address: SocketAddress) -> Bool { trusted.contains(host: address.host) }
        switch kind {
        case .none: return (nil, nil)
        case .xForwardedFor:
            let scheme = fields.list("X-Forwarded-Proto").last?.lowercased()
            // An empty element is none that may be skipped.
            let hops = split(fields.all("X-Forwarded-For").joined(separator: ","), at: ",")
            return (client(of: hops.map { trimmed($0[...]) }, isTrusted: isTrusted), known(scheme))
        case .forwarded:
            let hops = elements(of: fields.all("Forwarded").joined(separator: ","))
            return (client(of: hops.map(\.from), isTrusted: isTrusted), known(hops.last?.scheme))
        }
    }

    private static func known(_ scheme: String?) -> String? { ["http", "https"].contains(scheme) ? scheme : nil }
}
