/// `trace`: every decision about a topic or a client, as it is made.
///
/// The first request with a number starts the trace; it ends some seconds after the last request.
package struct TraceRequest: AdminRequest {
    package static let verb = "trace"
    package static let right = AdminRight.read
    package typealias Answer = LogLines

    /// The number of the trace, chosen by the administrator.
    package var number: UInt64
    /// Only topics that match this filter; `nil` for all.
    package var filter: String?
    /// Only decisions about this client; `nil` for all.
    package var client: String?
    /// Whether this request ends the trace.
    package var isLast = false

    package init(number: UInt64, filter: String?, client: String?) {
        self.number = number
        self.filter = filter
        self.client = client
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        number = try object.integer("number") ?? 0
        filter = try object.string("filter")
        client = try object.string("client")
        isLast = try object.bool("last") ?? false
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("number", number)
        if let filter { writer.member("filter", filter) }
        if let client { writer.member("client", client) }
        if isLast { writer.member("last", true) }
    }
}
