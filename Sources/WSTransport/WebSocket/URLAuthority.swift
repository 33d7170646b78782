/// The part of a URL that names the host: `host`, `host:port`, `[address]:port` (RFC 3986 §3.2).
struct URLAuthority {
    /// What is wrong with an authority.
    enum Problem: Error { case host, port }

    /// A name, or a numeric address without brackets.
    let host: String
    /// `nil` if none is given.
    let port: UInt16?

    /// Reads `text`, which contains no user information.
    init(parsing text: Substring) throws(Problem) {
        let host: Substring
        let rest: Substring
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw .host }
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
            guard host.contains(":"), SocketAddress(host: String(host), port: 0) != nil else { throw .host }
        } else {
            host = text.prefix { $0 != ":" }
            rest = text[host.endIndex...]
            guard !host.isEmpty, host.utf8.allSatisfy(Self.isHostByte) else { throw .host }
        }
        self.host = String(host)
        guard !rest.isEmpty else {
            port = nil
            return
        }
        let digits = rest.dropFirst()
        guard rest.first == ":", digits.utf8.allSatisfy(\.isDigit), let number = UInt16(digits), number > 0 else {
            throw .port
        }
        port = number
    }

    /// RFC 3986 §3.2.2 without percent-encoding: letters, digits and `-._~`.
    private static func isHostByte(_ byte: UInt8) -> Bool {
        byte.isLetter || byte.isDigit || "-._~".utf8.contains(byte)
    }
}
