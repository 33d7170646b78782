/// `why`: what happened to a topic's last messages for one client.
package struct WhyRequest: AdminRequest {
    package static let verb = "why"
    package static let right = AdminRight.read

    package var client: String
    package var topic: String
    /// The maximum number of messages.
    package var limit: Int
    /// The broker of a cluster that is asked, by name or number; `nil` for the one that has the client.
    package var node: String?

    package init(client: String, topic: String, limit: Int) {
        self.client = client
        self.topic = topic
        self.limit = limit
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        client = try object.string("client") ?? ""
        topic = try object.string("topic") ?? ""
        limit = try object.integer("limit") ?? 10
        node = try object.string("node")
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("client", client)
        writer.member("topic", topic)
        writer.member("limit", limit)
        if let node { writer.member("node", node) }
    }

    /// The client, its subscriptions, and the messages.
    package struct Answer: AdminObject {
        package var user: String?
        package var address = ""
        package var protocolName = ""
        /// Whether the client may subscribe to the topic, and the rule or the reason.
        package var isAllowed = false
        package var rule = ""
        package var filters: [Filter] = []
        /// Whether messages for the client wait outside its connection.
        package var isBehind = false
        /// The bytes that were not sent yet, and those that the client's TCP has not acknowledged.
        package var pendingBytes = 0
        package var unacknowledgedBytes = 0
        /// The time from which messages are recorded, in Unix milliseconds; `nil` if none are.
        package var since: Int64?
        package var messages: [Message] = []

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            user = try object.string("user")
            address = try object.string("address") ?? ""
            protocolName = try object.string("protocol") ?? ""
            isAllowed = try object.bool("allowed") ?? false
            rule = try object.string("rule") ?? ""
            isBehind = try object.bool("behind") ?? false
            pendingBytes = try object.integer("pendingBytes") ?? 0
            unacknowledgedBytes = try object.integer("unacknowledgedBytes") ?? 0
            since = try object.integer("since")
            var filters: [Filter] = []
            try object.value("filters")?.forEachElement { (element) throws(JSONError) in
                filters.append(try Filter(try element.object()))
            }
            self.filters = filters
            var messages: [Message] = []
            try object.value("messages")?.forEachElement { (element) throws(JSONError) in
                messages.append(try Message(try element.object()))
            }
            self.messages = messages
        }

        package func write(to writer: inout JSONWriter) {
            if let user { writer.member("user", user) }
            writer.member("address", address)
            writer.member("protocol", protocolName)
            writer.member("allowed", isAllowed)
            writer.member("rule", rule)
            writer.member("behind", isBehind)
            writer.member("pendingBytes", pendingBytes)
            writer.member("unacknowledgedBytes", unacknowledgedBytes)
            if let since { writer.member("since", since) }
            writer.name("filters")
            writer.beginArray()
            for filter in filters { filter.writeObject(to: &writer) }
            writer.endArray()
            writer.name("messages")
            writer.beginArray()
            for message in messages { message.writeObject(to: &writer) }
            writer.endArray()
        }
    }

    /// A subscription of the client.
    package struct Filter: AdminObject {
        package var filter = ""
        package var matches = false
        /// Why the filter does not match; empty if it does.
        package var reason = ""
        /// Messages with a larger number are due to the subscription.
        package var since: UInt64 = 0

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            filter = try object.string("filter") ?? ""
            matches = try object.bool("matches") ?? false
            reason = try object.string("reason") ?? ""
            since = try object.integer("since") ?? 0
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("filter", filter)
            writer.member("matches", matches)
            if !reason.isEmpty { writer.member("reason", reason) }
            writer.member("since", since)
        }
    }

    /// A message of the topic, or a refused publication.
    package struct Message: AdminObject {
        /// The message's number; 0 if the publication was refused.
        package var seq: UInt64 = 0
        /// Unix milliseconds.
        package var time: Int64 = 0
        /// The client that published it; `nil` if there was none or it is unknown.
        package var from: String?
        /// What happened, as a word for programs.
        package var outcome = ""
        /// What happened, as a phrase for people.
        package var reason = ""

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            seq = try object.integer("seq") ?? 0
            time = try object.integer("time") ?? 0
            from = try object.string("from")
            outcome = try object.string("outcome") ?? ""
            reason = try object.string("reason") ?? ""
        }

        package func write(to writer: inout JSONWriter) {
            if seq > 0 { writer.member("seq", seq) }
            writer.member("time", time)
            if let from { writer.member("from", from) }
            writer.member("outcome", outcome)
            writer.member("reason", reason)
        }
    }
}
