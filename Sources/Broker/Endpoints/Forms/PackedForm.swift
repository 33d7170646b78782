internal import WSTransport

/// Messages as binary frames, each with a MessagePack map.
final class PackedForm: FrameForm {
    // Used for each message, without the checks of exclusive access: the body encodes no other message.
    /// The writer of the last message; its memory is used for the next one.
    @exclusivity(unchecked) private var writer = PackedWriter()
    /// How much of the writer's memory is kept, in bytes.
    private static let maximumKept = 16 << 10

    func withPayload(of message: Message, _ body: (Opcode, UnsafeRawBufferPointer) -> Segment) -> Segment? {
        unsafe writer.removeAll()
        unsafe PackedMessage.write(message, as: "message", isSnapshot: false, to: &writer)
        defer { if unsafe writer.bytes.count > Self.maximumKept { unsafe writer = PackedWriter() } }
        return unsafe writer.bytes.withUnsafeBytes { unsafe body(.binary, $0) }
    }
}

/// A message as a MessagePack map: the members of ``MessageObject``, with binary data unencoded.
package enum PackedMessage {
    /// The map's bytes.
    ///
    /// - Parameters:
    ///   - operation: the `op`.
    ///   - id: the `id` as JSON; `nil` if there is none.
    ///   - isSnapshot: whether it is a retained value sent at the start of a subscription.
    package static func encode(
        _ message: Message, as operation: String, id: [UInt8]? = nil, isSnapshot: Bool
    ) -> [UInt8] {
        var writer = PackedWriter(capacity: message.payload.count + message.topic.name.utf8.count + 96)
        write(message, as: operation, id: id, isSnapshot: isSnapshot, to: &writer)
        return writer.bytes
    }

    static func write(
        _ message: Message, as operation: String, id: [UInt8]? = nil, isSnapshot: Bool, to writer: inout PackedWriter
    ) {
        var members = writer.beginMembers()
        writer.name("op", of: &members)
        writer.string(operation)
        if let id {
            writer.name("id", of: &members)
            if !writer.value(json: id.span) { writer.null() }
        }
        writer.name("topic", of: &members)
        writer.string(message.topic.name)
        writer.name("seq", of: &members)
        writer.integer(message.number)
        writer.name("time", of: &members)
        writer.integer(message.time)
        writeMarks(of: message, isSnapshot: isSnapshot, &members, &writer)
        if !message.isExpiry {
            if let properties = message.properties { write(properties, &members, &writer) }
            if !(message.isRemoval && message.payload.isEmpty) { writeContent(of: message, &members, &writer) }
        }
        writer.end(members)
    }

    private static func writeMarks(
        of message: Message, isSnapshot: Bool, _ members: inout PackedWriter.Members, _ writer: inout PackedWriter
    ) {
        func mark(_ name: StaticString) {
            writer.name(name, of: &members)
            writer.bool(true)
        }
        if message.isRemoval {
            mark("removed")
            if message.isExpiry { mark("expired") }
            return
        }
        if isSnapshot { mark("retained") } else if message.isRetained { mark("retain") }
        if message.expiry != 0 {
            writer.name("expires", of: &members)
            writer.integer(message.expiry)
        }
    }

    private static func writeContent(
        of message: Message, _ members: inout PackedWriter.Members, _ writer: inout PackedWriter
    ) {
        if let type = message.contentType {
            writer.name("type", of: &members)
            writer.string(type)
        }
        writer.name("data", of: &members)
        let payload = message.payload
        switch message.kind {
        case .binary: writer.binary(payload.span)
        case .text: writer.string(utf8: payload.span)
        case .json: if !writer.value(json: payload.span) { writer.string(utf8: payload.span) }
        }
    }

    private static func write(
        _ properties: MessageProperties, _ members: inout PackedWriter.Members, _ writer: inout PackedWriter
    ) {
        // Headers are rare, and those of one name become one member, as in JSON.
        var json = JSONWriter()
        json.beginObject()
        MessageObject.write(properties, to: &json)
        json.endObject()
        let bytes = json.bytes
        copy("headers", "headers", of: bytes, &members, &writer)
        copy("replyTo", "replyTo", of: bytes, &members, &writer)
        copy("correlation", "correlation", of: bytes, &members, &writer)
    }

    private static func copy(
        _ name: JSONName, _ word: StaticString, of json: [UInt8], _ members: inout PackedWriter.Members,
        _ writer: inout PackedWriter
    ) {
        guard let value = try? JSONObject.parse(json.span).value(name)?.copyRawBytes() else { return }
        writer.name(word, of: &members)
        if !writer.value(json: value.span) { writer.null() }
    }
}
