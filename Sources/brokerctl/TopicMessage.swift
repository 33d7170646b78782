internal import Broker

/// A message received for a subscription.
struct TopicMessage {
    /// The message without members that only the protocol needs.
    let json: [UInt8]
    private let topic: String
    private let data: [UInt8]

    /// Reads a message (the contract's §3.3).
    init(_ object: borrowing JSONObject) throws(JSONError) {
        json = Self.members(of: object, without: ["op"])
        topic = try object.string("topic") ?? ""
        guard let value = object.value("data") else {
            data = []
            return
        }
        let isBase64 = try object.string("encoding") == "base64"
        data = Array((isBase64 ? "base64:" : "").utf8) + (value.stringBytes ?? value.copyRawBytes())
    }

    /// `TOPIC DATA`, without control characters if it goes to a terminal.
    func line(forTerminal: Bool) -> [UInt8] {
        let line = Array(topic.utf8) + [0x20] + data
        return forTerminal ? Array(Output.printable(String(decoding: line, as: UTF8.self)).utf8) : line
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
