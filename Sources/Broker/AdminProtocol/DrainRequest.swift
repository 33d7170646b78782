/// `drain`: shuts the broker down in order, as SIGTERM does; answered before that begins.
package struct DrainRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "drain"
    package static let right = AdminRight.operate
    /// The longest time over which clients come back, in milliseconds: a day.
    package static let longestSpread = 86_400_000

    /// Over which time clients are told to come back, in milliseconds; `nil`: as `drain.reconnects_per_second` says.
    package var retrySpread: Int?

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        retrySpread = try object.integer("retrySpread")
    }

    package func write(to writer: inout JSONWriter) {
        if let retrySpread { writer.member("retrySpread", retrySpread) }
    }
}
