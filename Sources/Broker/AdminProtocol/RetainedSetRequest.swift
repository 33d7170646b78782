/// `retained.set`: publishes a retained value, and answers when it is on disk.
package struct RetainedSetRequest: AdminRequest {
    package static let verb = "retained.set"
    package static let right = AdminRight.write

    package var topic: String
    /// The data; a request without it is refused.
    package var data: Data?
    /// `text`, `json` or `binary`; `nil` if the data and its content type decide.
    package var kind: String?
    /// `base64` if the data is a base64 string; `nil` if the data is used unchanged.
    package var encoding: String?
    /// The content type; `nil` for none.
    package var type: String?
    /// The time to live, in seconds; `nil` if ``expires`` decides.
    package var timeToLive: Double?
    /// When the value expires, in Unix milliseconds; `nil` if it does not.
    package var expires: Int64?
    /// The members `headers`, `replyTo` and `correlation` as written; `nil` if there are none.
    package var properties: [UInt8]?

    /// The value's data.
    package enum Data: Sendable, Equatable {
        /// A JSON value as written; a string only if ``kind`` is `json`.
        case json([UInt8])
        /// UTF-8.
        case text([UInt8])
    }

    package init(topic: String, data: Data) {
        self.topic = topic
        self.data = data
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        topic = try object.string("topic") ?? ""
        kind = try object.string("kind")
        encoding = try object.string("encoding")
        type = try object.string("type")
        timeToLive = try object.double("ttl")
        expires = try object.integer("expires")
        properties = Self.properties(of: object)
        guard let value = object.value("data") else { return }
        if let text = value.stringBytes, kind != "json" || encoding != nil {
            data = .text(text)
        } else {
            data = .json(value.copyRawBytes())
        }
    }

    private static func properties(of object: borrowing JSONObject) -> [UInt8]? {
        var writer = JSONWriter()
        writer.beginObject()
        if let value = object.value("headers") { writer.member("headers", raw: value.rawBytes) }
        if let value = object.value("replyTo") { writer.member("replyTo", raw: value.rawBytes) }
        if let value = object.value("correlation") { writer.member("correlation", raw: value.rawBytes) }
        writer.endObject()
        return writer.bytes.count > 2 ? writer.bytes : nil
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("topic", topic)
        if let properties { writer.raw(properties.span.extracting(1..<properties.count - 1)) }
        switch data {
        case .json(let bytes): writer.member("data", raw: bytes.span)
        case .text(let bytes):
            writer.name("data")
            writer.string(utf8: bytes.span)
        case nil: break
        }
        if let kind { writer.member("kind", kind) }
        if let encoding { writer.member("encoding", encoding) }
        if let type { writer.member("type", type) }
        if let timeToLive { writer.member("ttl", timeToLive) }
        if let expires { writer.member("expires", expires) }
    }

    /// What happened to the value.
    package enum Answer: AdminObject {
        case set(seq: UInt64, isStored: Bool)
        /// The value has already expired, and was not published.
        case expired

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            if try object.bool("expired") == true {
                self = .expired
            } else {
                self = .set(seq: try object.integer("seq") ?? 0, isStored: try object.bool("stored") ?? false)
            }
        }

        package func write(to writer: inout JSONWriter) {
            switch self {
            case .set(let seq, let isStored):
                writer.member("seq", seq)
                writer.member("stored", isStored)
            case .expired: writer.member("expired", true)
            }
        }
    }
}
