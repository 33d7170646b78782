/// `trace`: each decision about a topic or a client, as it is made.
///
/// The first request of a number opens the trace; it ends some seconds after the last.
package struct TraceRequest: AdminRequest {
    package static let verb = "trace"
    package static let right = AdminRight.read
    package typealias Answer = LogLines

    /// A number that the administrator has chosen.
    package var number: UInt64
    /// Only topics that match this filter; `nil`: all.
    package var filter: String?
    /// Only what concerns this client; `nil`: all.
    package var client: String?
    /// Whether this is the last request.
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
