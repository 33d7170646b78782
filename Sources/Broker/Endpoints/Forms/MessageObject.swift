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
        writer.beginObject()
        if hasOperation { writer.member("op", "message") }
        write(message, isSnapshot: isSnapshot, to: &writer)
        writer.endObject()
        return writer.bytes
    }

    /// The members of a message.
    package static func write(_ message: Message, isSnapshot: Bool, to writer: inout JSONWriter) {
        let payload = message.payload
        writer.member("topic", message.topic.name)
        writer.member("seq", message.seq)
        writer.member("time", message.time)
        if isSnapshot { writer.member("retained", true) }
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

    /// The JSON without line ends, which have a meaning in JSON lines and in events.
    ///
    /// Strings in JSON contain none (RFC 8259 §7), so each of them is white space.
    private static func oneLine(_ json: [UInt8]) -> [UInt8] {
        guard json.contains(where: { $0 == 10 || $0 == 13 }) else { return json }
        return json.map { $0 == 10 || $0 == 13 ? 32 : $0 }
    }
}
