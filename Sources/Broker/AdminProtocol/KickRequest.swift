/// `kick`: disconnects clients, and can ban them; `client`, `user` or `filter` is required.
package struct KickRequest: AdminRequest {
    package static let verb = "kick"
    package static let right = AdminRight.write

    /// The client with this id.
    package var client: String?
    /// All connections of this user.
    package var user: String?
    /// All clients with a subscription covered by this filter.
    package var filter: String?
    /// The reason in the Close frame, of at most ``maximumReason`` bytes; empty for the broker's default.
    package var reason = ""
    /// Whether the clients are only counted.
    package var isDryRun = false
    /// The broker of a cluster whose clients are selected, by name or number; `nil` for all brokers.
    package var node: String?
    /// The maximum length of a reason, in bytes (RFC 6455 §5.5).
    package static let maximumReason = 123
    /// Whether the clients are also banned: by their user, else by their address.
    package var isBanning = false
    /// The duration of the bans in seconds; `nil` if they last until they are removed or the broker's process ends.
    package var seconds: Int64?
    /// The reason of the bans, for people; may be empty.
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
        node = try object.string("node")
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
        if let node { writer.member("node", node) }
        guard isBanning else { return }
        writer.member("ban", true)
        if let seconds { writer.member("seconds", seconds) }
        if !note.isEmpty { writer.member("note", note) }
    }

    /// The result.
    package struct Answer: AdminObject {
        /// How many clients were disconnected.
        package var kicked: Int
        /// How many clients would have been disconnected by a dry run; `nil` if it was not one.
        package var matching: Int?
        /// The new bans, such as `user bob`; `nil` if none were requested.
        package var banned: [String]?
        /// Clients that could not be banned: they have no user, and a shared or no address, or the list of bans was
        /// full.
        package var notBanned = 0
        /// The brokers of the cluster that have not answered.
        package var missing: [String] = []

        package init(kicked: Int) { self.kicked = kicked }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            kicked = try object.integer("kicked") ?? 0
            matching = try object.integer("matching")
            banned = try object.strings("banned")
            notBanned = try object.integer("notBanned") ?? 0
            missing = try object.strings("missing") ?? []
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("kicked", kicked)
            if let matching { writer.member("matching", matching) }
            if !missing.isEmpty { writer.member("missing", missing) }
            guard let banned else { return }
            writer.member("banned", banned)
            writer.member("notBanned", notBanned)
        }
    }
}
