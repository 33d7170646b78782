/// `why`: what became of a topic's last messages for one client.
package struct WhyRequest: AdminRequest {
    package static let verb = "why"
    package static let right = AdminRight.read

    package var client: String
    package var topic: String
    /// How many of the last messages, at most.
    package var limit: Int

    package init(client: String, topic: String, limit: Int) {
        self.client = client
        self.topic = topic
        self.limit = limit
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        client = try object.string("client") ?? ""
        topic = try object.string("topic") ?? ""
        limit = try object.integer("limit") ?? 10
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("client", client)
        writer.member("topic", topic)
        writer.member("limit", limit)
    }

    /// What is known of the client, its subscriptions and the messages.
    package struct Answer: AdminObject {
        package var user: String?
        package var address = ""
        package var protocolName = ""
        /// Whether it may subscribe to the topic, and what says so.
        package var isAllowed = false
        package var rule = ""
        package var filters: [Filter] = []
        /// Whether messages wait for it.
        package var isBehind = false
        /// What it has not taken, and what its TCP has not acknowledged, in bytes.
        package var pendingBytes = 0
        package var unacknowledgedBytes = 0
        /// Since when messages are remembered, in Unix milliseconds; `nil`: none is.
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
        /// Why it does not match; empty: it does.
        package var reason = ""
        /// Messages after this one are due to it.
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

    /// A message of the topic, or a publication that was refused.
    package struct Message: AdminObject {
        /// 0: it was refused.
        package var seq: UInt64 = 0
        /// In Unix milliseconds.
        package var time: Int64 = 0
        /// The client that published it; `nil`: none, or not known.
        package var from: String?
        /// A word for programs.
        package var outcome = ""
        /// A phrase for people.
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
