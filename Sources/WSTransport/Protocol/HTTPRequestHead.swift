/// A request without its body (RFC 9112 §3).
///
/// A class, because it has many users, and each would copy all of a structure.
package final class HTTPRequestHead: Sendable {
    /// The method, as written: methods are case-sensitive.
    package let method: String
    /// The request target, as written.
    package let target: String
    /// The path, still percent-encoded: the target before `?`, without scheme and authority if the target is a whole
    /// URI.
    ///
    /// `*` for `OPTIONS *`.
    package let path: String
    /// Everything after the first `?`, still percent-encoded; `nil` if there is none.
    package let query: String?
    /// The version's second number: 0 or 1.
    package let versionMinor: Int
    /// The fields.
    package let fields: HeaderFields
    /// The authority of a target that is a whole URI.
    private let authority: String?

    /// The requested host, perhaps with a port: the authority if the target is a whole URI, whatever `Host` says
    /// (§3.2.2).
    package var host: String? { authority ?? fields.first(.host) }

    /// Makes a head from its parts, with path and query taken from `target`.
    package convenience init(method: String, target: String, versionMinor: Int = 1, fields: HeaderFields) {
        self.init(
            method: method, target: target, versionMinor: versionMinor, fields: fields, authority: nil,
            pathStart: target.startIndex)
    }

    convenience init(
        method: String, target: String, versionMinor: Int, fields: HeaderFields, authority: String?,
        pathStart: String.Index
    ) {
        let rest = target[pathStart...]
        let mark = rest.utf8.firstIndex(of: UInt8(ascii: "?"))
        let path = rest[..<(mark ?? rest.endIndex)]
        self.init(
            method: method, target: target, path: path.isEmpty ? "/" : String(path),
            query: mark.map { mark in String(rest[rest.utf8.index(after: mark)...]) }, versionMinor: versionMinor,
            fields: fields, authority: authority)
    }

    init(
        method: String, target: String, path: String, query: String?, versionMinor: Int, fields: HeaderFields,
        authority: String?
    ) {
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.versionMinor = versionMinor
        self.fields = fields
        self.authority = authority
    }

    /// Whether the client may send further requests on this connection (RFC 9112 §9.3).
    package var keepsAlive: Bool {
        if fields.hasToken(HTTPWord("close"), in: .connection) { return false }
        return versionMinor >= 1 || fields.hasToken(HTTPWord("keep-alive"), in: .connection)
    }
}

extension HTTPRequestHead: Equatable {
    package static func == (one: HTTPRequestHead, other: HTTPRequestHead) -> Bool {
        one.method == other.method && one.target == other.target && one.path == other.path && one.query == other.query
            && one.versionMinor == other.versionMinor && one.fields == other.fields && one.host == other.host
    }
}
