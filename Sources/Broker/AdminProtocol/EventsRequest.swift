/// `events`: the last events of clients and of the broker, and new ones.
package struct ReadEventsRequest: LineRequest {
    package static let verb = "events"
    package static let right = AdminRight.read

    package var after: UInt64?
    package var since: Int64?
    package var isWaiting = false
    /// Only events of these kinds, such as `slow`; empty for all.
    package var kinds: [String] = []
    /// Only events of this client; `nil` for all.
    package var client: String?
    /// Only events of this user's clients; `nil` for all.
    package var user: String?

    package typealias Answer = LogLines

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        after = try object.integer("after")
        since = try object.integer("since")
        isWaiting = try object.bool("wait") ?? false
        kinds = try object.strings("kinds", atMost: 64) ?? []
        client = try object.string("client")
        user = try object.string("user")
    }

    package func write(to writer: inout JSONWriter) {
        if let after { writer.member("after", after) }
        if let since { writer.member("since", since) }
        if isWaiting { writer.member("wait", true) }
        if !kinds.isEmpty { writer.member("kinds", kinds) }
        if let client { writer.member("client", client) }
        if let user { writer.member("user", user) }
    }
}
