/// `topics`: lists known topics, and the rate of publications to them.
package struct TopicsRequest: AdminRequest {
    package typealias Answer = AdminList<TopicSummary>
    package static let verb = "topics"
    package static let right = AdminRight.read

    /// Only topics that match this filter; `nil` for all.
    package var filter: String?
    /// How many seconds to count publications before the answer; 0 for none.
    package var seconds: Double
    /// The broker of a cluster to ask, by name or number; `nil` for all brokers.
    package var node: String?

    package init(filter: String?, seconds: Double) {
        self.filter = filter
        self.seconds = seconds
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        filter = try object.string("filter")
        seconds = try object.double("seconds") ?? 0
        node = try object.string("node")
    }

    package func write(to writer: inout JSONWriter) {
        if let filter { writer.member("filter", filter) }
        writer.member("seconds", seconds)
        if let node { writer.member("node", node) }
    }
}

/// What the broker knows about one topic.
package struct TopicSummary: AdminObject {
    package var topic = ""
    /// How many clients subscribe to it by name.
    package var subscriptions = 0
    /// The retained value; `nil` if there is none.
    package var retained: Retained?
    /// The rate of publications; `nil` if they were not counted.
    package var rate: Rate?

    /// The retained value of a topic.
    package struct Retained: Sendable {
        /// The size of the payload, in bytes.
        package var bytes: Int?
        package var seq: UInt64?
        /// When it was published, in Unix milliseconds.
        package var time: Int64?

        package init(bytes: Int?, seq: UInt64?, time: Int64?) {
            self.bytes = bytes
            self.seq = seq
            self.time = time
        }
    }

    /// The rate of publications to a topic.
    package struct Rate: Sendable {
        package var messagesPerSecond: Double
        /// Bytes of payload.
        package var bytesPerSecond: Double

        package init(messagesPerSecond: Double, bytesPerSecond: Double) {
            self.messagesPerSecond = messagesPerSecond
            self.bytesPerSecond = bytesPerSecond
        }
    }

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        topic = try object.string("topic") ?? ""
        subscriptions = try object.integer("subscriptions") ?? 0
        if try object.bool("retained") == true {
            retained = Retained(
                bytes: try object.integer("bytes"), seq: try object.integer("seq"), time: try object.integer("time"))
        }
        if let messages = try object.double("messagesPerSecond"), let bytes = try object.double("bytesPerSecond") {
            rate = Rate(messagesPerSecond: messages, bytesPerSecond: bytes)
        }
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("topic", topic)
        writer.member("subscriptions", subscriptions)
        writer.member("retained", retained != nil)
        if let retained {
            if let bytes = retained.bytes { writer.member("bytes", bytes) }
            if let seq = retained.seq { writer.member("seq", seq) }
            if let time = retained.time { writer.member("time", time) }
        }
        if let rate {
            writer.member("messagesPerSecond", rate.messagesPerSecond)
            writer.member("bytesPerSecond", rate.bytesPerSecond)
        }
    }
}
