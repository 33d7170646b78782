/// A request without its body (RFC 9112 §3).
package struct HTTPRequestHead: Equatable, Sendable {
    /// The method, as it was written: methods are case-sensitive.
    package var method: String
    /// The request target, as it was written.
    package var target: String
    /// The path, still percent-encoded: the target before `?`, and after the authority where the target is a whole URI.
    ///
    /// `*` for `OPTIONS *`.
    package var path: String
    /// What follows the first `?`, still percent-encoded; `nil` where there is none.
    package var query: String?
    /// The version's second number: 0 or 1.
    package var versionMinor: Int
    /// The fields.
    package var fields: HeaderFields
    /// The host that it asks for, perhaps with a port: the authority if the target is a whole URI, whatever `Host` says
    /// (§3.2.2).
    package var host: String?

    /// A head made of these parts, with path and query taken from `target`.
    package init(method: String, target: String, versionMinor: Int = 1, fields: HeaderFields) {
        self.init(
            method: method, target: target, versionMinor: versionMinor, fields: fields, host: fields.first("Host"),
            pathStart: target.startIndex)
    }

    init(
        method: String, target: String, versionMinor: Int, fields: HeaderFields, host: String?, pathStart: String.Index
    ) {
        self.host = host
        self.method = method
        self.target = target
        self.versionMinor = versionMinor
        self.fields = fields
        let mark = target.utf8[pathStart...].firstIndex(of: UInt8(ascii: "?"))
        if mark == nil, pathStart == target.startIndex, !target.isEmpty {
            path = target
            query = nil
            return
        }
        let rest = target[pathStart...]
        let path = rest[..<(mark ?? rest.endIndex)]
        self.path = path.isEmpty ? "/" : String(path)
        query = mark.map { mark in String(rest[rest.utf8.index(after: mark)...]) }
    }

    /// A head whose target is a path and nothing else.
    init(
        method: String, target: String, path: String, versionMinor: Int, fields: HeaderFields, host: String?
    ) {
        self.host = host
        self.method = method
        self.target = target
        self.path = path
        self.versionMinor = versionMinor
        self.fields = fields
    }

    /// Whether the client wants to send further requests on this connection (RFC 9112 §9.3).
    package var keepsAlive: Bool {
        if fields.hasToken(HTTPWord("close"), in: .connection) { return false }
        return versionMinor >= 1 || fields.hasToken(HTTPWord("keep-alive"), in: .connection)
    }
}
