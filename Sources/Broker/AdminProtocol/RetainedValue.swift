internal import WSTransport

/// A retained value with its data: a message object (docs/protocol.md) with the member `kind`.
package struct RetainedValue: AdminObject {
    /// The whole object, as received.
    package let json: [UInt8]
    /// The data; empty if there is none.
    package let payload: [UInt8]

    /// - Parameter members: writes the object's members.
    init(_ members: (inout JSONWriter) -> Void) {
        var writer = JSONWriter(capacity: 256)
        writer.beginObject()
        members(&writer)
        writer.endObject()
        json = writer.bytes
        payload = []
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        json = object.rawBytes.copied
        guard let data = object.value("data") else {
            payload = []
            return
        }
        if try object.string("encoding") == "base64" {
            payload = Base64.decode(data.string ?? "") ?? []
        } else if try object.string("kind") == "json" {
            payload = data.copyRawBytes()
        } else {
            payload = data.stringBytes ?? data.copyRawBytes()
        }
    }

    package func write(to writer: inout JSONWriter) {
        guard json.count > 2 else { return }
        writer.raw(json.span.extracting(1..<json.count - 1))
    }

    package func writeAnswer(to writer: inout JSONWriter) { writer.member("result", raw: json.span) }
}
