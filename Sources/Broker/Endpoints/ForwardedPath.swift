internal import WSTransport

/// The client of a request, according to the proxies in front of the broker.
///
/// Each proxy appends the address that it has seen, so the end of the list is from a trusted one. Everything before the
/// rightmost untrusted address may have been made up by the client.
enum ForwardedPath {
    /// The client: the rightmost address that is not a trusted proxy's, or the leftmost if all are.
    ///
    /// Anything that is not an address ends the search, because nothing from an untrusted source may be skipped.
    ///
    /// - Parameter hops: the addresses in the order of the fields.
    /// - Returns: `nil` if the last hop is not an address.
    static func client(of hops: [String], isTrusted: (SocketAddress) -> Bool) -> SocketAddress? {
        var last: SocketAddress?
        for hop in hops.reversed() {
            guard let address = address(hop) else { return last }
            guard isTrusted(address) else { return address }
            last = address
        }
        return last
    }

    /// Parses an address as proxies write it: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
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

    /// - Parameter text: empty, or a colon and a port or an obfuscated port (RFC 7239 §6.2).
    private static func port(_ text: Substring) -> UInt16? {
        guard !text.isEmpty else { return 0 }
        guard text.hasPrefix(":") else { return nil }
        let digits = text.dropFirst()
        if digits.hasPrefix("_") { return 0 }
        guard 1...5 ~= digits.utf8.count, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        return UInt16(digits)
    }

    /// Parses `Forwarded` (RFC 7239 §4): `for` and `proto` of each hop; empty if absent.
    static func elements(of value: String) -> [(from: String, scheme: String)] {
        parts(of: value[...], at: UInt8(ascii: ",")).map { element in
            var hop = (from: "", scheme: "")
            for pair in parts(of: element, at: UInt8(ascii: ";")) {
                guard let equals = pair.utf8.firstIndex(of: UInt8(ascii: "=")) else { continue }
                let name = trimmed(pair[..<equals]).lowercased()
                let text = unquoted(trimmed(pair[pair.utf8.index(after: equals)...]))
                switch name {
                case "for": hop.from = text
                case "proto": hop.scheme = text.lowercased()
                default: break
                }
            }
            return hop
        }
    }

    /// Splits a text at separators that are not in a quoted string.
    ///
    /// Reads from the end, which a trusted proxy wrote, so that a quote left open by a client cannot hide it.
    private static func parts(of text: Substring, at separator: UInt8) -> [Substring] {
        let bytes = text.utf8
        var (parts, end, place, isQuoted) = ([Substring](), bytes.endIndex, bytes.endIndex, false)
        while place > bytes.startIndex {
            place = bytes.index(before: place)
            switch bytes[place] {
            case UInt8(ascii: "\""):
                let escapes = bytes[..<place].reversed().prefix { $0 == UInt8(ascii: "\\") }.count
                if !isQuoted || escapes.isMultiple(of: 2) { isQuoted.toggle() }
            case separator where !isQuoted:
                parts.append(text[bytes.index(after: place)..<end])
                end = place
            default: break
            }
        }
        parts.append(text[..<end])
        return parts.reversed()
    }

    private static func trimmed(_ text: Substring) -> Substring {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        let rest = text.utf8.drop(while: isSpace)
        let end = rest.lastIndex { !isSpace($0) }.map { rest.index(after: $0) } ?? rest.startIndex
        return text[rest.startIndex..<end]
    }

    private static func unquoted(_ text: Substring) -> String {
        let quote = UInt8(ascii: "\"")
        guard text.utf8.count >= 2, text.utf8.first == quote, text.utf8.last == quote else { return String(text) }
        var (plain, isEscaped) = ([UInt8](), false)
        for byte in text.utf8.dropFirst().dropLast() {
            if !isEscaped, byte == UInt8(ascii: "\\") {
                isEscaped = true
                continue
            }
            isEscaped = false
            plain.append(byte)
        }
        return String(decoding: plain, as: UTF8.self)
    }

    /// The elements of a list field without quoted strings; empty elements are kept, because none may be skipped.
    private static func elements(of fields: [String]) -> [Substring] {
        fields.flatMap { field in
            field.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
                .map { trimmed(Substring($0)) }
        }
    }
}

extension ForwardedPath {
    /// The client and the scheme it used, according to a trusted proxy.
    ///
    /// - Returns: `nil` for what is absent or not trusted.
    static func found(
        in fields: HTTPFields, _ kind: Settings.Forwarded, _ trusted: [Settings.TrustedProxy]
    ) -> (client: SocketAddress?, scheme: String?) {
        func isTrusted(_ address: SocketAddress) -> Bool { trusted.contains(host: address.host) }
        switch kind {
        case .none: return (nil, nil)
        case .xForwardedFor:
            let scheme = elements(of: fields.all("X-Forwarded-Proto")).last?.lowercased()
            let hops = elements(of: fields.all("X-Forwarded-For")).map(String.init)
            return (client(of: hops, isTrusted: isTrusted), known(scheme))
        case .forwarded:
            // Each field is parsed by itself: a quoted string does not continue in the next field.
            let hops = fields.all("Forwarded").flatMap { elements(of: $0) }
            return (client(of: hops.map(\.from), isTrusted: isTrusted), known(hops.last?.scheme))
        }
    }

    private static func known(_ scheme: String?) -> String? { ["http", "https"].contains(scheme) ? scheme : nil }
}
