/// A message as a JSON object.
///
/// The contract's §3.3.
package enum MessageObject {
    /// The object's bytes, without a line end.
    ///
    /// - Parameters:
    ///   - hasOperation: begins with `"op":"message"`.
    ///   - isSnapshot: a retained value that is sent because a subscription began.
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

    /// Writes the object of a message that comes live, without a line end.
    ///
    /// - Parameter common: what was written before, always with the same `hasOperation`.
    static func encode(
        _ message: Message, hasOperation: Bool, by writer: inout JSONWriter, _ common: inout Repeated
    ) {
        if common.isBeginning(of: message.topic, hasOperation: hasOperation) {
            writer.splice(common.beginning, needsComma: false)
        } else {
            begin(message.topic, hasOperation: hasOperation, by: &writer)
            writer.name("seq")
        }
        writer.integer(message.seq)
        common.take(message.time)
        writer.splice(common.timeMember, needsComma: true)
        writeContent(of: message, isSnapshot: false, to: &writer)
        writer.endObject()
    }

    /// What messages after one another have in common, as it is written: the topic, and the time.
    struct Repeated {
        /// The object up to the value of `seq`.
        private(set) var beginning: [UInt8] = []
        private var topic = Topic(unchecked: "")
        /// The words of the last topic's name, by which one that comes again is worth keeping.
        private var last: (UInt64, UInt64) = (0, 0)
        /// The member of the time, with its comma.
        var timeMember: [UInt8] { timeWriter.bytes }
        private var timeWriter = JSONWriter()
        /// The same, and the next member up to the beginning of a string.
        private(set) var timeAndData: [UInt8] = []
        private static let data = Array(#","data":""#.utf8)
        private var time = Int64.min

        /// Whether ``beginning`` is that of a topic.
        func isOf(_ topic: Topic) -> Bool { self.topic.name.isSame(as: topic.name) }

        /// The same, as it is from the topic's second message in a row on.
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

        /// Has ``timeMember`` say a time.
        mutating func take(_ time: Int64) {
            if time == self.time { return }
            timeWriter.removeAll()
            timeWriter.splice([], needsComma: true)
            timeWriter.member("time", time)
            // In the memory that it has.
            timeAndData.removeAll(keepingCapacity: true)
            timeAndData.append(contentsOf: timeWriter.bytes)
            timeAndData.append(contentsOf: Self.data)
            self.time = time
        }
    }

    /// The members of a reply.
    static func write(reply message: Message, to writer: inout JSONWriter) {
        writer.member("topic", message.topic.name)
        writeRest(of: message, isSnapshot: false, to: &writer)
    }

    /// The members of a value for administrators, who are not told when and how it became one.
    package static func write(value message: Message, to writer: inout JSONWriter) {
        writer.member("topic", message.topic.name)
        let value = Message(
            topic: message.topic, payload: message.payload, kind: message.kind, contentType: message.contentType,
            properties: message.properties, seq: message.seq, time: message.time)
        writeRest(of: value, isSnapshot: false, to: &writer)
    }

    /// Those after the topic.
    private static func writeRest(of message: Message, isSnapshot: Bool, to writer: inout JSONWriter) {
        writer.member("seq", message.seq)
        writer.member("time", message.time)
        writeContent(of: message, isSnapshot: isSnapshot, to: &writer)
    }

    /// Those after the time.
    private static func writeContent(of message: Message, isSnapshot: Bool, to writer: inout JSONWriter) {
        let payload = message.payload
        if message.isRetained || isSnapshot || message.expiry != 0 {
            writeMarks(of: message, isSnapshot: isSnapshot, to: &writer)
            if message.isExpiry { return }
        }
        if let properties = message.properties { write(properties, to: &writer) }
        // What is left in place of an ephemeral value has a payload.
        if message.isRemoval, message.payload.isEmpty { return }
        if let type = message.contentType { writer.member("type", type) }
        switch message.kind {
        case .json where !message.payload.isEmpty:
            let line = oneLine(payload)
            writer.member("data", raw: line.span)
        case .text, .json:
            writer.name("data")
            writer.string(utf8: payload.span)
        case .binary:
            writer.member("encoding", "base64")
            writer.name("data")
            writer.base64(payload.span)
        }
    }

    /// What it has to do with the retained value, and when it expires.
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

    /// The members of a message's properties.
    ///
    /// Headers of one name are one member, in the place of the first.
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

    /// The JSON without line ends, which have a meaning in JSON lines and in events.
    ///
    /// Strings in JSON contain none (RFC 8259 §7), so each of them is white space.
    private static func oneLine(_ json: [UInt8]) -> [UInt8] {
        var place = 0
        let bytes = json.span
        while place < bytes.count, bytes[place] != 10, bytes[place] != 13 { place &+= 1 }
        guard place < bytes.count else { return json }
        return json.map { $0 == 10 || $0 == 13 ? 32 : $0 }
    }
}
