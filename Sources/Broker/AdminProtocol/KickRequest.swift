/// `kick`: disconnects clients; one of the members is required.
package struct KickRequest: AdminRequest {
    package static let verb = "kick"
    package static let right = AdminRight.write

    /// The client with this id.
    package var client: String?
    /// All connections of this user.
    package var user: String?
    /// All clients with a subscription covered by this filter.
    package var filter: String?

    package init(client: String? = nil, user: String? = nil, filter: String? = nil) {
        self.client = client
        self.user = user
        self.filter = filter
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        client = try object.string("client")
        user = try object.string("user")
        filter = try object.string("filter")
    }

    package func write(to writer: inout JSONWriter) {
        if let client { writer.member("client", client) }
        if let user { writer.member("user", user) }
        if let filter { writer.member("filter", filter) }
    }

    /// How many clients were disconnected.
    package struct Answer: AdminObject {
        package var kicked: Int

        package init(kicked: Int) { self.kicked = kicked }
        package init(_ object: borrowing JSONObject) throws(JSONError) { kicked = try object.integer("kicked") ?? 0 }
        package func write(to writer: inout JSONWriter) { writer.member("kicked", kicked) }
    }
}
