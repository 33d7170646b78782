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
    /// What they are told in the CLOSE, in at most ``maximumReason`` bytes; empty: the broker's own words.
    package var reason = ""
    /// Whether they are only counted.
    package var isDryRun = false
    /// The most bytes of a reason, as RFC 6455 §5.5 has them.
    package static let maximumReason = 123
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
        reason = try object.string("reason") ?? ""
        isDryRun = try object.bool("dryRun") ?? false
        isBanning = try object.bool("ban") ?? false
        seconds = try object.integer("seconds")
        note = try object.string("note") ?? ""
    }

    package func write(to writer: inout JSONWriter) {
        if let client { writer.member("client", client) }
        if let user { writer.member("user", user) }
        if let filter { writer.member("filter", filter) }
        if !reason.isEmpty { writer.member("reason", reason) }
        if isDryRun { writer.member("dryRun", true) }
        guard isBanning else { return }
        writer.member("ban", true)
        if let seconds { writer.member("seconds", seconds) }
        if !note.isEmpty { writer.member("note", note) }
    }

    /// What was done.
    package struct Answer: AdminObject {
        /// How many clients were disconnected.
        package var kicked: Int
        /// How many would have been; `nil`: it was done.
        package var matching: Int?
        /// What was banned, such as `user bob`; `nil`: that was not asked for.
        package var banned: [String]?
        /// Clients that could not be banned: they have no user, and this machine's address or none.
        package var notBanned = 0

        package init(kicked: Int) { self.kicked = kicked }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            kicked = try object.integer("kicked") ?? 0
            matching = try object.integer("matching")
            banned = try object.strings("banned")
            notBanned = try object.integer("notBanned") ?? 0
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("kicked", kicked)
            if let matching { writer.member("matching", matching) }
            guard let banned else { return }
            writer.member("banned", banned)
            writer.member("notBanned", notBanned)
        }
    }
}
