/// A message as a JSON object.
///
/// docs/protocol.md describes its members.
package enum MessageObject {
    /// The object's bytes, without a line end.
    ///
    /// - Parameters:
    ///   - hasOperation: whether it begins with `"op":"message"`.
    ///   - isSnapshot: whether it is a retained value sent at the start of a subscription.
    package static func encode(_ message: Message, hasOperation: Bool, isSnapshot: Bool) -> [UInt8] {
        var writer = JSONWriter(capacity: message.payload.count + message.topic.name.utf8.count + 96)
        encode(message, hasOperation: hasOperation, isSnapshot: isSnapshot, by: &writer)
        return writer.bytes
    }

    /// Writes the object, without a line end.
    static func encode(_ message: Message, hasOperation: Bool, isSnapshot: Bool, by writer: inout JSONWriter) {
        begin(message.topic, hasOperation: hasOperation, by: &writer)
        writeRest(of: message, isSnapshot: isSnapshot, to: &writer)
        writer.endObject()
    }

    private static func begin(_ topic: Topic, hasOperation: Bool, by writer: inout JSONWriter) {
        writer.begin(object: hasOperation ? #"{"op":"message","topic":"# : #"{"topic":"#)
        writer.string(topic.name)
    }

    /// Writes the object of a live message, without a line end.
    ///
    /// - Parameter common: the parts of the last messages, always with the same `hasOperation`.
    static func encode(
        _ message: Message, hasOperation: Bool, by writer: inout JSONWriter, _ common: inout Repeated
    ) {
        if common.isBeginning(of: message.topic, hasOperation: hasOperation) {
            writer.splice(common.beginning, needsComma: false)
        } else {
            begin(message.topic, hasOperation: hasOperation, by: &writer)
            writer.name("seq")
        }
        writer.integer(message.number)
        common.take(message.time)
        writer.splice(common.timeMember, needsComma: true)
        writeContent(of: message, isSnapshot: false, to: &writer)
        writer.endObject()
    }

    /// The encoded parts that successive messages may share: the topic and the time.
    struct Repeated {
        /// The object up to the value of `seq`.
        private(set) var beginning: [UInt8] = []
        private var topic = Topic(unchecked: "")
        /// The representation of the last topic's name in memory: a topic is kept when it comes a second time.
        private var last: (UInt64, UInt64) = (0, 0)
        /// The member `time`, with its comma.
        var timeMember: [UInt8] { timeWriter.bytes }
        private var timeWriter = JSONWriter()
        /// ``timeMember``, and the next member up to the beginning of a string.
        private(set) var timeAndData: [UInt8] = []
        private static let data = Array(#","data":""#.utf8)
        private var time = Int64.min

        /// Whether ``beginning`` is for a topic.
        func isOf(_ topic: Topic) -> Bool { self.topic.name.isSame(as: topic.name) }

        /// Whether ``beginning`` is for a topic, after it was updated for the second message in a row of one topic.
        mutating func isBeginning(of topic: Topic, hasOperation: Bool) -> Bool {
            if isOf(topic) { return true }
            let words = topic.name.words
            guard words == last else {
                last = words
                return false
            }
            var writer = JSONWriter()
            MessageObject.begin(topic, hasOperation: hasOperation, by: &writer)
            writer.name("seq")
            (beginning, self.topic) = (writer.bytes, topic)
            return true
        }

        /// Updates ``timeMember``.
        mutating func take(_ time: Int64) {
            if time == self.time { return }
            timeWriter.removeAll()
            timeWriter.splice([], needsComma: true)
            timeWriter.member("time", time)
            // Reuses its memory.
            timeAndData.removeAll(keepingCapacity: true)
            timeAndData.append(contentsOf: timeWriter.bytes)
            timeAndData.append(contentsOf: Self.data)
            self.time = time
        }
    }

    /// Writes the members of a reply.
    static func write(reply message: Message, to writer: inout JSONWriter) {
        writer.member("topic", message.topic.name)
        writeRest(of: message, isSnapshot: false, to: &writer)
    }

    /// Writes the members of a value for administrators, without those about how it was retained.
    package static func write(value message: Message, to writer: inout JSONWriter) {
        writer.member("topic", message.topic.name)
        var value = message
        value.set(isRetained: false)
        value.set(nature: .plain)
        value.set(expiry: 0)
        writeRest(of: value, isSnapshot: false, to: &writer)
    }

    /// Writes the members after the topic.
    private static func writeRest(of message: Message, isSnapshot: Bool, to writer: inout JSONWriter) {
        writer.member("seq", message.number)
        writer.member("time", message.time)
        writeContent(of: message, isSnapshot: isSnapshot, to: &writer)
    }

    /// Writes the members after the time.
    private static func writeContent(of message: Message, isSnapshot: Bool, to writer: inout JSONWriter) {
        let payload = message.payload
        if message.isRetained || isSnapshot || message.expiry != 0 {
            writeMarks(of: message, isSnapshot: isSnapshot, to: &writer)
            if message.isExpiry { return }
        }
        if let properties = message.properties { write(properties, to: &writer) }
        // The farewell of an ephemeral value is a removal with a payload.
        if message.isRemoval, message.payload.isEmpty { return }
        if let type = message.contentType { writer.member("type", type) }
        switch message.kind {
        case .json where !message.payload.isEmpty:
            if payload.span.hasLineEnd {
                let line = Self.oneLine(payload)
                writer.member("data", raw: line.span)
            } else {
                writer.member("data", raw: payload.span)
            }
        case .text, .json:
            writer.name("data")
            writer.string(utf8: payload.span)
        case .binary:
            writer.member("encoding", "base64")
            writer.name("data")
            writer.base64(payload.span)
        }
    }

    /// Writes the members about the retained value and the expiry.
    private static func writeMarks(of message: Message, isSnapshot: Bool, to writer: inout JSONWriter) {
        if message.isRemoval {
            writer.member("removed", true)
            if message.isExpiry { writer.member("expired", true) }
            return
        }
        if isSnapshot {
            writer.member("retained", true)
        } else if message.isRetained {
            writer.member("retain", true)
        }
        if message.expiry != 0 { writer.member("expires", message.expiry) }
    }

    /// Writes the members of a message's properties.
    ///
    /// Headers of one name become one member, at the place of the first.
    package static func write(_ properties: MessageProperties, to writer: inout JSONWriter) {
        if !properties.headers.isEmpty { write(properties.headers, to: &writer) }
        if let replyTo = properties.replyTo { writer.member("replyTo", replyTo.name) }
        if let correlation = properties.correlation {
            writer.member("correlation", String(decoding: correlation, as: UTF8.self))
        }
    }

    private static func write(_ headers: [MessageProperties.Header], to writer: inout JSONWriter) {
        var values: [String: [String]] = [:]
        for header in headers { values[header.name, default: []].append(header.value) }
        writer.name("headers")
        writer.beginObject()
        for header in headers {
            guard let found = values.removeValue(forKey: header.name) else { continue }
            writer.name(escaping: header.name)
            guard found.count > 1 else {
                writer.string(header.value)
                continue
            }
            writer.beginArray()
            for value in found { writer.string(value) }
            writer.endArray()
        }
        writer.endObject()
    }

    /// JSON without line ends, which would end a line or an event.
    ///
    /// A JSON string contains none (RFC 8259 §7), so each line end is white space.
    private static func oneLine(_ json: Message.Payload) -> [UInt8] { json.map { $0 == 10 || $0 == 13 ? 32 : $0 } }
}
