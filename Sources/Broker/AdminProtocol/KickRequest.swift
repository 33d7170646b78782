/// `kick`: disconnects clients, and may keep them out; one of the first three members is required.
package struct KickRequest: AdminRequest {
    package static let verb = "kick"
    package static let right = AdminRight.write

    /// The client with this id.
    package var client: String?
    /// All connections of this user.
    package var user: String?
    /// All clients with a subscription covered by this filter.
    package var filter: String?
    /// Whether they are banned, too: by their user, or else by their address.
    package var isBanning = false
    /// For how long, in seconds; `nil`: until the ban is removed, or the broker's process ends.
    package var seconds: Int64?
    /// Why they are banned, for people; empty: it is not said.
    package var note = ""

    package init(client: String? = nil, user: String? = nil, filter: String? = nil) {
        self.client = client
        self.user = user
        self.filter = filter
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        client = try object.string("client")
        user = try object.string("user")
        filter = try object.string("filter")
        isBanning = try object.bool("ban") ?? false
        seconds = try object.integer("seconds")
        note = try object.string("note") ?? ""
    }

    package func write(to writer: inout JSONWriter) {
        if let client { writer.member("client", client) }
        if let user { writer.member("user", user) }
        if let filter { writer.member("filter", filter) }
        guard isBanning else { return }
        writer.member("ban", true)
        if let seconds { writer.member("seconds", seconds) }
        if !note.isEmpty { writer.member("note", note) }
    }

    /// What was done.
    package struct Answer: AdminObject {
        /// How many clients were disconnected.
        package var kicked: Int
        /// What was banned, such as `user bob`; `nil`: that was not asked for.
        package var banned: [String]?
        /// Clients that could not be banned: they have no user, and this machine's address or none.
        package var notBanned = 0

        package init(kicked: Int) { self.kicked = kicked }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            kicked = try object.integer("kicked") ?? 0
            banned = try object.strings("banned")
            notBanned = try object.integer("notBanned") ?? 0
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("kicked", kicked)
            guard let banned else { return }
            writer.member("banned", banned)
            writer.member("notBanned", notBanned)
        }
    }
}
