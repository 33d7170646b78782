internal import Broker
internal import WSTransport

/// A message received for a subscription.
struct TopicMessage {
    /// The message without members that only the protocol needs.
    let json: [UInt8]
    let topic: String
    /// `nil` if the broker does not report it.
    let seq: UInt64?
    /// When the broker accepted it, in Unix milliseconds; `nil` if the broker does not report it.
    let time: Int64?
    /// The content type; `nil` if there is none.
    let type: String?
    /// The topic for an answer; `nil` if none is requested.
    let replyTo: String?
    /// The correlation data, which an answer repeats, as JSON; `nil` if there is none.
    let correlation: [UInt8]?
    /// Whether it is a retained value from before the subscription.
    let isRetained: Bool
    /// Marks to show beside its data, such as `removed`.
    let marks: [String]
    /// The published bytes; for JSON, its text.
    let payload: [UInt8]
    /// The payload for people; binary data is base64.
    let shownData: [UInt8]

    /// Reads a message (the contract's §3.3).
    init(_ object: borrowing JSONObject) throws(JSONError) {
        json = Self.members(of: object, without: ["op"])
        topic = try object.string("topic") ?? ""
        seq = try object.integer("seq")
        time = try object.integer("time")
        type = try object.string("type")
        replyTo = try object.string("replyTo")
        correlation = try object.string("correlation") == nil ? nil : object.value("correlation")?.copyRawBytes()
        isRetained = try object.bool("retained") ?? false
        var marks: [String] = []
        for name in ["retained", "expired", "removed"] where try object.bool(JSONName(name)) == true {
            marks.append(name)
        }
        self.marks = marks.contains("expired") ? ["expired"] : marks
        guard let value = object.value("data") else {
            (payload, shownData) = ([], [])
            return
        }
        let data = value.stringBytes ?? value.copyRawBytes()
        if try object.string("encoding") == "base64" {
            payload = Base64.decode(String(decoding: data, as: UTF8.self)) ?? []
            shownData = Array("base64:".utf8) + data
        } else {
            (payload, shownData) = (data, data)
        }
    }

    /// `TOPIC DATA`.
    var line: [UInt8] { Array(topic.utf8) + [0x20] + shownData }

    /// The payload without control characters except line ends.
    var printablePayload: [UInt8] {
        Array(Output.printable(String(decoding: payload, as: UTF8.self), keepsLines: true).utf8)
    }

    /// The object without some of its members; the others as received.
    static func members(of object: borrowing JSONObject, without hidden: [String]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        for index in 0..<object.count {
            let name = object.name(at: index)
            if hidden.contains(name) { continue }
            writer.name(escaping: name)
            writer.raw(object.value(at: index).rawBytes)
        }
        writer.endObject()
        return writer.bytes
    }
}
