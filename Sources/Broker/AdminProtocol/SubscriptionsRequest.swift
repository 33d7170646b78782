/// `subscriptions`: lists the filters in use.
package struct SubscriptionsRequest: AdminRequest {
    package typealias Answer = AdminList<FilterSummary>
    package static let verb = "subscriptions"
    package static let right = AdminRight.read

    /// Only filters covered by this one; `nil` for all.
    package var filter: String?

    package init(filter: String?) { self.filter = filter }
    package init(_ object: borrowing JSONObject) throws(JSONError) { filter = try object.string("filter") }
    package func write(to writer: inout JSONWriter) { if let filter { writer.member("filter", filter) } }
}

/// How many clients subscribe to a filter.
package struct FilterSummary: AdminObject {
    package var filter: String
    package var clients: Int

    package init(filter: String, clients: Int) {
        self.filter = filter
        self.clients = clients
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        filter = try object.string("filter") ?? ""
        clients = try object.integer("clients") ?? 0
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("filter", filter)
        writer.member("clients", clients)
    }
}
