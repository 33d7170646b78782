/// `drain`: shuts the broker down gracefully, as SIGTERM does; answered before that begins.
package struct DrainRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "drain"
    package static let right = AdminRight.operate
    /// The maximum of ``retrySpread``, in milliseconds: a day.
    package static let longestSpread = 86_400_000

    /// The time over which clients are told to spread their reconnects, in milliseconds; `nil` for the default,
    /// computed from `drain.reconnects_per_second`.
    package var retrySpread: Int?
    /// Another broker of the cluster that shuts down instead, by name or number; `nil` for the one that gets the
    /// request.
    package var node: String?

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        retrySpread = try object.integer("retrySpread")
        node = try object.string("node")
    }

    package func write(to writer: inout JSONWriter) {
        if let retrySpread { writer.member("retrySpread", retrySpread) }
        if let node { writer.member("node", node) }
    }
}
