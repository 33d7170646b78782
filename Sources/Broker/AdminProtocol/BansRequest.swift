/// `bans.list`: the bans in force.
package struct BansRequest: AdminRequest {
    package typealias Answer = AdminList<BanSummary>
    package static let verb = "bans.list"
    package static let right = AdminRight.read

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}
}

/// One ban.
package struct BanSummary: AdminObject {
    /// The id, as used by `bans.remove`.
    package var id = ""
    /// `user`, `token` or `address`.
    package var kind = ""
    /// The user's name, the token's id, the address or network.
    package var name = ""
    /// When the ban was added, in Unix milliseconds.
    package var added: Int64 = 0
    /// When the ban ends, in Unix milliseconds; `nil` if it lasts until it is removed or the broker's process ends.
    package var expires: Int64?
    /// The reason; empty if none was given.
    package var note = ""

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        id = try object.string("id") ?? ""
        kind = try object.string("kind") ?? ""
        name = try object.string("name") ?? ""
        added = try object.integer("added") ?? 0
        expires = try object.integer("expires")
        note = try object.string("note") ?? ""
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("id", id)
        writer.member("kind", kind)
        writer.member("name", name)
        writer.member("added", added)
        if let expires { writer.member("expires", expires) }
        if !note.isEmpty { writer.member("note", note) }
    }
}

/// `bans.add`: bans a user, a token or a network, and disconnects its clients.
package struct AddBanRequest: AdminRequest {
    package static let verb = "bans.add"
    package static let right = AdminRight.write

    /// `user`, `token` or `address`.
    package var kind: String
    /// The user's name, the token's id, the address or network.
    package var name: String
    /// The duration in seconds; `nil` if the ban lasts until it is removed or the broker's process ends.
    package var seconds: Int64?
    /// The reason, for people; may be empty.
    package var note: String

    package init(kind: String, name: String, seconds: Int64?, note: String) {
        self.kind = kind
        self.name = name
        self.seconds = seconds
        self.note = note
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        kind = try object.string("kind") ?? ""
        name = try object.string("name") ?? ""
        seconds = try object.integer("seconds")
        note = try object.string("note") ?? ""
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("kind", kind)
        writer.member("name", name)
        if let seconds { writer.member("seconds", seconds) }
        if !note.isEmpty { writer.member("note", note) }
    }

    /// The ban, and the number of disconnected clients.
    package struct Answer: AdminObject {
        package var ban: BanSummary
        package var disconnected: Int

        package init(ban: BanSummary, disconnected: Int) {
            self.ban = ban
            self.disconnected = disconnected
        }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            ban = try BanSummary(object)
            disconnected = try object.integer("disconnected") ?? 0
        }

        package func write(to writer: inout JSONWriter) {
            ban.write(to: &writer)
            writer.member("disconnected", disconnected)
        }
    }
}

/// `bans.remove`: removes a ban before its end.
package struct RemoveBanRequest: AdminRequest {
    package typealias Answer = BanSummary
    package static let verb = "bans.remove"
    package static let right = AdminRight.write

    /// The ban's id, as `bans.list` shows it.
    package var ban: String

    package init(ban: String) { self.ban = ban }
    package init(_ object: borrowing JSONObject) throws(JSONError) { ban = try object.string("ban") ?? "" }
    package func write(to writer: inout JSONWriter) { writer.member("ban", ban) }
}
