/// A response without its body (RFC 9112 §4).
package struct HTTPResponseHead: Equatable, Sendable {
    /// The status: 100 to 999.
    package var status: Int
    /// The reason phrase; often empty, and of no meaning to programs.
    package var reason: String
    /// The version's second number: 0 or 1.
    package var versionMinor: Int
    /// The fields.
    package var fields: HeaderFields

    /// Makes a head from its parts.
    package init(status: Int, reason: String = "", versionMinor: Int = 1, fields: HeaderFields) {
        self.status = status
        self.reason = reason
        self.versionMinor = versionMinor
        self.fields = fields
    }
}
